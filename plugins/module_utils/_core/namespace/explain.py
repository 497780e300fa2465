# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why namespaces could not be made or joined, or their ids not be mapped.

Each function looks for the causes in the ERRORS section of its call's manual page and answers
(reason, hint), both empty where none was found. It runs in the process whose call failed, or in
one that lives in the same namespaces.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .. import kinds
from ..errors import KernelError
from ..process import capabilities, proc
from ..syscalls import files, namespaces
from . import nsfs, pid_holder
from .target import Handles

if t.TYPE_CHECKING:
    from ..actions import Answer

_DEEPEST = 32  # levels of pid and of user namespaces (pid_namespaces(7), user_namespaces(7))
# Switches of distributions beside the kernel's own limits: file, the value that forbids.
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1"),
)
_TWO_PID_NAMESPACES = (
    "a process cannot be born into two pid namespaces, one of them joined or made before",
    "Leave pid out of kinds, or do not join a pid namespace at the same time.",
)


def birth(error: OSError, *, joins: Handles | None, creates: t.Collection[str]) -> Answer:
    """Why a process could not be born into the namespaces it was to join and to get."""
    call = error.call if isinstance(error, KernelError) else ""
    if call == "setns" and joins is not None:
        return setns(error, joins)
    joins_pid = joins is not None and "pid" in joins.kinds
    if error.errno == errno.EINVAL and joins_pid and "pid" in creates:
        return _TWO_PID_NAMESPACES
    if error.errno == errno.ENOMEM and joins is not None and joins_pid:
        dead = pid_holder.death(joins.id_of("pid"))
        if dead is not None:
            return dead.reason, dead.hint
        return (
            "the init of the pid namespace has ended, and nothing can be born there any more",
            "Create the namespace anew, with linux.namespaces.ns_namespace.",
        )
    if call == "write":
        return _time_offsets(error)
    # Whatever else is done on the way to a birth has its own causes.
    return unshare(error, creates) if call in ("unshare", "clone3") else ("", "")


def unshare(error: OSError, creates: t.Collection[str]) -> Answer:
    """Why unshare(2) or clone3(2) made no namespaces of these kinds."""
    if error.errno == errno.EINVAL:
        return _unshare_invalid(creates)
    if error.errno in (errno.ENOSPC, errno.EUSERS):
        return _limit_reached(creates)
    if error.errno == errno.EPERM:
        return _unshare_forbidden(creates)
    return "", ""


def _unshare_invalid(creates: t.Collection[str]) -> Answer:
    missing = [kind for kind in creates if not os.path.exists(f"/proc/self/ns/{kind}")]
    if missing:
        return (
            f"this kernel has no namespaces of the kind {', '.join(missing)}",
            "Leave the kind out, or boot a kernel that was built with it.",
        )
    if "user" in creates and _has_threads():
        return "a process with several threads cannot get a user namespace of its own", ""
    if "pid" in creates and _next_child_is_elsewhere():
        return _TWO_PID_NAMESPACES
    return "", ""


def _next_child_is_elsewhere() -> bool:
    try:
        links = [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "pid_for_children")]
    except FileNotFoundError:  # a new one, in which nobody was born yet
        return True
    return links[0] != links[1]


def _has_threads() -> bool:
    return len(os.listdir("/proc/self/task")) > 1


def _limit_reached(creates: t.Collection[str]) -> Answer:
    limits = {}
    for kind in sorted(creates):
        text = _sysctl(f"user/max_{kind}_namespaces")
        if text is not None and text.isdecimal():
            limits[kind] = int(text)
    for kind, limit in limits.items():
        if limit == 0:
            return (
                f"this system allows no {kind} namespaces: user.max_{kind}_namespaces is 0",
                f"Allow some: sysctl -w user.max_{kind}_namespaces=10000.",
            )
    shown = ", ".join(f"user.max_{kind}_namespaces={limit}" for kind, limit in limits.items())
    deepest = f", or they are nested {_DEEPEST} levels deep" if kinds.NESTED & set(creates) else ""
    return (
        f"the limit of namespaces is reached ({shown}), here or in a user namespace further out"
        + deepest,
        (
            "Remove namespaces that are not needed (linux.namespaces.ns_info lists them), or raise "
            "the limit."
        ),
    )


def _unshare_forbidden(creates: t.Collection[str]) -> Answer:
    if "user" not in creates:
        if capabilities.has("sys_admin"):
            return _filtered()
        shown = ", ".join(sorted(creates))
        return (
            f"only root may create {shown} without a user namespace (CAP_SYS_ADMIN)",
            "Run the task as root (become: true), or add user to kinds.",
        )
    switch = forbidding_switch(_sysctl)
    if any(switch):
        return switch
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        in_chroot = not files.place_of(root).is_mount_root
    finally:
        os.close(root)
    if in_chroot:
        return (
            "the caller lives in a chroot(2), where no user namespace can be created",
            "Run the task outside of the chroot; a root made by pivot_root(2) has no such limit.",
        )
    for what, own in (("uid", os.geteuid()), ("gid", os.getegid())):
        if not is_mapped(proc.text_of(f"/proc/self/{what}_map"), own):
            return (
                f"the {what} of the caller has no counterpart in its own user namespace",
                "Run the task as a user whose ids are mapped.",
            )
    return _filtered()


def _filtered() -> Answer:
    status = proc.text_of("/proc/self/status").splitlines()
    modes = [line.split()[1] for line in status if line.startswith("Seccomp:")]
    if modes == ["2"]:
        return (
            "a system call filter forbids it, as container engines set one up (seccomp(2))",
            "Allow the call in the filter, or run the task on the host.",
        )
    return "", ""


