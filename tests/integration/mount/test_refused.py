# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: what cannot be is refused before anything was changed, and failures say why."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from results import Result, RunModule
from unshared_process import Unshared

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import sentence

NOBODY = 65534
GOOD = {"path": "{}/mnt", "fstype": "tmpfs"}


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("mnt", "src"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link-out").symlink_to("../../../../../../../no/such")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def filled(value: t.Any, directory: pathlib.Path) -> t.Any:
    if isinstance(value, dict):
        return {key: filled(each, directory) for key, each in value.items()}
    return value.replace("{}", str(directory)) if isinstance(value, str) else value


# The arguments, the reason (or the start of the message), and part of the hint.
REFUSED: dict[str, tuple[dict[str, t.Any], str, str]] = {
    "relative path": ({"path": "mnt", "fstype": "tmpfs"},
                      "path must be an absolute path, not 'mnt'", ""),
    "empty path": ({"path": "", "fstype": "tmpfs"}, "path must be an absolute path, not ''", ""),
    "dots": ({"path": "{}/../mnt", "fstype": "tmpfs"}, "path must not hold '..': '{}/../mnt'",
             "Write the path that is meant."),
    "null": ({"path": "/a\0b", "fstype": "tmpfs"},
             "must not hold a null character", ""),
    "missing mount point": ({"path": "{}/none", "fstype": "tmpfs"},
                            "{}/none does not exist in the target", "add X-mount.mkdir to opts"),
    "mount point below a file": ({"path": "{}/file/x", "fstype": "tmpfs"},
                                 "{}/file/x does not exist in the target", ""),
    "a link that leads nowhere": ({"path": "{}/link-out", "fstype": "tmpfs"},
                                  "{}/link-out does not exist in the target", ""),
    "file system on a file": (
        {"path": "{}/file", "fstype": "tmpfs"},
        "{}/file is not a directory, but what is mounted on it is a directory",
        "A directory is mounted on a directory, a file on a file"),
    "directory on a file": (
        {"path": "{}/file", "src": "{}/src", "opts": "bind"},
        "{}/file is not a directory, but what is mounted on it is a directory", ""),
    "file on a directory": (
        {"path": "{}/mnt", "src": "{}/file", "opts": "bind"},
        "{}/mnt is a directory, but what is mounted on it is not a directory", ""),
    "bind without a source": ({"path": "{}/mnt", "opts": "bind"},
                              "the bind on {}/mnt needs src", ""),
    "bind with a relative source": ({"path": "{}/mnt", "src": "src", "opts": "bind"},
                                    "src must be an absolute path, not 'src'", ""),
    "bind of what is missing": (
        {"path": "{}/mnt", "src": "{}/none", "opts": "bind"},
        "src {}/none cannot be opened on the host: No such file or directory",
        "Create it first, or use src_in: namespace"),
    "bind of a loop of links": (
        {"path": "{}/mnt", "src": "{}/loop", "opts": "bind"},
        "src {}/loop cannot be opened on the host: Too many levels of symbolic links", ""),
    "bind of what is missing inside": (
        {"path": "{}/mnt", "src": "{}/none", "opts": "bind", "src_in": "namespace"},
        "src {}/none does not exist in the target", "Create it first"),
    "bind with a file system": (
        {"path": "{}/mnt", "src": "{}/src", "fstype": "tmpfs", "opts": "bind"},
        "a bind on {}/mnt has no file-system type of its own, not 'tmpfs'", "Leave fstype out."),
    "bind with options of a file system": (
        {"path": "{}/mnt", "src": "{}/src", "opts": "bind,size=1m"},
        "a bind mount takes no file-system option: size", ""),
    "no file system": ({"path": "{}/mnt"}, "the mount on {}/mnt needs fstype", "add bind to opts"),
    "remount in opts": ({"path": "{}/mnt", "fstype": "tmpfs", "opts": "remount,ro"},
                        "'remount' is not a mount option here", "Use state: remounted."),
    "propagation in opts": ({"path": "{}/mnt", "fstype": "tmpfs", "opts": "rslave"},
                            "'rslave' is not a mount option here", "Use propagation: rslave."),
    "open quote": ({"path": "{}/mnt", "fstype": "tmpfs", "opts": 'size="1m'},
                   "a quote is not closed in the mount options", ""),
    "remount of nothing": ({"path": "{}/mnt", "state": "remounted", "opts": "ro"},
                           "nothing is mounted on {}/mnt, so there is nothing to remount",
                           "Use state: mounted."),
    "unmounting the root": ({"path": "/", "state": "unmounted"},
                            "/ is the root of the target and cannot be unmounted", ""),
    "replacing the root": ({"path": "/", "fstype": "tmpfs"},
                           "/ is the root of the namespace and differs in", ""),
    "relative exclusive_below": (
        {**GOOD, "exclusive_below": "mnt"}, "exclusive_below must be an absolute path", ""),
    "a pid that is persistent": (
        {**GOOD, "persistent": True}, "cannot be persistent: it has no definition",
        "Use a named namespace"),
}  # fmt: skip


def is_refused(result: Result, reason: str, hint: str, here: pathlib.Path) -> None:
    assert result.get("failed"), result
    assert reason.replace("{}", str(here)) in result["reason"]
    assert hint in result["hint"]
    assert result["msg"] == sentence(result["reason"], result["hint"])
    assert "Traceback" not in str(result)
    assert "syscall" not in result


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    args, reason, hint = REFUSED[case]
    before = target.mountinfo()
    is_refused(
        run_module("ns_mount", {"pid": target.pid, **filled(args, here)}), reason, hint, here
    )
    assert target.mountinfo() == before


@pytest.mark.parametrize(
    "case", [name for name, (args, *_rest) in REFUSED.items() if args.keys() <= {
        "path", "src", "fstype", "opts", "state", "src_in"} and args["path"] != "/"]
)  # fmt: skip
def test_refused_in_a_list_before_its_first_mount_is_made(
    case: str, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args, reason, hint = REFUSED[case]
    (here / "first").mkdir()
    before = target.mountinfo()
    mounts = [{"path": f"{here}/first", "fstype": "tmpfs"}, filled(args, here)]
    is_refused(run_module("ns_mount", {"pid": target.pid, "mounts": mounts}), reason, hint, here)
    assert target.mountinfo() == before


def test_a_path_named_twice(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    mounts = [
        {"path": f"{here}/mnt", "fstype": "tmpfs"},
        {"path": f"{here}//mnt/", "fstype": "proc"},
    ]
    result = run_module("ns_mount", {"pid": target.pid, "mounts": mounts})
    is_refused(result, "{}/mnt is named twice", "Mounts are never stacked", here)
    (here / "link").symlink_to("mnt")
    mounts[1]["path"] = f"{here}/link"
    result = run_module("ns_mount", {"pid": target.pid, "mounts": mounts})
    is_refused(result, "{}/link is {}/mnt, and so is {}/mnt", "name each place once", here)
    assert target.mounted_on(f"{here}/mnt") == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "Give path, or mounts."),
        ({"path": "/mnt", "mounts": []}, "parameters are mutually exclusive: path|mounts"),
        ({"path": "/mnt", "state": "bound"}, "value of state must be one of: mounted, remounted"),
        ({"path": "/mnt", "propagation": "rw"}, "value of propagation must be one of: private"),
        ({"mounts": [{"fstype": "tmpfs"}]}, "missing required arguments: path found in mounts"),
        ({"path": "/mnt", "namespace": "web"}, "mutually exclusive: namespace|pid|namespace_path"),
    ],
)
def test_arguments(
    run_module: RunModule, target: Unshared, args: dict[str, t.Any], message: str
) -> None:
    result = run_module("ns_mount", {"pid": target.pid, **args})
    assert result["failed"]
    assert message in result["msg"]


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ({"pid": 2**22 + 1}, "there is no process 4194305 on this host"),
        ({"pid": -1}, "pid must be a positive number, not -1"),
        ({"namespace": "no-such"}, "there is no namespace 'no-such' on this host"),
        ({"namespace": "a/b"}, "'a/b' cannot be a name"),
        ({"namespace": ".."}, "'..' cannot be a name"),
        ({"namespace": ""}, "'' cannot be a name"),
        ({"namespace_path": "/no/such"}, "/no/such cannot be opened: No such file or directory"),
        ({"namespace_path": "/etc/passwd"}, "/etc/passwd is not a namespace file"),
        ({"namespace_path": "/proc/self/ns/uts"}, "/proc/self/ns/uts has no mnt namespace"),
        ({"namespace_path": "proc"}, "namespace_path must be an absolute path, not 'proc'"),
    ],
)
def test_targets(
    run_module: RunModule, here: pathlib.Path, where: dict[str, t.Any], reason: str
) -> None:
    is_refused(run_module("ns_mount", {**filled(GOOD, here), **where}), reason, "", here)


