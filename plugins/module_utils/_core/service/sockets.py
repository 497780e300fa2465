# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Sockets that are handed over to programs, where no systemd holds them (systemd_socket.py has those).

Nobody holds them beside the program. Who ends it, to start another in its place, takes them from it before,
and gives them to that: so they stay open, and the kernel holds who connects meanwhile.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import typing as t

from .. import host_paths
from ..definition import service_socket
from ..definition.service import ServiceSpec
from ..definition.service_note import Note
from ..definition.service_socket import Socket
from ..errors import KernelError, Refused
from ..namespace import cgroups, enter
from ..namespace.target import Target
from ..process import watch
from ..storage import atomic
from ..syscalls import processes

# By when a program had them that has failed to come up: for who starts the next one in this run.
_left: dict[tuple[str, str], dict[Socket, int]] = {}


def opened(spec: ServiceSpec, taken: t.Mapping[Socket, int]) -> list[int]:
    """The sockets of the service, in their order: those that were ``taken``, and new ones for the others.

    Nothing of ``taken`` is to be closed by the caller any more, but by close(). Raises Refused where one
    cannot be opened; then all are closed.
    """
    found = {each: fd for each in spec.sockets for old, fd in taken.items() if each.is_same(old)}
    close(fd for fd in taken.values() if fd not in found.values())
    try:
        files = [each for each in spec.sockets if each.is_file and each not in found]
        found.update({each: _new_file(spec, each) for each in files})
        others = [each for each in spec.sockets if each not in found]
        if others:
            found.update(zip(others, _new_inside(spec.namespace, others)))
        for each, fd in found.items():
            os.set_blocking(fd, each.blocking)  # an earlier program may have changed it
    except BaseException:
        close(found.values())
        raise
    return [found[each] for each in spec.sockets]


def inodes_of(fds: t.Iterable[int]) -> tuple[int, ...]:
    """What tells these sockets from all others for as long as they are open."""
    return tuple(os.fstat(fd).st_ino for fd in fds)


def taken(note: Note, spec: ServiceSpec) -> dict[Socket, int]:
    """Copies of those sockets of a program that the service is to have as ``spec`` as well.

    Only what was made for it is taken, wherever it keeps that: nothing that it has opened by itself. Those
    that it has closed are left out. Raises Refused where it may not be looked into.
    """
    wanted = {
        inode: each
        for each, inode in zip(note.spec.sockets, note.sockets)
        if any(each.is_same(other) for other in spec.sockets)
    }
    found: dict[Socket, int] = {}
    # Its workers have them as well, where it was killed.
    pids = [note.process.pid] if watch.is_alive(note.process) else []
    pids += cgroups.processes_of(note.spec.namespace, note.spec.name)
    try:
        for pid in dict.fromkeys(pids):
            _take(pid, note, {k: v for k, v in wanted.items() if v not in found}, found)
    except BaseException:
        close(found.values())
        raise
    return found


def leave(spec: ServiceSpec, fds: t.Sequence[int]) -> None:
    """Keep these open, of a program that did not come up, for who calls left() next."""
    close(left(spec).values())
    _left[spec.namespace, spec.name] = dict(zip(spec.sockets, fds))


def left(spec: ServiceSpec) -> dict[Socket, int]:
    """What was kept open for the service by leave(), for the caller to close."""
    return _left.pop((spec.namespace, spec.name), {})


def close(fds: t.Iterable[int]) -> None:
    """Close them."""
    for fd in set(fds):
        os.close(fd)


