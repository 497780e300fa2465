# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a process could not become a program: its ids, its limits, its directory, its file.

Each function answers (reason, hint), both empty where no cause was found. It runs in the
process whose call failed, so that it sees the same root.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..actions import Answer


def identity(error: OSError) -> Answer:
    """Why a process could not take on ids or capabilities."""
    call = error.call if isinstance(error, KernelError) else ""
    if error.errno == errno.EINVAL and call in ("setresuid", "setresgid", "setgroups"):
        return (
            "the id has no counterpart in the map of the user namespace",
            "Use an id that id_map maps, or map it.",
        )
    if error.errno == errno.EPERM and call == "setgroups":
        return (
            (
                "groups cannot be set: the user namespace denies it (/proc/PID/setgroups), or the "
                "caller has no CAP_SETGID"
            ),
            "Use id_map: auto, or run the task as root.",
        )
    if error.errno == errno.EPERM:
        return (
            "the caller may not become another user, or not cut its capabilities",
            "Run the task as root (become: true), or in a user namespace.",
        )
    return "", ""


def limit(error: OSError, name: str) -> Answer:
    """Why a resource limit could not be set."""
    if error.errno == errno.EPERM:
        return (
            f"the hard limit of {name} can only be raised by who has CAP_SYS_RESOURCE",
            "Ask for at most the hard limit that the caller has.",
        )
    if error.errno == errno.EINVAL:
        return f"the soft limit of {name} is above the hard one", "Raise the hard limit as well."
    return "", ""


def directory(error: OSError, path: str) -> Answer:
    """Why a process could not change to a directory."""
    if error.errno == errno.ENOENT:
        return f"{path} does not exist in the program's root", "Create it first."
    if error.errno == errno.ENOTDIR:
        return f"{path} is no directory", ""
    return "", ""


def keyring(error: OSError) -> Answer:
    """Why a process could not get a session keyring of its own."""
    if error.errno == errno.EDQUOT:
        return (
            f"the keys of uid {os.getuid()} use up what it may have (/proc/key-users)",
            "Revoke keys that nobody needs, or raise the limits (sysctl kernel.keys).",
        )
    return "", ""


def execve(error: OSError, name: str) -> Answer:
    """Why a program could not be executed."""
    arguments = error.arguments if isinstance(error, KernelError) else {}
    if "PATH" in arguments:
        return (
            f"there is no program {name} in the program's root, looked for in {arguments['PATH']}",
            "Install it there, give its whole path, or set PATH in environment.",
        )
    path = str(arguments.get("path", name))
    if error.errno == errno.ENOENT:
        return _missing(path, arguments.get("interpreter"))
    if error.errno == errno.EACCES:
        return _not_executable(path)
    if error.errno == errno.ENOEXEC:
        return (
            f"{path} is neither a binary for this machine nor a script that starts with #!",
            "Name an interpreter for it, or use a root for this machine's architecture.",
        )
    if error.errno == errno.ETXTBSY:
        return f"{path} is open for writing", "Try again when it is written."
    if error.errno == errno.ELOOP:
        return f"{path} is a link or a script that leads to another one, and on, too often", ""
    if error.errno == errno.E2BIG:
        return "the arguments and the environment are too long", "Pass data by stdin or a file."
    return "", ""


def _missing(path: str, interpreter: str | None) -> Answer:
    if not os.path.lexists(path):
        return f"{path} does not exist in the program's root", "Install it there."
    if not os.path.exists(path):
        return f"{path} is a link to nothing in the program's root", "Install what it leads to."
    if interpreter and not os.path.exists(interpreter):
        return (
            (
                f"{path} is there, but what it needs to run is missing in the program's root: "
                f"{interpreter}"
            ),
            "Install that as well.",
        )
    if not os.access(path, os.R_OK):
        return (
            f"{path} may be executed, but what runs it may not read it, or is missing",
            f"Let the program's user read it: chmod +r {path}.",
        )
    return (
        (
            f"{path} is for another machine, or in another format that binfmt_misc knows of: the "
            "kernel would look up what runs it by a path, which may lead out of the program's root"
        ),
        "Name the program that runs it, with this file as its argument.",
    )


def _not_executable(path: str) -> Answer:
    try:
        mode = os.stat(path).st_mode
        on_noexec = bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError:
        return f"the program's user may not enter a directory above {path}", ""
    if stat.S_ISDIR(mode):
        return f"{path} is a directory", "Name a program."
    if not stat.S_ISREG(mode):
        return f"{path} is no regular file", "Name a program."
    if on_noexec:
        return f"{path} lies on a mount with noexec", "Mount it without noexec."
    return f"{path} may not be executed by the program's user", f"Make it so: chmod +x {path}."