# What only the kernel knows


@pytest.mark.parametrize(
    ("args", "call", "errno", "reason"),
    [
        ({"fstype": "tmpfs", "opts": "bogus"}, "fsconfig", "EINVAL",
         "the kernel says: tmpfs: Unknown parameter 'bogus'"),
        ({"fstype": "nosuchfs"}, "fsopen", "ENODEV",
         "the kernel knows no file-system type 'nosuchfs'"),
        ({"fstype": "tmpfs", "opts": "size=huge"}, "fsconfig", "EINVAL",
         "the kernel says: tmpfs: Bad value for 'size'"),
        ({"fstype": "proc", "opts": "hidepid=9"}, "fsconfig", "EINVAL", "the kernel says: "),
        ({"fstype": "overlay", "src": "o", "opts": "lowerdir={}/none"}, "fsconfig", "ENOENT",
         "lowerdir={}/none names a directory that does not exist on the host"),
        ({"fstype": "overlay", "src": "o", "opts": "lowerdir={}/none", "src_in": "namespace"},
         "fsconfig", "ENOENT",
         "lowerdir={}/none names a directory that does not exist in the target"),
        ({"fstype": "overlay", "src": "o"}, "fsconfig", "EINVAL", "opts name none"),
        ({"fstype": "ext4", "src": "/dev/null"}, "fsconfig", "ENOTBLK", "/dev/null"),
        ({"fstype": "ext4", "src": "{}/file"}, "fsconfig", "ENOTBLK", "{}/file"),
        ({"fstype": "ext4", "src": "/dev/no-such-disk"}, "fsconfig", "ENOENT",
         "/dev/no-such-disk"),
    ],
)  # fmt: skip
def test_the_kernel_says_no(
    run_module: RunModule,
    target: Unshared,
    here: pathlib.Path,
    args: dict[str, t.Any],
    call: str,
    errno: str,
    reason: str,
) -> None:
    before = target.mountinfo()
    place = f"{here}/mnt"
    args = {"path": place, **filled(args, here)}
    result = run_module("ns_mount", {"pid": target.pid, **args})
    assert result["failed"]
    assert result["step"] == f"mount {args['fstype']} on {place}"
    assert (result["syscall"], result["errno"]) == (call, errno)
    assert reason.replace("{}", str(here)) in result["reason"]
    assert result["hint"]
    assert result["msg"].startswith(f"Mount {args['fstype']} on {place} failed: ")
    assert target.mountinfo() == before
    if "src_in" in args:
        return  # an earlier mount of a list may bring it
    first = {"path": f"{here}/src", "fstype": "tmpfs"}
    listed = run_module("ns_mount", {"pid": target.pid, "mounts": [first, args]})
    assert listed["msg"] == result["msg"]
    assert target.mountinfo() == before


