# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""System calls on processes: clone3(2), execveat(2), pidfds, prctl(2), capabilities, descriptors.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from ..errors import KernelError
from .call import invoke, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

CLONE_PARENT = 0x00008000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CAPABILITY_VERSION_3 = 0x20080522
_SIZEOF_SIGSET = 128  # of the C library; the kernel reads less of it


class _CloneArgs(ctypes.Structure):
    # struct clone_args up to the fields of Linux 5.3 (64 bytes, CLONE_ARGS_SIZE_VER0).
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
        )
    ]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def clone3(flags: int, *, exit_signal: int) -> int:
    """clone3(2), Linux 5.3: fork into new namespaces of the CLONE_NEW* kinds in ``flags``.

    Returns 0 in the child and the child's pid in the parent, as os.fork() does, and like it
    keeps Python's own state right in both. Raises KernelError.
    """
    arguments = _CloneArgs(flags=flags, exit_signal=exit_signal)
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = -1
    try:
        pid = invoke(
            "clone3",
            ctypes.byref(arguments),
            ctypes.sizeof(arguments),
            shown={"flags": hex(flags)},
        )
    finally:
        if pid == 0:
            python.PyOS_AfterFork_Child()
        else:
            python.PyOS_AfterFork_Parent()
    return pid


def execveat(
    fd: int, name: str, argv: t.Sequence[bytes], environment: t.Sequence[bytes]
) -> t.NoReturn:
    """execveat(2), Linux 3.19: become the file ``name`` in the directory ``fd``, which is no link.

    With an empty ``name`` it is the open file ``fd`` itself. Where ``fd`` is close-on-exec, the
    kernel follows no path for it but that of an ELF file's loader: what is run by another program,
    a script, is ENOENT. Raises KernelError.
    """
    arrays = [(ctypes.c_char_p * (len(words) + 1))(*words) for words in (argv, environment)]
    flags = _AT_SYMLINK_NOFOLLOW if name else _AT_EMPTY_PATH
    invoke("execveat", fd, to_bytes(name), *arrays, flags, shown={"name": name})
    raise AssertionError("unreachable")


def join_new_session_keyring() -> None:
    """Leave the session keyring for a new one that is empty: keyctl(2). Raises KernelError."""
    invoke("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, None, shown={})


def pidfd_open(pid: int) -> int:
    """pidfd_open(2), Linux 5.3: a descriptor of the process, which no later one can take over.

    Raises KernelError: ESRCH where there is no such process.
    """
    return invoke("pidfd_open", pid, 0, shown={"pid": pid})


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """pidfd_send_signal(2), Linux 5.1. Raises KernelError: ESRCH when it has ended."""
    invoke("pidfd_send_signal", pidfd, signal, None, 0, shown={"signal": int(signal)})


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2), Linux 5.6: a copy of the descriptor ``fd`` of another process, close-on-exec.

    Raises KernelError: ESRCH when the process has ended, EBADF where it has no such descriptor, EPERM
    where it may not be traced, or a filter is in the way.
    """
    return invoke("pidfd_getfd", pidfd, fd, 0, shown={"fd": fd})


def prctl(option: int, value: int = 0, third: int = 0) -> int:
    """prctl(2). Raises KernelError."""
    return invoke("prctl", option, value, third, 0, 0, shown={"option": option, "value": value})


def is_subreaper() -> bool:
    """Whether the orphans among the descendants of the caller become its children (prctl(2))."""
    answer = ctypes.c_int()
    option = PR_GET_CHILD_SUBREAPER
    invoke("prctl", option, ctypes.byref(answer), 0, 0, 0, shown={"option": option})
    return bool(answer.value)


def set_capabilities(*, effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the caller, each set a bit mask. Raises KernelError."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    for word in (0, 1):
        shift = 32 * word
        data[word].effective = (effective >> shift) & 0xFFFFFFFF
        data[word].permitted = (permitted >> shift) & 0xFFFFFFFF
        data[word].inheritable = (inheritable >> shift) & 0xFFFFFFFF
    invoke("capset", ctypes.byref(header), data, shown={"permitted": hex(permitted)})


def get_capabilities() -> tuple[int, int, int]:
    """capget(2) of the caller: (effective, permitted, inheritable). Raises KernelError."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    invoke("capget", ctypes.byref(header), data, shown={})
    return (
        data[0].effective | data[1].effective << 32,
        data[0].permitted | data[1].permitted << 32,
        data[0].inheritable | data[1].inheritable << 32,
    )


def close_descriptors_from(first: int) -> None:
    """Close every descriptor from ``first`` on: close_range(2), Linux 5.9.

    Where the call is missing or filtered they are closed one by one.
    """
    try:
        invoke("close_range", first, 0xFFFFFFFF, 0, shown={"first": first})
    except KernelError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def signalfd(signals: t.Iterable[int]) -> int:
    """signalfd(2): a descriptor from which whoever has these signals blocked reads them.

    One read gives 128 bytes a signal. It is closed by execve(2). Raises KernelError.
    """
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    return invoke(
        "signalfd",
        -1,
        mask.to_bytes(_SIZEOF_SIGSET, sys.byteorder),
        os.O_CLOEXEC,  # SFD_CLOEXEC is the same
        shown={"mask": hex(mask)},
    )
