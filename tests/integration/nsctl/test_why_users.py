# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl why: which processes use a path, and how."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import typing as t

import pytest
from command import Nsctl
from disks import attached, new_image
from held import mounted, running, text_of, uses_of, wait_for_uses

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

Make = t.Callable[..., str]
Found = dict[str, t.Any]


def test_processes_of_the_host(nsctl: Nsctl, data: pathlib.Path) -> None:
    (data / "sub").mkdir()
    with running("import sys; f = open('file', 'r+')", cwd=data) as pid:
        found = nsctl.data("why", str(data))
        uses = [(each["how"], each["access"], each["path"]) for each in uses_of(found, pid)]
        assert uses == [("directory", "", str(data)), ("file", "read and write", f"{data}/file")]
        assert found["busy"]
        # The number that fuser(1) and lsof(8) would say.
        fd = uses_of(found, pid)[1]["fd"]
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == f"{data}/file"
        text = text_of(nsctl, data)
        assert text.startswith(f"{data} is busy\n")
        assert re.search(rf"working directory +{data}\n", text)
        assert re.search(rf"open as {fd} +{data}/file +read and write\n", text)
        assert text.index("end, or have them let go of it") < text.index("umount --lazy only")
        # A file in it, and a directory that it does not use.
        assert nsctl.data("why", f"{data}/file")["processes"][0]["pid"] == pid
        assert nsctl.data("why", f"{data}/sub")["processes"] == []
        # By the way of a link.
        link = data.parent / "link"
        link.symlink_to(data)
        assert nsctl.data("why", str(link))["real"] == str(data)
        assert nsctl.data("why", str(link))["busy"]
    assert not nsctl.data("why", str(data))["held"]


def test_what_is_mapped_run_and_bound(nsctl: Nsctl, data: pathlib.Path) -> None:
    shutil.copy("/bin/sleep", data / "sleep")
    with subprocess.Popen([data / "sleep", "1000"]) as process:
        (use,) = wait_for_uses(nsctl, data, process.pid)
        assert (use["how"], use["path"]) == ("executable", f"{data}/sleep")
        process.kill()
    script = (
        f"import mmap, os\nf = os.open('{data}/file', os.O_RDWR)\nm = mmap.mmap(f, 4)\nos.close(f)"
    )
    with running(script) as pid:
        uses = uses_of(nsctl.data("why", str(data)), pid)
        # Python keeps a descriptor of its own.
        assert {each["how"] for each in uses} <= {"file", "mapped"}
        assert ("mapped", "read and write") in [(each["how"], each["access"]) for each in uses]
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{data}/socket")
        (use,) = uses_of(nsctl.data("why", str(data)), os.getpid())
        assert (use["how"], use["fd"]) == ("socket", bound.fileno())
        assert use["path"] == f"{data}/socket"
        # It is true: who has it bound keeps the mount busy.
        with pytest.raises(OSError, match="EBUSY"):
            mounts.umount(str(data), flags=0)


def test_a_root_and_a_chroot(nsctl: Nsctl, data: pathlib.Path) -> None:
    script = f"import os; os.chroot({str(data)!r}); os.chdir('/')"
    with running(script) as pid:
        uses = uses_of(nsctl.data("why", str(data)), pid)
        assert [(each["how"], each["path"]) for each in uses] == [
            ("directory", str(data)),
            ("root", str(data)),
        ]


def test_an_open_file_of_another_namespace(nsctl: Nsctl, data: pathlib.Path) -> None:
    # It was opened on the host, and is held inside.
    with open(data / "file") as file:
        argv = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            f"umount {data}; echo; exec sleep 1000",
        ]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, pass_fds=[file.fileno()]) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            file.close()
            found = nsctl.data("why", str(data))
            (use,) = uses_of(found, process.pid)
            assert (use["how"], use["path"], use["access"]) == ("file", f"{data}/file", "read")
            assert found["busy"]
            assert "by the mount on the host" in text_of(nsctl, data)
            with pytest.raises(OSError, match="EBUSY"):
                mounts.umount(str(data), flags=0)
            process.kill()


def test_detached_and_still_in_use(nsctl: Nsctl, tmp_path: pathlib.Path) -> None:
    image = new_image("ext4", tmp_path / "image")
    with attached(image) as device, mounted(tmp_path / "disk", device, fstype="ext4") as disk:
        (disk / "file").write_text("x")
        with running("f = open('file')", cwd=disk) as pid:
            mounts.umount(str(disk), flags=mounts.MNT_DETACH)
            found = nsctl.data("why", device)
            uses = uses_of(found, pid)
            assert {(each["how"], each["mount"]) for each in uses} == {
                ("directory", None),
                ("file", None),
            }
            assert "on a mount that was detached" in text_of(nsctl, device)
        mounts.mount("none", str(disk), fstype="tmpfs")


def test_hostile_names(nsctl: Nsctl, data: pathlib.Path) -> None:
    odd = data / "a\n\x1b[31m b\\040c (deleted)\udcff"
    odd.mkdir()
    (odd / "x\ny").touch()
    script = "f = open('x\\ny')  # \x1b]0;title\x07"
    with running(script, cwd=os.fsencode(odd)) as pid:
        found = nsctl.data("why", str(data))
        assert [each["path"] for each in uses_of(found, pid)] == [str(odd), f"{odd}/x\ny"]
        done = subprocess.run(
            [nsctl.path, "why", os.fsencode(odd)], check=True, capture_output=True
        )
        text = done.stdout.decode()
        assert "\x1b" not in text
        assert "\\x1b[31m" in text
        lines = text.splitlines()
        assert sum("working directory" in line for line in lines) == 1
        with mounted(pathlib.Path(os.fsdecode(os.fsencode(odd)))):
            again = nsctl.data("why", str(data))
            assert again["mounts"][0]["mounted_on_it"] == [str(odd)]
            assert "\x1b" not in nsctl("why", str(data)).stdout


def test_among_many(nsctl: Nsctl, data: pathlib.Path) -> None:
    """60 namespaces and 300 processes."""
    script = (
        "import ctypes, os, signal\n"
        "for number in range(300):\n"
        "    if os.fork() == 0:\n"
        "        number < 60 and ctypes.CDLL(None).unshare(0x20000)\n"
        "        signal.pause()\n"
    )
    with running(script, start_new_session=True) as pid:
        try:
            assert len(nsctl.data("why", str(data))["mounts"]) >= 60
        finally:
            os.killpg(pid, signal.SIGKILL)
