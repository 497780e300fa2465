# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a call has found exhausted, whichever call it was: room, descriptors, memory, processes, mounts.

The causes are those that the ERRORS sections of open(2), write(2), fork(2) and mount(2) have in common;
and with them a mount on a file that is to be replaced or removed (rename(2), unlink(2): EBUSY).
A part of `nsctl exec`, and loaded before any root is joined: it needs next to nothing.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

_NOTHING = ("", "")
# Calls that add to the mounts of a mount namespace.
_OF_MOUNTS = ("mount", "move_mount", "open_tree")


def explain(error: OSError) -> tuple[str, str]:
    """What was exhausted, or cannot be changed, and what to do; both empty for any other error.

    It runs where the call failed, so that a path in the error leads to the same file system.
    """
    number = error.errno
    if number == errno.ENOSPC and getattr(error, "call", "") in _OF_MOUNTS:
        return too_many_mounts(_text_of("/proc/sys/fs/mount-max"))
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        path = _path_of(error)
        return _of_file_system(number, path) if path else _of_some_file_system(number)
    if number == errno.EBUSY and not hasattr(error, "call"):
        return _of_mount_on(error)
    if number == errno.EMFILE:
        limit = os.sysconf("SC_OPEN_MAX")
        return (
            f"too many files are open: a process like this one may have {limit} (RLIMIT_NOFILE)",
            "Raise the limit (ulimit -n, LimitNOFILE=), or ask for less in one task.",
        )
    if number == errno.ENFILE:
        limit_of_all = _text_of("/proc/sys/fs/file-max") or "what it says"
        return (
            f"too many files are open on the host, which may have {limit_of_all} (fs.file-max)",
            "End what holds many open, or raise fs.file-max.",
        )
    if number == errno.ENOMEM:
        return f"the kernel has no memory left for it{_memory()}", "Free memory on the host."
    # fork(2) by Python has no name.
    if number == errno.EAGAIN and getattr(error, "call", error.filename or "") in ("", "clone3"):
        return (
            (
                "no more processes may be made: the limit of the user (RLIMIT_NPROC), of the control "
                "group (pids.max) or of the host (kernel.pid_max, kernel.threads-max) is reached"
            ),
            "End processes, or raise that limit.",
        )
    return _NOTHING


def too_many_mounts(limit: str) -> tuple[str, str]:
    """That a mount namespace may have no more mounts, where fs.mount-max is ``limit``."""
    return (
        f"the mount namespace would have more mounts than fs.mount-max allows: {limit}",
        "Unmount what is not needed (ns_mount_info lists it), or raise fs.mount-max.",
    )


def _path_of(error: OSError) -> str:
    """The path that the call was about; empty where there is none that names a place for all."""
    arguments: t.Mapping[str, t.Any] = getattr(error, "arguments", {})
    for found in (error.filename, *map(arguments.get, ("target", "path"))):
        if isinstance(found, (str, bytes)):
            path = os.fsdecode(found)
            if path.startswith("/") and not path.startswith("/proc/"):
                return path
    return ""


def _of_some_file_system(number: int) -> tuple[str, str]:
    if number == errno.EROFS:
        return "the file system is mounted read-only", "Remount it with rw."
    if number == errno.EIO:
        return "a device could not be read or written", "See dmesg for what the kernel says of it."
    what = "no space is left" if number == errno.ENOSPC else "the quota is used up"
    return f"{what} on the file system", "Make room there."


def _of_file_system(number: int, path: str) -> tuple[str, str]:
    place = _top_of(path)
    if number == errno.EROFS:
        return (
            f"{path} cannot be written: the file system on {place} is mounted read-only",
            f"Remount it: mount -o remount,rw {place}.",
        )
    if number == errno.EIO:
        return (
            f"{path} could not be read or written: so says the device of the file system on {place}",
            "See dmesg for what the kernel says of it.",
        )
    if number == errno.EDQUOT:
        return (
            (
                f"there is no room for {path}: the quota of uid {os.geteuid()} on the file system on "
                f"{place} is used up"
            ),
            "Make room there, or raise the quota.",
        )
    return f"no space is left for {path} on the file system on {place}{_room(place)}", "Make room."


def _of_mount_on(error: OSError) -> tuple[str, str]:
    # The last line is of the topmost mount.
    lines = _text_of("/proc/self/mountinfo").split("\n")[::-1]
    for path in (error.filename2, error.filename):  # of a rename it is the second one
        for line in lines:
            words = line.split(" ")
            if isinstance(path, str) and words[4:5] == [_as_in_mountinfo(path)]:
                fstype = words[words.index("-") + 1]
                return (
                    f"{path} cannot be changed: {words[3]!r} of a file system {fstype} is mounted on it",
                    f"Unmount it: umount {path}.",
                )
    return _NOTHING


def _as_in_mountinfo(path: str) -> str:
    for character in "\\ \t\n":
        path = path.replace(character, f"\\{ord(character):03o}")
    return path


def _room(place: str) -> str:
    try:
        found = os.statvfs(place)
    except OSError:
        return ""
    if found.f_files and not found.f_favail:
        return f": all of its {found.f_files} inodes are in use"
    if not found.f_blocks:
        return ""
    free, size = (blocks * found.f_frsize >> 10 for blocks in (found.f_bavail, found.f_blocks))
    return f": {free} of {size} KB are free"


def _top_of(path: str) -> str:
    """The highest directory from which on the path lies on one mount, as far as can be told."""
    place = os.path.normpath(path)
    while place != "/" and not os.path.isdir(place):
        place = os.path.dirname(place)
    try:
        while place != "/" and _mount_of(os.path.dirname(place)) == _mount_of(place):
            place = os.path.dirname(place)
    except OSError:
        pass
    return place


def _mount_of(directory: str) -> tuple[int, int]:
    # Of a bind the device is that of what it shows, but it may be read-only by itself.
    return os.stat(directory).st_dev, os.statvfs(directory).f_flag


def _memory() -> str:
    for line in _text_of("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return f" (available on the host: {' '.join(line.split()[1:])})"
    return ""


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return ""
