# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a program that ends meanwhile: it is said to have ended, at whatever instant."""

from __future__ import annotations

import os
import subprocess
import sys

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import Ready
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import watch
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import ready

# So many that the kernel takes milliseconds to take them down, once their last process has left.
_MOUNTS = 5000
_ENDS_ON_REQUEST = f"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for _number in range({_MOUNTS}):
    assert libc.mount(b"/mnt", b"/mnt", None, 0x1000, None) == 0  # MS_BIND
print(flush=True)
sys.stdin.read()
"""


def test_a_program_that_has_left_its_namespaces_has_ended() -> None:
    argv = ["unshare", "--mount", sys.executable, "-I", "-c", _ENDS_ON_REQUEST]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None and program.stdout is not None
        program.stdout.readline()
        process = watch.identify(program.pid)
        program.stdin.close()
        namespace = f"/proc/{program.pid}/ns/mnt"
        while _can_be_read(namespace):
            pass
        assert not ready.is_up(Ready(file="/etc/passwd"), process)
        assert not watch.is_alive(process)


def _can_be_read(link: str) -> bool:
    try:
        os.readlink(link)
    except FileNotFoundError:
        return False
    return True
