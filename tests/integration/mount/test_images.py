# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: images behind loop devices, and mounts with other ids than the file system's."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from host_state import host_state
from mounted import words_on
from processes_inside import inside
from reach import let_everyone_reach
from results import Converge, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

Args = dict[str, t.Any]
Kernel = dict[str, str]


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    """On a file system that can be idmapped: a mount point, and a file of each of two owners."""
    for name in ("mnt", "src"):
        (tmp_path / name).mkdir()
    for number in (0, 7):
        (tmp_path / f"src/{number}").touch()
        os.chown(tmp_path / f"src/{number}", number, number)
    return tmp_path


def make_image(kind: str, directory: pathlib.Path, name: str = "image") -> pathlib.Path:
    image = directory / name
    if kind == "squashfs":
        if shutil.which("mksquashfs") is None:
            pytest.skip("mksquashfs (package squashfs-tools) is not installed")
        argv = ["mksquashfs", str(directory / "src"), str(image), "-quiet", "-no-progress"]
    else:
        argv = ["mkfs.ext4", "-q", "-d", str(directory / "src"), str(image), "4m"]
    subprocess.run(argv, check=True, capture_output=True)
    return image


def users_of(image: pathlib.Path) -> list[str]:
    """The loop devices that show the image."""
    found = subprocess.run(
        ["losetup", "-j", str(image)], capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


@pytest.mark.parametrize(("kind", "opts"), [("ext4", ""), ("ext4", "ro"), ("squashfs", "ro")])
def test_an_image(
    kind: str,
    opts: str,
    converge: Converge,
    target: Unshared,
    here: pathlib.Path,
) -> None:
    image = make_image(kind, here)
    args = {"pid": target.pid, "path": f"{here}/mnt"}
    wanted = {**args, "src": str(image), "fstype": kind, "opts": f"loop,{opts}"}
    made = converge("ns_mount", wanted)
    assert made["actions"] == [f"mount {kind} on {here}/mnt"]
    assert made["mounts"][0]["src"].startswith("/dev/loop")
    assert target.run("ls", f"{here}/mnt").split() == ["0", "7"] + ["lost+found"] * (kind == "ext4")
    assert ("ro" in words_on(target, here / "mnt")) == (opts == "ro")
    assert len(users_of(image)) == 1
    if kind == "ext4" and not opts:
        target.run("touch", f"{here}/mnt/new")
        changed = converge("ns_mount", {**wanted, "opts": "loop,ro"})
        assert changed["actions"] == [
            f"change options of {here}/mnt: ro",
            f"set flags of {here}/mnt: ro,relatime",
        ]
    converge("ns_mount", {**args, "state": "unmounted"})
    assert wait_until(lambda: users_of(image) == [])


def test_another_image_replaces_it(
    converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    one = make_image("ext4", here, "one")
    (here / "src/other").touch()
    two = make_image("ext4", here, "two")
    args = {"pid": target.pid, "path": f"{here}/mnt", "fstype": "ext4", "opts": "loop"}
    converge("ns_mount", {**args, "src": str(one)})
    changed = converge("ns_mount", {**args, "src": str(two)})
    assert changed["actions"] == [f"replace with ext4 on {here}/mnt (differs: src)"]
    assert "other" in target.run("ls", f"{here}/mnt")
    assert wait_until(lambda: users_of(one) == [])
    converge("ns_mount", {**args, "state": "unmounted", "opts": ""})
    assert wait_until(lambda: users_of(two) == [])


def test_from_read_only_to_writable_and_back(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    image = make_image("ext4", here)
    place = here / "mnt"
    args = {"pid": target.pid, "path": str(place), "src": str(image), "fstype": "ext4"}
    for round_ in range(3):
        converge("ns_mount", {**args, "opts": "loop,ro"}, env=kernel)
        assert "ro" in words_on(target, place)
        assert target.run("sh", "-c", f"echo no >'{place}/no' || echo refused") == "refused\n"
        changed = converge("ns_mount", {**args, "opts": "loop,noatime"}, env=kernel)
        if not round_:
            reason = "(differs: its loop device can only be read)"
            assert changed["actions"] == [f"replace with ext4 on {place} {reason}"]
        assert {"rw", "noatime"} <= words_on(target, place)
        target.run("sh", "-c", f"echo {round_} >>'{place}/7'")
        assert wait_until(lambda: len(users_of(image)) == 1)
    assert target.run("cat", f"{place}/7") == "0\n1\n2\n"
    converge("ns_mount", {**args, "state": "unmounted", "src": "", "fstype": ""}, env=kernel)
    assert wait_until(lambda: users_of(image) == [])


def test_a_device_that_somebody_else_has_attached_stays_his(
    converge: Converge, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    image = make_image("ext4", here)
    place = here / "mnt"
    words = ["losetup", "--find", "--show", "--read-only", str(image)]
    device = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    try:
        target.run("mount", "-o", "ro", device, str(place))
        before = (users_of(image), target.mounted_on(str(place)))
        args = {"pid": target.pid, "path": str(place), "src": str(image), "fstype": "ext4"}
        for check in (True, False):
            result = run_module("ns_mount", {**args, "opts": "loop"}, check=check)
            is_failure(
                result, f"{device}, which is mounted on {place}, can only be read", "ro to opts"
            )
        # Named itself, it is what it is as well.
        result = run_module("ns_mount", {**args, "src": device})
        is_failure(result, f"{device} can only be read", "Add ro to opts")
        assert (users_of(image), target.mounted_on(str(place))) == before
        assert not converge("ns_mount", {**args, "opts": "loop,ro"})["changed"]
        target.run("umount", str(place))
        result = run_module("ns_mount", {**args, "src": device})
        is_failure(result, f"{device} can only be read", "Add ro to opts")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        ({"src": "{}/none"}, "src {}/none cannot be opened on the host", "Create it first"),
        ({"src": "image"}, "src must be an absolute path, not 'image'", ""),
        ({"src": "{}/src"}, "", ""),
        ({"src": "{}/empty"}, "", ""),
        ({"src": "{}/image", "src_in": "namespace"},
         "loop of the mount on {}/mnt needs a source on the host", "Use src_in: host"),
        ({"src": "{}/image", "opts": "loop=/dev/loop7"}, "the loop device is not for opts to choose", ""),
        ({"src": "{}/image", "opts": "loop,bind", "fstype": ""}, "a bind mount takes no image", ""),
    ],
)  # fmt: skip
def test_images_that_are_refused(
    run_module: RunModule,
    target: Unshared,
    here: pathlib.Path,
    args: Args,
    reason: str,
    hint: str,
) -> None:
    (here / "empty").write_bytes(b"\0" * 8192)
    make_image("ext4", here)
    before = host_state()
    args = {"fstype": "ext4", "opts": "loop", **args}
    args["src"] = args["src"].replace("{}", str(here))
    result = run_module("ns_mount", {"pid": target.pid, "path": f"{here}/mnt", **args})
    is_failure(result, reason.replace("{}", str(here)), hint)
    assert host_state() == before
    assert wait_until(lambda: users_of(here / "empty") == [])


def owners(target: Unshared, directory: pathlib.Path) -> list[str]:
    return target.run("stat", "--format=%u:%g", f"{directory}/0", f"{directory}/7").split()


MAPS = {
    "both": ("0:100000:65536", ["100000:100000", "100007:100007"]),
    "b": ("b:0:1000:8", ["1000:1000", "1007:1007"]),
    "each": ("u:0:1000:8 g:0:2000:8", ["1000:2000", "1007:2007"]),
    "pieces": ("u:0:1000:1 u:7:5:1 g:0:0:8", ["1000:0", "5:7"]),
}


@pytest.mark.newer_kernel
@pytest.mark.parametrize("case", MAPS)
def test_an_idmapped_bind(
    case: str, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    text, seen = MAPS[case]
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src"}
    made = converge("ns_mount", {**args, "opts": ["bind", f"X-mount.idmap={text}"]})
    assert made["actions"] == [f"mount bind of {here}/src on {here}/mnt"]
    assert owners(target, here / "mnt") == seen
    assert "idmapped" in words_on(target, here / "mnt")
    # Other ids, and none at all, are differences; another spelling of the same is not.
    changed = converge("ns_mount", {**args, "opts": ["bind", "X-mount.idmap=0:3000:8"]})
    assert changed["actions"] == [
        f"replace with bind of {here}/src on {here}/mnt (differs: id map)"
    ]
    assert owners(target, here / "mnt") == ["3000:3000", "3007:3007"]
    spelled = "X-mount.idmap=u:4:3004:4 u:0:3000:4 g:0:3000:8"
    assert not converge("ns_mount", {**args, "opts": ["bind", spelled]})["changed"]
    plain = converge("ns_mount", {**args, "opts": "bind"})
    assert plain["actions"] == changed["actions"]
    assert owners(target, here / "mnt") == ["0:0", "7:7"]


def test_a_map_that_cannot_be_read_back(
    converge: Converge, run_module: RunModule, new_name: t.Callable[[], str], here: pathlib.Path
) -> None:
    """Before Linux 6.15 the definition tells what it was made with."""
    env = {"LINUX_NAMESPACES_ABSENT_CALLS": "statmount"}
    name = new_name()
    run_module("ns_namespace", {"name": name})
    args = {"namespace": name, "path": f"{here}/mnt", "src": f"{here}/src"}
    made = {**args, "opts": ["bind", "X-mount.idmap=0:3000:8"]}
    assert converge("ns_mount", made, env=env)["changed"]
    changed = converge("ns_mount", {**args, "opts": ["bind", "X-mount.idmap=0:4000:8"]}, env=env)
    assert "(differs: id map)" in changed["actions"][0]


@pytest.mark.newer_kernel
def test_the_map_of_a_user_namespace(
    converge: Converge,
    target: Unshared,
    unshared_process: UnsharedProcess,
    here: pathlib.Path,
) -> None:
    other = unshared_process(["user"])
    for which in ("uid", "gid"):
        pathlib.Path(f"/proc/{other.pid}/{which}_map").write_text("0 500 10")
    word = f"X-mount.idmap=/proc/{other.pid}/ns/user"
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src", "opts": ["bind", word]}
    converge("ns_mount", args)
    assert owners(target, here / "mnt") == ["500:500", "507:507"]


@pytest.mark.newer_kernel
def test_an_idmapped_image(converge: Converge, target: Unshared, here: pathlib.Path) -> None:
    image = make_image("ext4", here)
    opts = ["loop", "X-mount.idmap=0:1000:10"]
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": str(image), "fstype": "ext4"}
    converge("ns_mount", {**args, "opts": opts})
    assert owners(target, here / "mnt") == ["1000:1000", "1007:1007"]


@pytest.mark.newer_kernel
def test_a_target_with_ids_of_its_own(
    converge: Converge,
    run_module: RunModule,
    new_name: t.Callable[[], str],
    here: pathlib.Path,
) -> None:
    """What it is for: files of root's on the host are root's inside as well."""
    let_everyone_reach(here)
    name = new_name()
    ranges = [{"inside": 0, "outside": 100000, "count": 1000}]
    id_map = {"uid": ranges, "gid": ranges}
    made = run_module("ns_namespace", {"name": name, "kinds": ["user", "mnt"], "id_map": id_map})
    assert not made.get("failed"), made
    args = {"namespace": name, "path": f"{here}/mnt", "src": f"{here}/src"}
    converge("ns_mount", {**args, "opts": ["bind", "X-mount.idmap=0:100000:1000"]})
    found = inside(name, lambda: [os.stat(f"{here}/mnt/{each}").st_uid for each in (0, 7)])
    assert found == [0, 7]


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        ({"idmap": "u:0:1"}, "X-mount.idmap=u:0:1 is no id map", "u:INSIDE:OUTSIDE:COUNT"),
        ({"idmap": ""}, "X-mount.idmap= is no id map", ""),
        ({"idmap": "0:0:0"}, "has a number below zero or no ids", ""),
        ({"idmap": "0:5:2 1:9:2"}, "overlap", "Each id can be mapped once."),
        ({"idmap": "/no/such"}, "the user namespace /no/such of X-mount.idmap cannot be opened",
         "/proc/PID/ns/user"),
        ({"idmap": "/proc/self/ns/net"}, "is no user namespace", ""),
        ({"idmap": "0:1:1", "src_in": "namespace"}, "needs a source on the host", ""),
        ({"idmap": "0:1:1", "src": "", "bind": False, "fstype": "tmpfs"},
         "needs a source on the host", "Use src_in: host"),
    ],
)  # fmt: skip
def test_id_maps_that_are_refused(
    run_module: RunModule, target: Unshared, here: pathlib.Path, args: Args, reason: str, hint: str
) -> None:
    words = ["bind"] if args.pop("bind", True) else []
    words.append(f"X-mount.idmap={args.pop('idmap')}")
    where = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src", "opts": words}
    is_failure(run_module("ns_mount", {**where, **args}), reason, hint)
    assert target.mounted_on(f"{here}/mnt") == []


@pytest.mark.newer_kernel
def test_what_cannot_be_idmapped(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    where = {"pid": target.pid, "path": f"{here}/mnt", "opts": ["bind", "X-mount.idmap=0:1:1"]}
    result = run_module("ns_mount", {**where, "src": "/proc"})
    is_failure(
        result, "a file system of the type proc cannot be mounted with other ids", "X-mount.idmap"
    )
    assert (result["syscall"], result["errno"]) == ("mount_setattr", "EINVAL")
    word = "X-mount.idmap=/proc/self/ns/user"
    result = run_module("ns_mount", {**where, "src": f"{here}/src", "opts": ["bind", word]})
    is_failure(result, "the host's own user namespace maps nothing", "/proc/PID/ns/user")
    assert (result["syscall"], result["errno"]) == ("mount_setattr", "EPERM")
    env = {"LINUX_NAMESPACES_ABSENT_CALLS": "mount_setattr"}
    result = run_module("ns_mount", {**where, "src": f"{here}/src"}, env=env)
    is_failure(result, "this kernel cannot map the ids of a mount (Linux 5.12", "X-mount.idmap")
