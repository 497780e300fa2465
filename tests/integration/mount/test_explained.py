# SPDX-License-Identifier: GPL-3.0-or-later
"""Each errno that a mount can meet, provoked: what is said of it is the cause, and what to do.

Those of ERRORS in mount(2), umount2(2), mount_setattr(2), open_tree(2) and move_mount(2), beside
what test_refused.py has.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import subprocess
import typing as t

import pytest
from disks import attached
from explained import failed
from results import RunModule
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NOBODY = 65534
OLDER = {"LINUX_NAMESPACES_ABSENT_CALLS": "mount_setattr"}
Args = dict[str, t.Any]
IN_A_USER_NAMESPACE = ["--map-root-user"]


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("mnt", "src"):
        (tmp_path / name).mkdir()
    return tmp_path


@contextlib.contextmanager
def using(target: Unshared, script: str) -> t.Iterator[int]:
    """A shell in the target that has run the script and goes on living; its pid."""
    argv = ["nsenter", f"--target={target.pid}", "--mount", "--wd=/", "sh", "-c"]
    process = subprocess.Popen(
        [*argv, f"{script}\necho; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline() == b"\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def ext4(image: pathlib.Path) -> pathlib.Path:
    subprocess.run(["mkfs.ext4", "-q", str(image), "4m"], check=True)
    return image


# Paths


def test_eloop(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    (here / "loop").symlink_to("loop")
    result = run_module(
        "ns_mount", {"pid": target.pid, "path": f"{here}/loop/x", "fstype": "tmpfs"}
    )
    reason = f"{here}/loop/x leads through too many symbolic links"
    failed(result, "openat2", "ELOOP", reason, "Name the place itself.")


@pytest.mark.parametrize(
    ("tail", "reason"),
    [("x" * 256, "a name in it has 256 bytes"), ("x/" * 2100, "it has 4")],
)
def test_enametoolong(
    run_module: RunModule, target: Unshared, here: pathlib.Path, tail: str, reason: str
) -> None:
    for opts in ("", "X-mount.mkdir"):
        args = {"pid": target.pid, "path": f"{here}/{tail}", "fstype": "tmpfs", "opts": opts}
        result = run_module("ns_mount", args)
        failed(result, "openat2", "ENAMETOOLONG", "the path is too long: ", "255")
        assert reason in result["reason"]


def test_erofs_where_a_place_is_to_be_made(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args: Args = {"pid": target.pid, "fstype": "tmpfs", "path": f"{here}/mnt", "opts": "ro"}
    run_module("ns_mount", args)
    result = run_module("ns_mount", {**args, "path": f"{here}/mnt/x", "opts": "X-mount.mkdir"})
    reason = f"{here}/mnt/x lies on a file system that can only be read"
    failed(result, "mkdirat", "EROFS", reason, "Mount something writable above it first")


# Devices


def test_eacces_a_device_that_can_only_be_read(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    with attached(ext4(here / "image"), "--read-only") as device:
        args = {"pid": target.pid, "path": f"{here}/mnt", "src": device, "fstype": "ext4"}
        result = run_module("ns_mount", args)
        assert result["errno"] in ("EACCES", "EROFS")
        failed(result, "fsconfig", result["errno"], "", "dd ro to opts")
        assert not run_module("ns_mount", {**args, "opts": "ro"}).get("failed")
        run_module("ns_mount", {**args, "state": "unmounted"})


def test_eacces_a_device_below_nodev(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    run_module("ns_mount", {"path": f"{here}/src", "fstype": "tmpfs", "opts": "nodev"})
    try:
        os.mknod(here / "src/disk", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
        args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/src/disk"}
        result = run_module("ns_mount", {**args, "fstype": "ext4"})
        reason = f"src {here}/src/disk lies on a mount with nodev: {here}/src"
        failed(result, "fsconfig", "EACCES", reason, "below /dev")
    finally:
        run_module("ns_mount", {"path": f"{here}/src", "state": "unmounted"})


def test_enxio_a_device_without_a_driver(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    os.mknod(here / "disk", 0o600 | stat.S_IFBLK, os.makedev(260, 3))
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/disk", "fstype": "ext4"}
    failed(run_module("ns_mount", args), "fsconfig", "ENXIO", "disk", "")


def test_enotblk_an_image_without_loop(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    image = ext4(here / "image")
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": str(image), "fstype": "ext4"}
    failed(run_module("ns_mount", args), "fsconfig", "ENOTBLK", str(image), "add loop to opts")


def test_ebusy_a_device_in_use(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    with attached(ext4(here / "image")) as device:
        args = {"pid": target.pid, "src": device, "path": f"{here}/mnt"}
        assert not run_module("ns_mount", {**args, "fstype": "ext4"}).get("failed")
        result = run_module("ns_mount", {**args, "path": f"{here}/src", "fstype": "xfs"})
        assert result["errno"] == "EBUSY"
        failed(result, "fsconfig", "EBUSY", device, "")
        run_module("ns_mount", {**args, "state": "unmounted"})


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "squashfs", "btrfs"])
def test_einval_a_bad_superblock(
    run_module: RunModule, target: Unshared, here: pathlib.Path, fstype: str
) -> None:
    (here / "image").write_bytes(b"\1" * (1 << 22))
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/image", "fstype": fstype}
    result = run_module("ns_mount", {**args, "opts": "loop,ro"})
    # As the log of a file-system context where there is one, else as found by looking.
    reason = "the kernel says: " if "says" in result["reason"] else f"holds no {fstype} file system"
    failed(result, "fsconfig", "EINVAL", reason, "opts")


# What is mounted


def test_ebusy_unmount_names_who_uses_it(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    place = f"{here}/mnt"
    args: Args = {"pid": target.pid, "path": place, "fstype": "tmpfs"}
    run_module("ns_mount", args)
    for script in (f"cd '{place}'", f"exec 5>'{place}/file'"):
        with using(target, script) as pid:
            result = run_module("ns_mount", {**args, "state": "unmounted"})
            reason = f"the mount on {place} is in use by {pid} (sh)"
            failed(result, "umount2", "EBUSY", reason, "End the processes that use it")
            assert result["step"] == f"unmount {place}"
    mapped = f"cp /bin/sleep '{place}/busy'; '{place}/busy' 100 & echo $! >'{here}/pid'; sleep 0.1"
    with using(target, mapped):
        busy = int((here / "pid").read_text())
        comm = pathlib.Path(f"/proc/{busy}/comm")
        assert wait_until(lambda: comm.read_text() == "busy\n")
        try:
            result = run_module("ns_mount", {**args, "state": "unmounted"})
        finally:
            os.kill(busy, 9)
    failed(result, "umount2", "EBUSY", f"in use by {busy} (busy)", "End the processes")


def test_ebusy_unmount_of_what_is_below(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args: Args = {"pid": target.pid, "path": f"{here}/mnt", "fstype": "tmpfs"}
    inner = {**args, "path": f"{here}/mnt/inner", "opts": "X-mount.mkdir"}
    for each in (args, inner):
        run_module("ns_mount", each)
    with using(target, f"cd '{here}/mnt/inner'") as pid:
        result = run_module("ns_mount", {**args, "state": "unmounted"})
        reason = f"the mount on {here}/mnt/inner is in use by {pid} (sh)"
        failed(result, "umount2", "EBUSY", reason, "End the processes that use it")
        keep = {"pid": target.pid, "path": f"{here}/src", "fstype": "tmpfs"}
        result = run_module("ns_mount", {**keep, "exclusive_below": f"{here}/mnt"})
        failed(result, "umount2", "EBUSY", reason, "End the processes that use it")


@pytest.mark.parametrize(
    "env",
    [pytest.param({}, marks=pytest.mark.newer_kernel), OLDER],
    ids=["newest", "older"],
)
def test_ebusy_read_only_with_writers(
    run_module: RunModule, target: Unshared, here: pathlib.Path, env: dict[str, str]
) -> None:
    place = f"{here}/mnt"
    args: Args = {"pid": target.pid, "path": place}
    run_module("ns_mount", {**args, "fstype": "tmpfs"})
    with using(target, f"exec 5>'{place}/file'") as pid:
        result = run_module("ns_mount", {**args, "state": "remounted", "opts": "ro"}, env=env)
        reason = f"files on {place} are open for writing, so that it cannot become read-only by"
        call = "mount" if env else "mount_setattr"
        failed(result, call, "EBUSY", reason, "have them close their files")
        assert f"{pid} (sh)" in result["reason"]
        assert "rw" in target.mounted_on(place)[0].split(" ")[5]
        whole = run_module("ns_mount", {**args, "fstype": "tmpfs", "opts": "ro"}, env=env)
        assert (whole["errno"], whole["reason"]) == ("EBUSY", result["reason"])


def test_einval_bind_of_what_is_unbindable(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args: Args = {"pid": target.pid, "path": f"{here}/src", "fstype": "tmpfs"}
    run_module("ns_mount", {**args, "propagation": "unbindable"})
    bind = {"path": f"{here}/mnt", "src": f"{here}/src", "opts": "bind", "src_in": "namespace"}
    result = run_module("ns_mount", {"pid": target.pid, **bind})
    reason = f"{here}/src lies on a mount that is unbindable: {here}/src"
    failed(result, "open_tree", "EINVAL", reason, "Bind something else")


@pytest.mark.parametrize("name", ["a\rb", "a\x0bb", "a\x85b"])
def test_a_name_that_breaks_lines_does_not_hide_the_cause(
    run_module: RunModule, target: Unshared, here: pathlib.Path, name: str
) -> None:
    """The kernel writes it into the host's mount table as it is; so only "\\n" ends a line."""
    odd, src = here / name, here / "src"
    odd.mkdir()
    for path in (odd, src):
        mounts.mount("tests", str(path), fstype="tmpfs")
    try:
        mounts.mount("none", str(src), flags=mounts.MS_UNBINDABLE)
        bind = {"path": f"{here}/mnt", "src": str(src), "opts": "bind"}
        result = run_module("ns_mount", {"pid": target.pid, **bind})
        reason = f"{src} lies on a mount that is unbindable: {src}"
        failed(result, "open_tree", "EINVAL", reason, "Bind something else")
        listed = run_module("ns_mount_info", {"path": str(odd)})["mounts"]
        assert [mount["path"] for mount in listed] == [str(odd)]
    finally:
        for path in (odd, src):
            mounts.umount(str(path))


