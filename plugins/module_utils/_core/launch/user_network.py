# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A network for a program in a net namespace that takes no rights on the host: by pasta(1) or slirp4netns(1).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import select
import subprocess
import typing as t

from ..errors import Refused
from ..printable import in_sentence, printable_lines
from ..process import installed
from ..syscalls import processes

PASTA, SLIRP = "pasta", "slirp4netns"
_TUN = "/dev/net/tun"
_LONGEST = 400
# In seconds; it takes a tenth of one.
_PATIENCE = 20


def check(program: str, creates: t.Collection[str]) -> None:
    """Raises Refused where the program cannot give a network to one with new namespaces of these kinds."""
    if "net" not in creates:
        raise Refused("network needs the kind net", "Add net to kinds.")
    if program == PASTA and os.geteuid() == 0 and "user" not in creates:
        raise Refused(
            "pasta gives root no network without a user namespace, whose rights are all that it keeps",
            f"Add user to kinds, or set network: {SLIRP}.",
        )
    _path_of(program)
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise Refused(
            f"{program} needs {_TUN}, which cannot be opened: {error.strerror}",
            "Load the module tun, or have the caller be allowed to use it.",
        ) from error


def begin(program: str, pid: int) -> None:
    """Give the process a network, which lasts as long as it lives.

    It returns when the network is there. Raises Refused where the program fails, OSError.
    """
    told, tell = os.pipe()
    watch = os.fork()
    if watch == 0:
        try:
            _keep_only(tell)
            _watch(program, pid, tell)
        finally:
            os._exit(1)
    os.close(tell)
    with open(told, "rb") as pipe:
        answer = pipe.read().decode("utf-8", "replace")
    if answer == program:
        return
    os.waitpid(watch, 0)
    reason = in_sentence(printable_lines(answer[-_LONGEST:])) or "it says nothing"
    raise Refused(f"{program} has failed: {reason}")


def _path_of(program: str) -> str:
    return installed.path_of(program, f"network is {program}")


def _keep_only(fd: int) -> None:
    """Close all others: who waits for an end of the caller must not wait for that of this child."""
    os.closerange(3, fd)
    os.closerange(fd + 1, os.sysconf("SC_OPEN_MAX"))


def _watch(program: str, pid: int, tell: int) -> None:
    lives = processes.pidfd_open(pid)
    ready, is_ready = os.pipe()
    with subprocess.Popen(
        _argv(program, pid, is_ready),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[is_ready],
    ) as started:
        os.close(is_ready)
        # Whichever comes first: it is ready, it has ended, the process has, or nobody waits any longer.
        events, _writable, _failed = select.select([ready, lives], [], [], _PATIENCE)
        if ready not in events or not os.read(ready, 64):
            started.kill()
            complaints = started.stderr.read() if started.stderr is not None else b""
            late = b"" if events else f"it was not ready within {_PATIENCE} s. ".encode()
            os.write(tell, late + complaints[-_LONGEST:])
            return
        os.write(tell, program.encode("ascii"))
        os.close(tell)
        if started.stderr is not None:
            started.stderr.close()
        select.select([lives], [], [])
        started.kill()


def _argv(program: str, pid: int, ready: int) -> list[str]:
    path = _path_of(program)
    if program == SLIRP:
        return [path, "--configure", "--mtu=65520", f"--ready-fd={ready}", str(pid), "tap0"]
    # Root would become nobody, who may not enter what is root's.
    as_root = ["--runas", "0"] if os.geteuid() == 0 else []
    told = ["--pid", f"/proc/self/fd/{ready}"]  # written when all is configured
    return [path, "--foreground", "--quiet", "--config-net", *as_root, *told, str(pid)]
