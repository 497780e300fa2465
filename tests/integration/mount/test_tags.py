# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: devices by what is on them, with the links of udev and without."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t
import uuid

import pytest
from disks import attached, link, new_ext4, new_file, partition, place, run, write_gpt
from mounted import words_on
from processes_inside import inside
from results import Converge, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.printable import printable

__all__ = ["place"]
Args = dict[str, t.Any]


@pytest.fixture
def fsuuid() -> str:
    return str(uuid.uuid4())


LABELS = {
    "plain": "data{}",
    "spaces": "a b {}",
    "quotes": "q\"'\\{}",
    "lines": "l\n\t{}",
    "utf8": "é{}",
}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_by_label(
    quote: str,
    label: str,
    converge: Converge,
    target: Unshared,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    value = LABELS[label].format(uuid.uuid4().hex[:8])
    with attached(new_ext4(tmp_path / "image", label=value)) as device:
        src = f"LABEL={quote}{value}{quote}"
        args = {"pid": target.pid, "path": str(place), "src": src, "fstype": "ext4"}
        made = converge("ns_mount", args)
        shown = printable(f"mount ext4 of {device} ({src}) on {place}")
        assert made["actions"] == [shown]
        assert made["mounts"][0]["src"] == device
        converge("ns_mount", {"pid": target.pid, "path": str(place), "state": "unmounted"})


def test_by_uuid_in_a_definition(
    converge: Converge,
    run_module: RunModule,
    new_name: t.Callable[[], str],
    nsctl: t.Any,
    fsuuid: str,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    """The definition keeps the tag: the device may be another one when it comes up again."""
    name, image = new_name(), new_ext4(tmp_path / "image", fsuuid=fsuuid)
    converge("ns_namespace", {"name": name, "kinds": ["mnt"]})
    mount = {"namespace": name, "path": str(place), "src": f"UUID={fsuuid}", "fstype": "auto"}
    with contextlib.ExitStack() as later:
        with attached(image) as first:
            made = converge("ns_mount", mount)
            assert made["mounts"][0]["src"] == first
            (row,) = nsctl.data("show", name)["mounts"]
            assert row["state"] == "ok"
            assert row["wanted"]["src"] == f"UUID={fsuuid}"
            assert row["wanted"]["fstype"] == "auto"
            assert not converge("ns_mount", mount)["changed"]
            # By its name it is the same device.
            device = run_module("ns_mount", {**mount, "src": first, "fstype": "ext4"})
            assert [each.split()[0] for each in device["actions"]] == ["record"]
            assert run_module("ns_mount", mount)["changed"]
            nsctl("down", name)
            # While the other is there still: it cannot be the same one.
            second = later.enter_context(attached(image))
        nsctl("up", name)
        assert second in inside(name, lambda: pathlib.Path("/proc/self/mountinfo").read_text())
        assert not converge("ns_mount", mount)["changed"]
        nsctl("down", name)


def test_partitions(
    converge: Converge,
    run_module: RunModule,
    target: Unshared,
    fsuuid: str,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    name = f"part {fsuuid[:8]}"
    disk = write_gpt(tmp_path / "disk", label=name, partuuid=fsuuid)
    args: Args = {"pid": target.pid, "path": str(place)}
    with attached(disk) as device, partition(device) as part:
        run("mkfs.ext4", "-q", part)
        for src in (f"PARTUUID={fsuuid}", f'PARTLABEL="{name}"'):
            made = converge("ns_mount", {**args, "src": src})
            assert made["mounts"][0]["src"] == part
            converge("ns_mount", {**args, "state": "unmounted"})
        whole = run_module("ns_mount", {**args, "src": device})
        is_failure(whole, f"{device} holds a table of partitions (gpt)", "Name a partition")


def test_for_a_program_alone(
    run_module: RunModule, fsuuid: str, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """ns_unshare_run takes the same."""
    with attached(new_ext4(tmp_path / "image", fsuuid=fsuuid)) as device:
        mount = {"path": str(place), "src": f"UUID={fsuuid}"}
        gone = {"path": str(tmp_path), "src": "LABEL=gone", "opts": ["nofail"]}
        args = {"argv": ["grep", f" {place} ", "/proc/self/mountinfo"], "mounts": [mount, gone]}
        result = run_module("ns_unshare_run", args)
        assert f"- ext4 {device} " in result.get("stdout", ""), result
        left_out = f"the mount on {tmp_path} is left out: no device of this host has LABEL=gone"
        assert left_out in str(result["warnings"])
        # What it runs in is gone with it, and so is the mount.
        gone["opts"] = []
        is_failure(run_module("ns_unshare_run", args), "no device of this host has LABEL=gone", "")


@pytest.mark.parametrize("check", [True, False])
def test_on_two_devices(
    check: bool,
    run_module: RunModule,
    target: Unshared,
    fsuuid: str,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    images = [new_ext4(tmp_path / each, fsuuid=fsuuid) for each in ("one", "two")]
    with attached(images[0]) as one, attached(images[1]) as two:
        args = {"pid": target.pid, "path": str(place), "src": f"UUID={fsuuid}", "fstype": "ext4"}
        result = run_module("ns_mount", args, check=check)
        devices = ", ".join(sorted([one, two]))
        is_failure(result, f"UUID={fsuuid} is on several devices: {devices}", "Name one of them")
        # nofail is for what does not exist.
        assert run_module("ns_mount", {**args, "opts": "nofail"}, check=check)["failed"]
    assert target.mounted_on(str(place)) == []


def test_a_btrfs_of_two_devices_is_one(
    converge: Converge,
    run_module: RunModule,
    target: Unshared,
    fsuuid: str,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    images = [new_file(tmp_path / each, "120m") for each in ("one", "two")]
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(attached(image)) for image in images]
        run("mkfs.btrfs", "-q", "-U", fsuuid, *devices)
        args = {"pid": target.pid, "path": str(place), "src": f"UUID={fsuuid}"}
        made = converge("ns_mount", {**args, "fstype": "auto"})
        assert made["mounts"][0]["src"] in devices
        converge("ns_mount", {**args, "fstype": "btrfs", "opts": "ro"})
        assert "ro" in words_on(target, place)
        converge("ns_mount", {"pid": target.pid, "path": str(place), "state": "unmounted"})
        # A copy of one of them is one too many.
        run("cp", str(images[1]), str(tmp_path / "copy"))
        stack.enter_context(attached(tmp_path / "copy"))
        assert "is on several devices" in run_module("ns_mount", args)["reason"]


def test_links_of_udev(
    converge: Converge,
    run_module: RunModule,
    target: Unshared,
    fsuuid: str,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    """One that leads to the wrong device is not believed; of two that are right it tells which."""
    images = [new_ext4(tmp_path / each, fsuuid=fsuuid) for each in ("one", "two")]
    by_uuid, by_id = f"/dev/disk/by-uuid/{fsuuid}", f"/dev/disk/by-id/loop-{fsuuid}"
    args: Args = {"pid": target.pid, "path": str(place), "src": f"UUID={fsuuid}"}
    unmounted: Args = {"pid": target.pid, "path": str(place), "state": "unmounted"}
    with attached(images[0]) as one:
        with attached(new_ext4(tmp_path / "other")) as other, link(by_uuid, other):
            assert converge("ns_mount", args)["mounts"][0]["src"] == one
            converge("ns_mount", unmounted)
        with attached(images[1]) as two, link(by_uuid, two):
            assert converge("ns_mount", args)["mounts"][0]["src"] == two
            converge("ns_mount", unmounted)
        args["src"] = f"ID=loop-{fsuuid}"
        is_failure(
            run_module("ns_mount", args), f"no device of this host has {args['src']}", "udev"
        )
        with link(by_id, one):
            assert converge("ns_mount", args)["mounts"][0]["src"] == one
            converge("ns_mount", unmounted)


@pytest.mark.parametrize(
    ("src", "reason", "hint"),
    [
        ("UUID=", "names no device", "Write what blkid(8) shows"),
        ('LABEL=""', "names no device", "Write what blkid(8) shows"),
        ('LABEL="x', "a quote is not closed", "Write LABEL="),
        ("UUID=none-such", "no device of this host has UUID=none-such", "lsblk --fs"),
        ("ID=../../vda", "no device of this host has ID=", "/dev/disk/by-id"),
        ("UUID=../../vda", "no device of this host has UUID=", "lsblk --fs"),
    ],
)
def test_refused(
    src: str,
    reason: str,
    hint: str,
    run_module: RunModule,
    target: Unshared,
    place: pathlib.Path,
) -> None:
    args = {"pid": target.pid, "path": str(place), "src": src, "fstype": "ext4"}
    is_failure(run_module("ns_mount", args), reason, hint)
    assert run_module("ns_mount", {**args, "opts": "bind", "fstype": ""})["failed"]
    inner = run_module("ns_mount", {**args, "src_in": "namespace"})
    assert inner["failed"], inner
    assert target.mounted_on(str(place)) == []


def test_in_check_mode_an_earlier_task_may_make_it(
    run_module: RunModule, target: Unshared, place: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(place), "src": "LABEL=to-come", "fstype": "auto"}
    result = run_module("ns_mount", args, check=True)
    assert result["actions"] == [f"mount auto of LABEL=to-come on {place}"]


def test_without_blkid(
    run_module: RunModule, unshared_process: UnsharedProcess, place: pathlib.Path
) -> None:
    """The PATH of the task does not count: what runs is the host's."""
    target = unshared_process()
    args = {"pid": target.pid, "path": str(place), "src": "UUID=none-such", "fstype": "ext4"}
    hostile = {"PATH": "/nowhere", "BLKID_FILE": "/etc/shadow", "LIBBLKID_DEBUG": "all"}
    result = run_module("ns_mount", args, env={**os.environ, **hostile})
    is_failure(result, "no device of this host has UUID=none-such", "lsblk --fs")