def test_a_mount_namespace_in_itself(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    (here / "file").touch()
    args = {"pid": target.pid, "path": f"{here}/file", "src": f"/proc/{target.pid}/ns/mnt"}
    result = run_module("ns_mount", {**args, "opts": "bind"})
    assert result["errno"] in ("EINVAL", "ELOOP")
    reason = "is a mount namespace that is not younger than the one it would be mounted in"
    failed(result, result["syscall"], result["errno"], reason, "Pin it from the namespace")


def test_enospc_as_many_mounts_as_there_may_be(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    limit = int(pathlib.Path("/proc/sys/fs/mount-max").read_text())
    doublings = limit.bit_length() - 1
    if doublings > 17:
        pytest.skip(f"fs.mount-max is {limit}: to make so many mounts takes too long")
    words = f"mount -t tmpfs tests '{here}/src'; cd '{here}/src'\n"
    words += "".join(f"mkdir {n}; mount --rbind . {n}\n" for n in range(doublings))
    target.run("sh", "-ec", f"{words}mkdir last")
    args = {"pid": target.pid, "path": f"{here}/src/last", "src": f"{here}/src"}
    result = run_module("ns_mount", {**args, "opts": "rbind", "src_in": "namespace"})
    reason = f"the mount namespace would have more mounts than fs.mount-max allows: {limit}"
    failed(result, "move_mount", "ENOSPC", reason, "raise fs.mount-max")
    target.run("umount", "--lazy", f"{here}/src")


# User namespaces


@pytest.mark.newer_kernel
def test_eperm_flags_that_are_locked(
    run_module: RunModule, unshared_process: UnsharedProcess, here: pathlib.Path
) -> None:
    place = f"{here}/mnt"
    run_module("ns_mount", {"path": place, "fstype": "tmpfs", "opts": "nosuid,nodev,noexec"})
    try:
        inside = unshared_process(["user", "mnt"], options=IN_A_USER_NAMESPACE)
        args = {"pid": inside.pid, "path": place, "state": "remounted"}
        for env, call in (({}, "mount_setattr"), (OLDER, "mount")):
            result = run_module("ns_mount", {**args, "opts": "suid,nodev,exec"}, env=env)
            reason = (
                f"the mount on {place} came with the user namespace, where these flags are "
                "locked: nosuid, noexec"
            )
            failed(result, call, "EPERM", reason, "Add them to opts: nosuid,noexec.")
        result = run_module("ns_mount", {**args, "state": "unmounted"})
        reason = f"the mount on {place} came with the user namespace and is locked there"
        failed(result, "umount2", "EINVAL", reason, "Mount something over it")
    finally:
        run_module("ns_mount", {"path": place, "state": "unmounted"})


@pytest.mark.parametrize(("fstype", "kind"), [("proc", "pid"), ("sysfs", "net"), ("mqueue", "ipc")])
def test_eperm_what_shows_a_namespace_of_the_host(
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    here: pathlib.Path,
    fstype: str,
    kind: str,
) -> None:
    inside = unshared_process(["user", "mnt"], options=IN_A_USER_NAMESPACE)
    result = run_module("ns_mount", {"pid": inside.pid, "path": f"{here}/mnt", "fstype": fstype})
    reason = f"a new {fstype} may only be mounted by the owner of the {kind} namespace"
    failed(result, result.get("syscall", ""), "EPERM", reason, f"Add {kind} to the kinds")
    assert result["syscall"] in ("fsopen", "fsconfig", "fsmount")


def test_eperm_a_file_system_that_is_not_for_user_namespaces(
    run_module: RunModule, unshared_process: UnsharedProcess, here: pathlib.Path
) -> None:
    inside = unshared_process(["user", "mnt"], options=IN_A_USER_NAMESPACE)
    args = {"pid": inside.pid, "path": f"{here}/mnt", "fstype": "debugfs"}
    result = run_module("ns_mount", args)
    reason = "the kernel lets no user namespace mount debugfs"
    failed(result, result.get("syscall", ""), "EPERM", reason, "Mount it on the host and bind it")


def test_einval_a_bind_that_would_reveal_what_is_covered(
    run_module: RunModule, unshared_process: UnsharedProcess, here: pathlib.Path
) -> None:
    (here / "src/inner").mkdir()
    run_module("ns_mount", {"path": f"{here}/src/inner", "fstype": "tmpfs"})
    try:
        inside = unshared_process(["user", "mnt"], options=IN_A_USER_NAMESPACE)
        args = {"pid": inside.pid, "path": f"{here}/mnt", "src": f"{here}/src"}
        result = run_module("ns_mount", {**args, "opts": "bind", "src_in": "namespace"})
        reason = (
            f"what is mounted below {here}/src cannot be left out in a user namespace: "
            f"{here}/src/inner"
        )
        failed(result, "open_tree", "EINVAL", reason, "Use rbind.")
    finally:
        run_module("ns_mount", {"path": f"{here}/src/inner", "state": "unmounted"})
