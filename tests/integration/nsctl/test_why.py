# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl why: what nothing holds, what the kernel holds, and what does not answer."""

from __future__ import annotations

import collections
import os
import pathlib
import re
import subprocess
import time
import typing as t

import pytest
from command import Nsctl
from disks import new_image
from held import bind, mount_in, mounted, running
from results import RunModule
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

Make = t.Callable[..., str]
Found = dict[str, t.Any]


def test_nothing_holds_it(nsctl: Nsctl, data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert nsctl("why", str(data)).stdout == f"nothing holds {data}: it can be unmounted\n"
    found = nsctl.data("why", str(data))
    assert (found["kind"], found["held"], found["busy"]) == ("mount", False, False)
    assert found["processes"] == found["kernel"] == found["notes"] == []
    mounts.umount(str(data), flags=0)
    assert nsctl("why", str(data)).stdout == f"nothing holds {data}\n"
    mounts.mount("none", str(data), fstype="tmpfs")
    (tmp_path / "directory").mkdir()
    assert nsctl("why", str(tmp_path / "directory")).stdout.startswith("nothing holds")


def test_wrong_words(nsctl: Nsctl, tmp_path: pathlib.Path) -> None:
    assert "name one path" in nsctl("why", code=2).stderr
    assert "name one path" in nsctl("why", "/a", "/b", code=2).stderr
    assert "name one path" in nsctl("why", "", code=2).stderr
    done = nsctl("why", str(tmp_path / "nosuch"), code=1)
    assert "nsctl why: there is no" in done.stderr
    assert done.stdout == ""


def test_an_image_and_its_device(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    name = namespace("mnt")
    images, place = tmp_path / "images", tmp_path / "place"
    place.mkdir()
    with mounted(images):
        image = new_image("ext4", images / "image")
        args = {
            "namespace": name,
            "path": str(place),
            "src": str(image),
            "fstype": "ext4",
            "opts": ["loop"],
        }
        assert run_module("ns_mount", args)["changed"]
        found = nsctl.data("why", str(image))
        mount = mount_in(found, name)
        device = mount["src"]
        assert mount["origin"].startswith(f"ext4 of {device}, which shows {image}")
        (loop,) = found["kernel"]
        assert loop["kind"] == "loop"
        assert loop["text"] == f"{device} shows {image}, mounted on {place} in namespace {name}"
        # By the device, and by the file system that the image lies on.
        assert mount_in(nsctl.data("why", device), name)["id"] == mount["id"]
        below = nsctl.data("why", str(images))
        assert [each["kind"] for each in below["kernel"]] == ["loop"]
        assert below["busy"]
        with pytest.raises(OSError, match="EBUSY"):
            mounts.umount(str(images), flags=0)
        remove = {"namespace": name, "path": str(place), "state": "unmounted"}
        assert run_module("ns_mount", remove)["changed"]


def test_a_layer_of_an_overlay(
    nsctl: Nsctl, unshared_process: UnsharedProcess, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    process = unshared_process()
    for path in (data / "low,er", data / "upper", data / "work", tmp_path / "merged"):
        path.mkdir()
    options = f"lowerdir={data}/low\\,er,upperdir={data}/upper,workdir={data}/work"
    process.run("mount", "-t", "overlay", "-o", options, "none", f"{tmp_path}/merged")
    found = nsctl.data("why", str(data))
    texts = [each["text"] for each in found["kernel"]]
    where = f"the overlay on {tmp_path}/merged in the mount namespace of process {process.pid}"
    assert texts == [
        f"{where} has {data}/low,er as its lowerdir",
        f"{where} has {data}/upper as its upperdir",
        f"{where} has {data}/work as its workdir",
    ]
    assert nsctl.data("why", f"{data}/upper")["kernel"][0]["text"] == texts[1]


def test_a_file_system_that_does_not_answer(nsctl: Nsctl, tmp_path: pathlib.Path) -> None:
    """FUSE of which nobody reads the questions."""
    place = tmp_path / "dead"
    place.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        mounts.mount("dead", str(place), fstype="fuse", data=options)
        try:
            begun = time.monotonic()
            found = nsctl.data("why", str(place))
            assert time.monotonic() - begun < 10
            assert (found["kind"], found["real"]) == ("mount", str(place))
            assert "nothing answers" in found["notes"][0]
            # Others are told of as fast as ever.
            begun = time.monotonic()
            nsctl.data("why", str(tmp_path))
            assert time.monotonic() - begun < 2
        finally:
            mounts.umount(str(place), flags=mounts.MNT_DETACH)
    finally:
        os.close(device)


def test_nothing_is_read_twice(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    name = namespace("mnt")
    (tmp_path / "place").mkdir()
    bind(run_module, name, data, tmp_path / "place")
    log = tmp_path / "log"
    with running("f = open('file')", cwd=data):
        subprocess.run(
            [
                "strace",
                "-f",
                "-y",
                "-e",
                "trace=openat,open,readlink,readlinkat",
                "-o",
                str(log),
                nsctl.path,
                "why",
                str(data),
            ],
            check=True,
            capture_output=True,
        )
    opened = re.findall(
        r'openat\((?:AT_FDCWD[^,]*|\d+<(/proc/\d+)?[^>]*>), "([^"]+)"[^)]*\) = \d', log.read_text()
    )
    names = [f"{above}/{each}" if above else each for above, each in opened]
    of_proc = [each for each in names if re.match(r"/proc/\d+/.|/proc/self/mountinfo", each)]
    twice = {each: count for each, count in collections.Counter(of_proc).items() if count > 1}
    assert any(each.endswith("/maps") for each in of_proc)
    assert twice == {}
    # A table for each mount namespace, and that of the host.
    tables = [each for each in of_proc if each.endswith("mountinfo")]
    spaces = set(re.findall(r'"mnt:\[\d+\]"', log.read_text()))
    assert len(tables) <= len(spaces) + 1