def forbidding_switch(read: t.Callable[[str], str | None]) -> Answer:
    """Which switch of the distribution forbids user namespaces to plain users, if one does.

    ``read`` gives the text of a file below /proc/sys, None where there is none.
    """
    for name, forbids in _SWITCHES:
        if read(name) == forbids:
            dotted = name.replace("/", ".")
            return (
                f"this system forbids user namespaces to plain users: {dotted} is {forbids}",
                f"Set {dotted}={1 - int(forbids)} with sysctl, or run the task as root.",
            )
    return "", ""


def switch_in_the_way(error: OSError) -> Answer:
    """The switch that takes the rights of a plain user's namespaces away afterwards, if it is on.

    AppArmor lets them be created: what fails is the first step that needs a right there.
    """
    if error.errno in (errno.EPERM, errno.EACCES) and not capabilities.has("sys_admin"):
        return forbidding_switch(_sysctl)
    return "", ""


def is_mapped(text: str, number: int) -> bool:
    """Whether the id ``number`` is one inside, by the text of /proc/PID/uid_map."""
    for line in text.splitlines():
        inside, _outside, count = map(int, line.split())
        if inside <= number < inside + count:
            return True
    return False


def map_ids(error: OSError) -> Answer:
    """Why the id maps of a new user namespace could not be written."""
    if error.errno == errno.EPERM:
        switch = forbidding_switch(_sysctl)
        if any(switch):
            return switch
        return (
            (
                "the caller may not map these ids: it takes CAP_SETUID and CAP_SETGID outside of the "
                "user namespace, and CAP_SETFCAP to map root"
            ),
            "Run the task as root, or use id_map: root or auto.",
        )
    if error.errno == errno.EACCES:
        return (
            (
                "the files of this process in /proc are not its own, as after a change of user "
                "without execve(2)"
            ),
            "Run the task by way of sudo or su.",
        )
    if error.errno == errno.EINVAL:
        return "the kernel does not take these ranges", "An id outside must exist there."
    return "", ""


def setns(error: OSError, joins: Handles) -> Answer:
    """Why setns(2) did not join these namespaces."""
    kind = error.arguments.get("kind", "") if isinstance(error, KernelError) else ""
    names = [kind] if kind else sorted(joins.kinds)
    if error.errno == errno.ESRCH:
        return "the process has ended", "Name a living process."
    if error.errno == errno.EPERM:
        return _join_forbidden(joins, names)
    if error.errno in (errno.EINVAL, errno.EUSERS):
        return _join_invalid(joins, names)
    return "", ""


def _join_forbidden(joins: Handles, names: t.Sequence[str]) -> Answer:
    own = proc.ids_of_process("self", ["user"]).get("user")
    for kind in names:
        try:
            fd = joins.fd_of(kind) if kind == "user" else namespaces.owner(joins.fd_of(kind))
        except KernelError:
            return _not_over(kind, "a user namespace that the caller cannot see")
        try:
            owner_id = nsfs.id_of(fd)
            uid = namespaces.owner_uid(fd)
        finally:
            if kind != "user":
                os.close(fd)
        if owner_id != own or not capabilities.has("sys_admin"):
            return _not_over(kind, f"the user namespace {owner_id}, whose owner has the uid {uid}")
    return _filtered()


def _not_over(kind: str, owner: str) -> Answer:
    what = "is" if kind == "user" else "belongs to"
    return (
        f"the caller has no CAP_SYS_ADMIN over the {kind} namespace, which {what} {owner}",
        (
            "Run the task as root (become: true), or as that owner with the user namespace joined "
            "as well."
        ),
    )


def _join_invalid(joins: Handles, names: t.Sequence[str]) -> Answer:
    own = proc.ids_of_process("self")
    for kind in names:
        fd = joins.fd_of(kind)
        try:
            flag = namespaces.kind_flag(fd)
        except KernelError:
            return f"what should be the {kind} namespace is no namespace file", ""
        if flag != kinds.KINDS[kind].flag:
            return f"it is a {kinds.kind_of_flag(flag)} namespace, not a {kind} namespace", ""
        if kind == "user" and nsfs.id_of(fd) == own.get("user"):
            return "a process cannot join the user namespace it is in", "Leave user out of kinds."
        if kind == "pid" and not _is_below(fd, own.get("pid", 0)):
            return (
                "a pid namespace can only be joined from one that it lies below",
                "Run the task in the pid namespace further out.",
            )
        if kind in ("user", "mnt", "time") and _has_threads():
            return f"a process with several threads cannot join a {kind} namespace", ""
    return "", ""


def _is_below(fd: int, above: int) -> bool:
    """Whether the pid namespace ``fd`` is the one with the id ``above``, or lies below it."""
    with contextlib.ExitStack() as stack:
        while nsfs.id_of(fd) != above:
            try:
                fd = namespaces.parent(fd)
            except KernelError:
                return False
            stack.callback(os.close, fd)
    return True


def _time_offsets(error: OSError) -> Answer:
    if error.errno == errno.ERANGE:
        return "with this offset a clock would be below zero, or overflow", "Take a smaller one."
    if error.errno == errno.EACCES:
        return "the time namespace has a process already, so its offsets are fixed", ""
    return "", ""


def _sysctl(name: str) -> str | None:
    return proc.text_of(f"/proc/sys/{name}").strip() or None
