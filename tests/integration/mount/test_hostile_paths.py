# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths in options and sources: none leads out of the root that it belongs to.

The directories of an overlay, before the pivot into a root and after it. What is on the host is in
test_sources_on_host.py.
"""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from hostile_places import LAYERS, Hostile, Place, Racer, seen_in
from mounted import words_on
from results import Converge, Result, RunModule
from unshared_process import UnsharedProcess

Kernel = dict[str, str]
Args = dict[str, t.Any]

OUTWARD = {
    "absolute": "{canary}",
    "relative": "../../../../../../../../../../..{canary}",
    "through a descriptor": "/proc/self/fd/0",
    "through proc": "/proc/self/root{canary}",
    "through another process": "/proc/1/root{canary}",
    "to a file": "real/file",
}


def overlay(hostile: Hostile, layers: str, name: str, **more: t.Any) -> Args:
    args = {"path": f"{hostile.prefix}/mnt", "fstype": "overlay", "src": "layers"}
    opts = layers.format(hostile.prefix, name)
    return {**hostile.options, **args, "opts": opts, "src_in": "namespace", **more}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("case", OUTWARD)
def test_a_layer_that_is_a_link(
    case: str,
    layer: str,
    kernel: Kernel,
    run_module: RunModule,
    hostile: Hostile,
    filled: Place,
) -> None:
    (filled.root / "link").symlink_to(OUTWARD[case].format(canary=filled.canary))
    args = overlay(hostile, LAYERS[layer], "link")
    result = run_module("ns_mount", args, env=kernel)
    assert result["failed"], result
    assert result["errno"] in ("ENOENT", "ELOOP", "ENOTDIR", "EACCES")
    assert (result["syscall"], result["step"]) == ("fsconfig", f"mount overlay on {args['path']}")
    assert filled.is_untouched()
    assert seen_in(hostile.process, args["path"]) == []


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("deep", ["link", "up/link", "link/deep"])
def test_a_link_leads_to_the_same_path_below_the_root(
    deep: str,
    layer: str,
    kernel: Kernel,
    converge: Converge,
    run_module: RunModule,
    hostile: Hostile,
    filled: Place,
) -> None:
    """As it will after the pivot; and a second run finds it unchanged."""
    there = filled.root / str(filled.canary).lstrip("/")
    (there / "deep").mkdir(parents=True)
    (there / "deep/inside").touch()
    (filled.root / "link").symlink_to(filled.canary)
    (filled.root / "up").symlink_to("../..")
    args = overlay(hostile, LAYERS[layer], deep)
    converge("ns_mount", args, env=kernel)
    target = hostile.process
    if "upperdir" in args["opts"]:
        pathlib.Path(f"/proc/{target.pid}/root{args['path']}/written").touch()
    assert "file" in seen_in(target, args["path"]) or layer == "work"
    assert filled.is_untouched()
    converge("ns_mount", {**args, "state": "unmounted"}, env=kernel)
    # Another place by the same name is another source.
    (filled.root / "link").unlink()
    (filled.root / "link").symlink_to("/run")
    (filled.root / "run/deep").mkdir()
    assert run_module("ns_mount", args, check=True)["changed"]


def test_another_directory_by_the_same_link_is_a_change(
    kernel: Kernel, converge: Converge, hostile: Hostile, filled: Place
) -> None:
    (filled.root / "link").symlink_to("/real")
    args = overlay(hostile, "lowerdir={0}/{1}:{0}/old.work", "link")
    (filled.root / "old.work").mkdir()
    assert converge("ns_mount", args, env=kernel)["changed"]
    (filled.root / "link").unlink()
    (filled.root / "link").symlink_to("upper")
    done = converge("ns_mount", args, env=kernel)
    if hostile.prefix:
        assert done["actions"] == [
            f"replace with overlay on {args['path']} (differs: option lowerdir)"
        ]


@pytest.mark.parametrize("layer", ["lower", "upper", "work"])
def test_a_race_with_a_layer(
    layer: str, kernel: Kernel, run_module: RunModule, hostile: Hostile, filled: Place
) -> None:
    """A directory swapped for a link between the look and the mount, by root inside."""
    (filled.root / "layer").mkdir()
    args = overlay(hostile, LAYERS[layer], "layer")
    mounted = 0
    with Racer(filled.root / "layer", str(filled.canary)) as racer:
        for _round in range(30):
            result = run_module("ns_mount", args, env=kernel)
            if not result.get("failed"):
                mounted += 1
                assert seen_in(hostile.process, args["path"]) in (["file"], [])
                run_module("ns_mount", {**args, "state": "unmounted"}, env=kernel)
            assert filled.is_untouched()
    assert racer.swaps > 1000
    assert mounted > 0


@pytest.mark.parametrize("options", [{}, {"options": ["--map-root-user"]}])
def test_in_a_user_namespace(
    options: dict[str, t.Any],
    kernel: Kernel,
    run_module: RunModule,
    converge: Converge,
    unshared_process: UnsharedProcess,
    tmp_path: pathlib.Path,
) -> None:
    kinds = ("user", "mnt") if options else ("mnt",)
    target = unshared_process(kinds, **options)
    for name in ("mnt", "a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "b/file").touch()
    (tmp_path / "link").symlink_to("b")
    args = {"pid": target.pid, "path": f"{tmp_path}/mnt", "fstype": "overlay", "src": "x"}
    args.update(opts=f"lowerdir={tmp_path}/a:{tmp_path}/link", src_in="namespace")
    converge("ns_mount", args, env=kernel)
    assert seen_in(target, args["path"]) == ["file"]
    (tmp_path / "magic").symlink_to("/proc/self/root/etc")
    result = run_module("ns_mount", {**args, "opts": f"lowerdir={tmp_path}/a:{tmp_path}/magic"})
    assert result["failed"]


ODD = ["a:b", "c,d", "e\\f", " g h", "i\\:j", "k=l"]


@pytest.mark.parametrize("src_in", ["host", "namespace"])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_names_that_have_to_be_escaped(
    one_by_one: bool,
    src_in: str,
    kernel: Kernel,
    converge: Converge,
    unshared_process: UnsharedProcess,
    tmp_path: pathlib.Path,
) -> None:
    target = unshared_process()
    for name in [*ODD, "mnt", "up\\per", "work"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in {name}").touch()
    paths = [f"{tmp_path}/{name}" for name in ODD]
    if one_by_one:
        words = [f'"lowerdir+={path}"' for path in paths]
    else:
        escaped = [
            path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for path in paths
        ]
        words = [f"lowerdir={':'.join(escaped)}"]
    words += [f"upperdir={tmp_path}/up\\\\per", f"workdir={tmp_path}/work"]
    args = {"pid": target.pid, "path": f"{tmp_path}/mnt", "fstype": "overlay", "src": "x"}
    converge("ns_mount", {**args, "opts": words, "src_in": src_in}, env=kernel)
    assert seen_in(target, args["path"]) == sorted(f"in {name}" for name in [*ODD, "up\\per"])
    assert "rw" in words_on(target, tmp_path / "mnt")


REFUSED = {
    "relative": ("overlay", "x", "lowerdir=real:/run", "lowerdir of the mount on {} must be an"),
    "an open file": ("overlay", "x", "lowerdir=5:6", "lowerdir of the mount on {} must be an"),
    "a relative upper": ("overlay", "x", "lowerdir=/run,upperdir=5", "upperdir of the mount on {}"),
    "an empty one": ("overlay", "x", "lowerdir=/run:", "names a directory without a name"),
    "no value": ("overlay", "x", "upperdir", "names no directory"),
    "both ways": ("overlay", "x", "lowerdir=/run,lowerdir+=/srv", "excludes lowerdir+"),
    "fuse": ("fuse", "x", "fd=5,rootmode=40000", "the option fd of the mount on {}"),
    "9p": ("9p", "x", "trans=fd,rfdno=0,wfdno=1", "the number of an open file"),
    "device": ("ext4", "/dev/sda", "", "src /dev/sda of the mount on {} cannot be looked up"),
    "socket": ("9p", "/run/socket", "trans=unix", "src /run/socket of the mount on {} cannot be"),
    "journal": ("ext4", "", "journal_path=/dev/sdb", "journal_path /dev/sdb of the mount on {}"),
    "log": ("xfs", "", "logdev=/dev/sdb", "logdev /dev/sdb of the mount on {} cannot be"),
    "relative log": ("xfs", "", "logdev=5", "logdev of the mount on {} must be an absolute path"),
    "more devices": ("btrfs", "", "device=/a,device=/b", "device /a of the mount on {} cannot be"),
    "one of several": ("bcachefs", "/dev/a:/dev/b", "", "src /dev/a of the mount on {} cannot"),
    "a relative one of several": ("bcachefs", "/dev/a:b", "", "src of the mount on {} must be an"),
    "a relative device": (
        "ext4",
        "srv/disk",
        "",
        "src of the mount on {} must be an absolute path",
    ),
    "a device by its name": ("squashfs", "disk", "", "src of the mount on {} must be an absolute"),
    "a relative socket": (
        "9p",
        "run/s",
        "trans=unix",
        "src of the mount on {} must be an absolute",
    ),
    "a namespace": ("proc", "x", "pidns=/proc/1/ns/pid", "pidns /proc/1/ns/pid of the mount"),
    "of who knows what": ("nosuchfs", "x", "of=/etc", "of /etc of the mount on {} cannot be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_looked_up_by_the_kernel_is_refused(
    case: str, run_module: RunModule, hostile: Hostile
) -> None:
    fstype, src, opts, reason = REFUSED[case]
    path = f"{hostile.prefix}/mnt"
    args = {**hostile.options, "path": path, "fstype": fstype, "src": src, "opts": opts}
    result = run_module("ns_mount", {**args, "src_in": "namespace"})
    assert result["failed"]
    assert "step" not in result
    assert reason.replace("{}", path) in result["reason"], result["reason"]
    assert result["hint"] or "absolute path" in result["reason"] or "names no" in result["reason"]


# With a definition


def test_before_a_pivot_after_it_and_at_boot(
    kernel: Kernel,
    converge: Converge,
    run_module: RunModule,
    nsctl: Nsctl,
    new_name: t.Callable[[], str],
    tmp_path: pathlib.Path,
) -> None:
    name = new_name()
    image = tmp_path / "image"
    for directory in ("var", "run/data", "proc", "mnt", "upper", "work", "old"):
        (image / directory).mkdir(parents=True)
    (image / "run/data/file").touch()
    (image / "var/run").symlink_to("/run")
    layers = "lowerdir=/srv/var/run/data,upperdir=/srv/var/../upper,workdir=/srv/work"
    tasks: list[tuple[str, Args]] = [
        ("ns_namespace", {"name": name}),
        ("ns_mount", {"path": "/srv", "src": str(image), "opts": "bind"}),
        (
            "ns_mount",
            {"path": "/srv/mnt", "src": "x", "fstype": "overlay", "opts": layers,
             "src_in": "namespace"},
        ),
        ("ns_pivot_root", {"new_root": "/srv"}),
    ]  # fmt: skip

    def play(run: t.Callable[..., Result]) -> list[Result]:
        return [
            run(
                module,
                args if module == "ns_namespace" else {**args, "namespace": name},
                env=kernel,
            )
            for module, args in tasks
        ]

    assert all(each["changed"] for each in play(converge))
    assert not any(each["changed"] for each in play(run_module))
    again = run_module("ns_mount", {**tasks[2][1], "namespace": name, "path": "/mnt"})
    assert again["actions"] == [], again
    env = {**os.environ, **kernel}
    nsctl("show", name, env=env)
    nsctl("down", name, env=env)
    nsctl("up", name, env=env)
    assert "differs" not in nsctl("show", name, env=env).stdout
    assert not any(each["changed"] for each in play(run_module))