def test_a_change_that_the_kernel_refuses_says_why(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": "x", "fstype": "tmpfs"}
    run_module("ns_mount", args)
    target.run("sh", "-c", f"head -c 1000000 /dev/zero >'{here}/mnt/file'")
    result = run_module("ns_mount", {**args, "opts": "size=4k"})
    assert result["step"] == f"change options of {here}/mnt: size=4k"
    assert (result["syscall"], result["errno"]) == ("fsconfig", "EINVAL")
    assert "Too small a size for current use" in result["reason"]


def test_a_plain_user(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    args = filled(GOOD, here)
    result = run_module("ns_mount", {**args, "pid": target.pid}, user=NOBODY)
    assert result["reason"] == f"the namespaces of process {target.pid} may not be opened"
    result = run_module("ns_mount", {**args, "path": "/mnt"}, user=NOBODY)
    assert (result["failed"], result["errno"]) == (True, "EPERM")
    assert result["hint"] == "Run the task as root (become: true)."


def test_a_process_that_has_ended(run_module: RunModule, here: pathlib.Path) -> None:
    import os
    import subprocess

    zombie = subprocess.Popen(["unshare", "--mount", "true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        result = run_module("ns_mount", {"pid": zombie.pid, **filled(GOOD, here)})
    finally:
        zombie.wait()
    is_refused(result, f"there is no process {zombie.pid} on this host", "may have ended", here)