def _take(pid: int, note: Note, wanted: t.Mapping[int, Socket], found: dict[Socket, int]) -> None:
    try:
        pidfd = processes.pidfd_open(pid)
    except KernelError as error:
        if error.errno == errno.ESRCH:
            return
        raise
    try:
        for number in _descriptors_of(pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name = os.readlink(f"/proc/{pid}/fd/{number}")
                inode = int(name[8:-1]) if name.startswith("socket:[") else 0
                each = wanted.get(inode)
                if each is not None and each not in found:
                    fd = _copied(pidfd, number, note.spec.name)
                    if fd >= 0 and _is_it(fd, inode, each, note.spec):
                        found[each] = fd
                    elif fd >= 0:
                        os.close(fd)
    finally:
        os.close(pidfd)


def _descriptors_of(pid: int) -> list[int]:
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/fd")))
    except (FileNotFoundError, ProcessLookupError):
        return []


def _copied(pidfd: int, number: int, name: str) -> int:
    """A copy of the descriptor; -1 where it is gone. Raises Refused."""
    try:
        return processes.pidfd_getfd(pidfd, number)
    except KernelError as error:
        if error.errno in (errno.ESRCH, errno.EBADF):
            return -1
        raise Refused(
            f"the sockets of service {name} cannot be taken from its program: "
            f"{error.errno_name} from pidfd_getfd(2), of Linux 5.6, which a filter may forbid",
            "Stop it, and start it: the sockets are opened anew then, and nobody is held meanwhile.",
        ) from error


def _is_it(fd: int, inode: int, each: Socket, spec: ServiceSpec) -> bool:
    """Whether the copy is of what the descriptor led to, and that what was made for the service."""
    if os.fstat(fd).st_ino != inode:
        return False
    with socket.socket(fileno=os.dup(fd)) as found:
        place: t.Any = each.address if not each.is_file else _place(spec, each)
        name = found.getsockname()
        where = name if each.is_file else (_number(each.is_of_ipv6, name[0]), name[1])
        if not each.is_file:
            place = _number(each.is_of_ipv6, place[0]), place[1]
        return where == place and found.type == _KINDS[each.type]


def _number(is_of_ipv6: bool, address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if is_of_ipv6 else socket.AF_INET, address)


_KINDS = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}


def _place(spec: ServiceSpec, each: Socket) -> str:
    return service_socket.place_of(spec.namespace, spec.name, each)


def _new_file(spec: ServiceSpec, each: Socket) -> int:
    """One that is a file, on the host. Nobody gets to it there."""
    place = _place(spec, each)
    atomic.make_directory(host_paths.SOCKETS, mode=service_socket.MODE)
    atomic.make_directory(os.path.dirname(os.path.dirname(place)), mode=service_socket.MODE)
    atomic.make_directory(os.path.dirname(place), mode=service_socket.MODE)
    atomic.remove(place)  # of a program that has ended
    return _bound(each, socket.AF_UNIX, place)


def _new_inside(namespace: str, sockets: t.Sequence[Socket]) -> list[int]:
    """Those that are addresses, in the net namespace: a socket belongs to the one that it is made in."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def make() -> None:
        socket.send_fds(theirs, [b"x"], _bound_all(sockets))

    with ours, theirs, Target(namespace=namespace).open().only(("net",)) as handles:
        enter.run_inside(make, joins=handles)
        _data, fds, _flags, _address = socket.recv_fds(ours, 1, len(sockets))
    for fd in fds:
        os.set_inheritable(fd, False)
    return list(fds)


def _bound_all(sockets: t.Sequence[Socket]) -> list[int]:
    found: list[int] = []
    try:
        for each in sockets:
            family = socket.AF_INET6 if each.is_of_ipv6 else socket.AF_INET
            found.append(_bound(each, family, each.address))
    except BaseException:
        close(found)
        raise
    return found


def _bound(each: Socket, family: int, place: str | tuple[str, int]) -> int:
    """A new one. Raises Refused."""
    try:
        with socket.socket(family, _KINDS[each.type]) as made:
            # All as the unit of a socket has it: see systemd_unit.py.
            if family != socket.AF_UNIX and each.type == "stream":
                # Connections of an earlier one may not have ended yet (ip(7)).
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET:
                made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind(place)
            if each.type == "stream":
                made.listen(service_socket.BACKLOG)
            return made.detach()
    except OSError as error:
        raise Refused(
            f"the socket {each.listen} cannot be opened: {os.strerror(error.errno or errno.EIO)}",
            "Who listens there may be told by ss -lntup, in the same net namespace."
            if error.errno == errno.EADDRINUSE
            else "",
        ) from error


# Of linux/in.h and linux/in6.h: Python has no names for them.
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
