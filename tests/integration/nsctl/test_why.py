# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl why: what holds a path, a device or an image, in any namespace of the host."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing as t

import pytest
from command import Nsctl
from disks import attached, new_image
from processes_inside import inside, living
from results import RunModule
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

Make = t.Callable[..., str]
Found = dict[str, t.Any]


@contextlib.contextmanager
def mounted(path: pathlib.Path, source: str = "none", **options: t.Any) -> t.Iterator[pathlib.Path]:
    """A mount on the host for the block: a tmpfs, unless it says otherwise."""
    path.mkdir(exist_ok=True)
    if not options:
        options = {"fstype": "tmpfs"}
    mounts.mount(source, str(path), **options)
    try:
        yield path
    finally:
        mounts.umount(str(path), flags=mounts.MNT_DETACH)


@pytest.fixture
def data(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A file system of its own on the host, with a file in it."""
    with mounted(tmp_path / "data") as path:
        (path / "file").write_text("something")
        yield path


@contextlib.contextmanager
def running(script: str, *words: str, **options: t.Any) -> t.Iterator[int]:
    """A Python program that prints a line once it has done what it is to do, and then waits; its pid."""
    argv = [
        *words,
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import signal\n{script}\nprint(flush=True)\nsignal.pause()",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, **options) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n", argv
            yield process.pid
        finally:
            process.kill()


def uses_of(found: Found, pid: int) -> list[Found]:
    (process,) = [each for each in found["processes"] if each["pid"] == pid]
    uses: list[Found] = process["uses"]
    return uses


def text_of(nsctl: Nsctl, path: str | os.PathLike[str]) -> str:
    """What it says of the path where there is room for it."""
    return nsctl("why", os.fspath(path), env={**os.environ, "COLUMNS": ""}).stdout


def bind(nsctl_run: RunModule, name: str, src: object, path: object, *words: str) -> None:
    args = {"namespace": name, "path": str(path), "src": str(src), "opts": ["bind", *words]}
    assert nsctl_run("ns_mount", args)["changed"]


def mount_in(found: Found, name: str) -> Found:
    (mount,) = [each for each in found["mounts"] if each["namespace"] == name]
    assert isinstance(mount, dict)
    return mount


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


def wait_for_uses(nsctl: Nsctl, path: pathlib.Path, pid: int) -> list[Found]:
    deadline = time.monotonic() + 5
    while True:
        found = nsctl.data("why", str(path))
        if any(each["pid"] == pid for each in found["processes"]):
            return uses_of(found, pid)
        assert time.monotonic() < deadline


def test_a_root_and_a_chroot(nsctl: Nsctl, data: pathlib.Path) -> None:
    script = f"import os; os.chroot({str(data)!r}); os.chdir('/')"
    with running(script) as pid:
        uses = uses_of(nsctl.data("why", str(data)), pid)
        assert [(each["how"], each["path"]) for each in uses] == [
            ("directory", str(data)),
            ("root", str(data)),
        ]


def test_a_bind_in_a_named_namespace(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    name = namespace("mnt")
    place = tmp_path / "place"
    place.mkdir()
    (data / "sub").mkdir()
    bind(run_module, name, data / "sub", place)
    found = nsctl.data("why", str(data / "sub"))
    mount = mount_in(found, name)
    assert (mount["how"], mount["path"]) == ("bind", str(place))
    assert mount["origin"] == f"a bind of {data}/sub, as its definition says"
    (step,) = found["todo"]
    assert step.startswith(
        f"unmount {place} in namespace {name}: nsctl exec {name} -- umount {place} "
    )
    assert "ns_mount with state=unmounted" in step
    # The whole of it is held by that, and by its copy.
    whole = nsctl.data("why", str(data))
    assert {each["path"] for each in whole["mounts"]} == {str(data), str(place)}
    assert (whole["held"], whole["busy"]) == (True, False)
    assert whole["todo"] == [f"unmount {data} on the host: umount {data}"]
    assert step in whole["todo_elsewhere"]
    assert "can be unmounted, but what is on it stays in use elsewhere" in text_of(nsctl, data)
    with running(f"import os; os.chdir({str(place)!r})", nsctl.path, "exec", name, "--") as pid:
        found = nsctl.data("why", str(data))
        assert [(each["how"], each["path"], each["mount"]) for each in uses_of(found, pid)] == [
            ("directory", str(place), mount["id"])
        ]
        # The mount of the host is free of it.
        assert not found["busy"]
        mounts.umount(str(data), flags=0)
        gone = nsctl.data("why", str(data))
        assert gone["held"]
        mounts.mount("none", str(data), fstype="tmpfs")


@pytest.mark.newer_kernel
def test_a_copy_that_came_along(
    nsctl: Nsctl, run_module: RunModule, new_name: Make, data: pathlib.Path
) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt"]}
    assert run_module("ns_namespace", args)["changed"]
    copy = mount_in(nsctl.data("why", str(data)), name)
    assert copy["path"] == str(data)
    assert "a copy that came along when the namespace was made" in copy["origin"]
    assert copy["how"] == "copy"
    # What is said of the host's unmounting it is what happens.
    mounts.umount(str(data), flags=0)
    try:
        found = nsctl.data("why", str(data))
        assert copy["follows_host"] == (not found["mounts"])
        if found["mounts"]:
            assert mount_in(found, name)["how"] == "copy"
            assert "nsctl exec" in found["todo"][0]
            assert found["kind"] == "directory"
    finally:
        mounts.mount("none", str(data), fstype="tmpfs")


@pytest.mark.parametrize("propagation", ["private", "slave", "shared"])
def test_how_it_spreads(
    nsctl: Nsctl, unshared_process: UnsharedProcess, tmp_path: pathlib.Path, propagation: str
) -> None:
    before = unshared_process(options=["--propagation", propagation])
    with mounted(tmp_path / "later") as later:
        (later / "file").touch()
        found = nsctl.data("why", str(later))
        others = [each for each in found["mounts"] if each["pid"] == before.pid]
        if propagation == "private":
            assert others == []
            return
        (mount,) = others
        assert mount["how"] == "propagated"
        assert mount["follows_host"]
        word = "is a slave of" if propagation == "slave" else "shares"
        assert f"it {word} peer group" in mount["origin"]
        assert f"with {later} of the host" in mount["origin"]
        with before.started(["sh", "-c", f"cd {later}; echo; exec sleep 1000"]) as pid:
            (use,) = uses_of(nsctl.data("why", str(later)), pid)
            assert use["mount"] == mount["id"]
            text = text_of(nsctl, later)
            assert f"in the mount namespace of process {before.pid}" in text
            assert "goes when the host unmounts it" in text


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


def test_mounts_on_top(nsctl: Nsctl, data: pathlib.Path) -> None:
    with mounted(data / "upper") as upper:
        found = nsctl.data("why", str(data))
        assert found["busy"]
        assert [each["mounted_on_it"] for each in found["mounts"]] == [[str(upper)]]
        assert found["todo"][:2] == [
            f"unmount {upper} on the host, which lies on it: umount {upper}",
            f"unmount {data} on the host: umount {data}",
        ]
        (data / "directory").mkdir()
        with mounted(data / "directory" / "below") as below:
            directory = nsctl.data("why", str(data / "directory"))
            assert [each["path"] for each in directory["mounted_below"]] == [str(below)]
            assert directory["held"]
        assert not nsctl.data("why", str(data / "directory"))["held"]


def test_a_directory_that_was_removed(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    name = namespace("mnt")
    place, gone = tmp_path / "place", data / "gone"
    place.mkdir()
    gone.mkdir()
    bind(run_module, name, gone, place)
    with running("pass", cwd=gone) as pid:
        gone.rmdir()
        found = nsctl.data("why", str(gone))
        assert found["kind"] == "absent"
        assert mount_in(found, name)["origin"].startswith(
            "a bind of /gone, which was removed since"
        )
        assert uses_of(found, pid)[0]["path"] == f"{gone} (deleted)"
    gone.mkdir()  # another one
    assert not nsctl.data("why", str(gone))["held"]


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


def test_a_namespace_with_a_root_of_its_own(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path
) -> None:
    name = namespace("mnt")
    (data / "root" / "inner").mkdir(parents=True)
    place = data.parent / "place"
    place.mkdir()
    bind(run_module, name, data / "root", place)
    assert run_module("ns_pivot_root", {"namespace": name, "new_root": str(place)})["changed"]
    found = nsctl.data("why", str(data / "root"))
    assert mount_in(found, name)["path"] == "/"
    assert f"take namespace {name} down: / is its root: nsctl down {name}" in found["todo"]
    with living(name) as pid:
        hows = [each["how"] for each in uses_of(nsctl.data("why", str(data)), pid)]
        assert hows[:2] == ["directory", "root"]


def test_what_only_a_namespace_has(nsctl: Nsctl, namespace: Make, tmp_path: pathlib.Path) -> None:
    name = namespace("mnt")
    place = tmp_path / "own"
    place.mkdir()

    def mount() -> None:
        mounts.mount("none", str(place), fstype="tmpfs")
        os.mkdir(place / "deep")
        mounts.mount("none", str(place / "deep"), fstype="tmpfs")

    inside(name, mount)
    found = nsctl.data("why", str(place))
    assert (found["kind"], mount_in(found, name)["how"]) == ("directory", "mount")
    deep = nsctl.data("why", str(place / "deep"))
    assert (deep["kind"], mount_in(deep, name)["path"]) == ("absent", str(place / "deep"))
    assert "there is nothing by that path on the host" in text_of(nsctl, place / "deep")
    with running(f"f = open('{place}/deep/x', 'w')", nsctl.path, "exec", name, "--") as pid:
        (use,) = uses_of(nsctl.data("why", str(place / "deep")), pid)
        assert (use["how"], use["access"]) == ("file", "write")
    inside(name, lambda: mounts.umount(str(place), flags=mounts.MNT_DETACH))
    assert "there is no" in nsctl("why", str(place / "deep"), code=1).stderr


def test_one_in_which_all_have_another_root(
    nsctl: Nsctl, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What such a process sees of the mounts is not all that its namespace has."""
    jail = tmp_path / "jail"
    jail.mkdir()
    script = f"import ctypes, os; ctypes.CDLL(None).unshare(0x20000); os.chroot({str(jail)!r}); os.chdir('/')"
    with running(script) as pid:
        found = nsctl.data("why", str(data))
        assert [each["path"] for each in found["mounts"] if each["pid"] == pid] == [str(data)]


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
                "trace=openat,open",
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
    spaces = {os.readlink(path) for path in map(str, pathlib.Path("/proc").glob("[0-9]*/ns/mnt"))}
    assert len(tables) <= len(spaces) + 1


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
