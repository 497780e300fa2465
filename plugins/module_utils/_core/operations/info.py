# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_info does: the namespaces of this host and what is known of each, as in lsns(8).

One pass over /proc finds those with processes, one over the mount table those that are pinned;
owners and parents that have neither are found from there (ioctl_ns(2)).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import typing as t

from .. import host_paths, kinds
from ..errors import KernelError
from ..mount import table
from ..namespace import inhabitants, netnsid, nsfs
from ..namespace.target import Target
from ..process import proc
from ..syscalls import namespaces as calls
from ..syscalls import regular_files


@dataclasses.dataclass
class Namespace:
    """One namespace. What is not known, or may not be seen by the caller, is None."""

    id: int
    kind: str
    # How many live in it.
    processes: int = 0
    # The lowest among theirs; the next four are of that process.
    pid: int | None = None
    ppid: int | None = None
    command: str | None = None
    uid: int | None = None
    user: str | None = None
    # Ids of namespaces.
    parent: int | None = None
    owner: int | None = None
    # The number that the caller's net namespace has for it (ip-netns(8)).
    netnsid: int | None = None
    # The paths of its mounted namespace files, whoever made them.
    pins: list[str] = dataclasses.field(default_factory=list)
    # Of the named namespace that it belongs to.
    name: str | None = None


def namespaces(
    *, names: t.Container[str] = kinds.NAMES, ids: t.Container[int] | None = None
) -> list[Namespace]:
    """The namespaces that the caller may see, by id: of the kinds ``names``, and only ``ids``."""
    found = _with_processes()
    _add_pinned(found, table.read(only=" - nsfs "))
    _add_relatives(found)
    chosen = [
        found[number]
        for number in sorted(found)
        if found[number].kind in names and (ids is None or number in ids)
    ]
    _add_processes_facts(chosen)
    return chosen


def ids_of(target: Target) -> set[int] | None:
    """The ids of the namespaces of ``target``; None, which is all, for the host.

    Raises Refused where it does not exist or may not be looked at.
    """
    if target.is_host:
        return None
    if target.pid is not None:
        # Of a process all of them, also those that it shares with us.
        ids = set(proc.ids_of_process(target.checked().pid or 0).values())
        if ids:
            return ids
    with target.open(closed_too=True) as handles:
        return {handles.id_of(kind) for kind in handles.kinds}


def _with_processes() -> dict[int, Namespace]:
    return {
        number: Namespace(number, kind, processes=len(pids), pid=pids[0])
        for (kind, number), pids in inhabitants.by_namespace().items()
    }


def _add_pinned(found: dict[int, Namespace], mounts: t.Iterable[table.Mount]) -> None:
    for mount in mounts:
        kind, _colon, _number = mount.root.partition(":")
        if kind not in kinds.KINDS:
            continue
        number = proc.parse_link(mount.root)
        namespace = found.setdefault(number, Namespace(number, kind))
        if mount.path not in namespace.pins:
            namespace.pins.append(mount.path)
        for above in (host_paths.CLOSED, host_paths.BASE):
            is_own = mount.path.endswith(f"/{kind}")  # what another shares is at net@front
            if is_own and mount.path.startswith(f"{above}/"):
                namespace.name = mount.path[len(above) + 1 :].partition("/")[0]
                break


def _add_relatives(found: dict[int, Namespace]) -> None:
    """Set owners and parents, and find those that live on only as such."""
    with netnsid.Resolver() as net:
        for namespace in list(found.values()):
            fd = opened(namespace)
            if fd is None:
                continue
            try:
                if namespace.kind == "net":
                    namespace.netnsid = net.id_of(fd)
                _set_relatives(namespace, fd, found)
            finally:
                os.close(fd)


def opened(namespace: Namespace) -> int | None:
    """The open file of the namespace; None where none leads to it any more."""
    candidates = list(namespace.pins)
    if namespace.pid is not None:
        candidates.insert(0, f"/proc/{namespace.pid}/ns/{namespace.kind}")
    for path in candidates:
        try:
            fd = regular_files.open_regular(path)
        except OSError:
            continue
        # The process may have ended meanwhile, and a pin can be covered by another mount.
        if nsfs.id_of(fd) == namespace.id:
            return fd
        os.close(fd)
    return None


def _set_relatives(namespace: Namespace, fd: int, found: dict[int, Namespace]) -> None:
    with contextlib.suppress(KernelError):
        namespace.owner = _relative(calls.owner(fd), "user", found)
    if namespace.kind == "user":
        namespace.parent = namespace.owner
    elif namespace.kind == "pid":
        with contextlib.suppress(KernelError):
            namespace.parent = _relative(calls.parent(fd), "pid", found)


def _relative(fd: int, kind: str, found: dict[int, Namespace]) -> int:
    try:
        number = nsfs.id_of(fd)
        if number not in found:
            found[number] = Namespace(number, kind)
            _set_relatives(found[number], fd, found)
        return number
    finally:
        os.close(fd)


def _add_processes_facts(chosen: t.Iterable[Namespace]) -> None:
    known: dict[int, proc.ProcessFacts | None] = {}
    users: dict[int, str | None] = {}
    for namespace in chosen:
        pid = namespace.pid
        if pid is None:
            continue
        if pid not in known:
            known[pid] = proc.process_facts(pid)
        facts = known[pid]
        if facts is None:  # it has ended since
            continue
        namespace.ppid = facts.parent
        namespace.command = facts.command
        namespace.uid = facts.uid
        if facts.uid not in users:
            users[facts.uid] = _user_name(facts.uid)
        namespace.user = users[facts.uid]


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
