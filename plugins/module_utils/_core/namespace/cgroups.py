# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The cgroups of what a named namespace leaves running: its holder, services of supervisor "none".

    /run/linux-namespaces/web/cgroups/nginx@4d0c...    that of service nginx
    /run/linux-namespaces/web/cgroups/nginx:log@7b...  that of what writes down its output
    /run/linux-namespaces/web/cgroups/@91fa...         that of the holder

The files are empty, and written before there is the cgroup linux-namespaces-4d0c..., so that
whoever comes after a killed run finds it. They say no more than that it is ours, and whose: where
it lies is found by its name.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from .. import once
from ..host_paths import kept_in
from ..process import cgroup
from ..storage import atomic

HOLDER = ""
_LOG = ":log"
_PATIENCE = 10.0
# How long a cgroup may take to be let go of after its last process, in seconds.
_LETTING_GO = 2.0


def _directory(name: str) -> str:
    return f"{kept_in(name)}/cgroups"


@once.kept
def _noted(name: str, owner: str | None) -> dict[str, str]:
    """The cgroups of that owner, or with None all, by the files that note them."""
    try:
        found = os.listdir(_directory(name))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    parted = [(each, *each.partition("@")[::2]) for each in found]
    return {
        f"{_directory(name)}/{each}": f"linux-namespaces-{lot}"
        for each, whose, lot in parted
        if lot.isalnum() and owner in (None, whose)
    }


def log_of(service: str) -> str:
    """The owner that stands for what writes down the output of a service. It lives in no namespace."""
    return f"{service}{_LOG}"


def give(name: str, owner: str, pid: int) -> None:
    """Move the process into a new cgroup of that owner. Call it with the lock held. Raises OSError.

    ``owner`` is a service, log_of() one, or HOLDER. Those that it had are to be gone: see end().
    """
    lot = os.urandom(8).hex()
    atomic.make_directory(_directory(name), mode=0o700)
    # At once, not by way of another name: of a run that is killed nobody would know that one.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    fd = os.open(f"{_directory(name)}/{owner}@{lot}", flags, 0o600)
    try:
        os.fchmod(fd, 0o600)  # the umask may have taken of it
    finally:
        os.close(fd)
    service = owner[: -len(_LOG)] if owner.endswith(_LOG) else owner
    whose = f"{'the log of ' * (service != owner)}service {service}" if owner else "the holder"
    cgroup.make(f"linux-namespaces-{lot}", pid, title=f"{whose} of namespace {name}")


def join(name: str, owner: str, pid: int) -> None:
    """Move the process into the cgroup of that owner, where it has one."""
    for each in _noted(name, owner).values():
        cgroup.join(each, pid)


def owners_of(name: str) -> dict[str, str]:
    """Whose the cgroups of this namespace are, by their names: a service, log_of() one, or HOLDER."""
    found = {}
    for path, each in _noted(name, None).items():
        owner, _mark, _lot = path.rpartition("/")[2].rpartition("@")
        found[each] = owner
    return found


def processes_of(name: str, owner: str | None = None) -> list[int]:
    """The pids of all that live in the cgroups of that owner, or with None in any but those of logs."""
    return [
        pid
        for path, each in _noted(name, owner).items()
        if owner is not None or f"{_LOG}@" not in path
        for pid in cgroup.processes_in(each)
    ]


def end(name: str, owner: str | None = None, *, timeout: float = _PATIENCE) -> None:
    """Kill all in the cgroups of that owner, or with None in any, and remove them.

    Call it with the lock held. Raises KernelError, OSError, and Refused where some are left after
    ``timeout`` seconds.
    """
    for path, each in _noted(name, owner).items():
        cgroup.end(each, timeout=timeout)
        cgroup.remove(each, timeout=_LETTING_GO)
        atomic.remove(path)
