# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of the kernel (keyrings(7)), which few hosts have keyctl(1) for."""

from __future__ import annotations

import ctypes
import os

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import KernelError
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import call, processes

PROCESS_KEYRING, SESSION_KEYRING = -2, -3
KEYCTL = call.NUMBERS.get("keyctl")
_ADD_KEY = {"x86_64": 248, "aarch64": 217, "riscv64": 217, "ppc64le": 269, "s390x": 278}
_libc = ctypes.CDLL(None, use_errno=True)

# For /usr/bin/python3 -c: says whether it can search the session keyring for a key, and read it.
LOOK = f"""
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
def keyctl(*words):
    number = libc.syscall({KEYCTL}, *words)
    return "yes" if number >= 0 else errno.errorcode[ctypes.get_errno()]
key, name = int(sys.argv[1]), sys.argv[2].encode()
print(keyctl(10, {SESSION_KEYRING}, b"user", name, 0), keyctl(11, key, 0, 0))
"""


def works() -> bool:
    """Whether there are keys here, and their calls are known to us."""
    try:
        processes.join_new_session_keyring()
    except KernelError:
        return False
    return os.uname().machine in _ADD_KEY


def add(kind: str, name: str, text: bytes, keyring: int) -> int:
    """Add a key; its serial number. Raises OSError."""
    number = _ADD_KEY[os.uname().machine]
    key = _libc.syscall(number, kind.encode(), name.encode(), text or None, len(text), keyring)
    if key < 0:
        raise OSError(ctypes.get_errno(), "add_key")
    return int(key)
