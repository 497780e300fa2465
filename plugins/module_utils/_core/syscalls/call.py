# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a system call is made, and how its failure becomes a KernelError.

Calls added since Linux 5.1 have one number on every architecture and go through syscall(2);
older numbers differ between architectures, so those go through the C library's symbols, but for
two that it has none of, or none of every version.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from ..errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

NUMBERS = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "statmount": 457,
    "listmount": 458,
}

# glibc has execveat(3) from 2.34 on, musl has not, and neither has keyctl(2). The numbers of both by
# the beginning of the machine's name (uname(2)), which is the kernel's: it may run programs of 32
# bits as well.
_OLDER_NUMBERS = {
    "aarch64": (281, 219),
    "loongarch64": (281, 219),
    "mips64": (5316, 5241),
    "ppc64": (362, 271),
    "riscv64": (281, 219),
    "s390x": (354, 280),
    "sparc64": (350, 283),
    "x86_64": (322, 250),
}
_OLDER_NUMBERS_OF_32_BITS = {
    "aarch64": (387, 311),
    "arm": (387, 311),
    "i": (358, 288),
    "mips": (4356, 4282),
    "ppc": (362, 271),
    "riscv32": (281, 219),
    "x86_64": (358, 288),
}


def _add_older_numbers() -> None:
    table = _OLDER_NUMBERS if sys.maxsize > 1 << 32 else _OLDER_NUMBERS_OF_32_BITS
    machine = os.uname().machine
    for beginning, (execveat, keyctl) in table.items():
        if machine.startswith(beginning):
            NUMBERS.update(execveat=execveat, keyctl=keyctl)


_add_older_numbers()

# A test makes the listed calls answer ENOSYS, as an older kernel does: "mount_setattr clone3".
# "move_mount_beneath", "setns_pidfd", "statx_mnt_id_unique", "fsconfig_set_fd" and "fsconfig_lowerdir+"
# stand for parts of calls, which answer what a kernel without them does.
ABSENT_CALLS_VARIABLE = "LINUX_NAMESPACES_ABSENT_CALLS"
absent_calls = frozenset(os.environ.get(ABSENT_CALLS_VARIABLE, "").split())

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def invoke(name: str, *values: t.Any, shown: t.Mapping[str, t.Any]) -> int:
    """Make the system call ``name`` and return its result.

    Integers, bytes (C strings), None (a null pointer) and ctypes references are passed as they
    are. ``shown`` names the arguments for people. An interrupted call is made again.
    Raises KernelError.
    """
    if is_absent(name):
        raise KernelError(name, errno.ENOSYS, shown)
    arguments = [ctypes.c_long(value) if isinstance(value, int) else value for value in values]
    while True:
        if name in NUMBERS:
            result = _libc.syscall(ctypes.c_long(NUMBERS[name]), *arguments)
        else:
            function = getattr(_libc, name, None)
            if function is None:
                raise KernelError(name, errno.ENOSYS, shown)
            result = function(*arguments)
        if result >= 0:
            return int(result)
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise KernelError(name, number, shown)


def is_absent(name: str) -> bool:
    """Whether a test has this call, or part of a call, made absent."""
    return name in absent_calls


def to_bytes(path: str) -> bytes:
    """A path as the kernel takes it. Names that are no text survive (surrogateescape)."""
    return os.fsencode(path)
