# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The sockets of services that are files: each lies on the host, and is bound to its path inside.

So it is there, with who waits in it, in whatever root the namespace has: nothing in the root makes it, and
it goes with no root. Who connects inside walks no directory of the host's.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from .. import actions, host_paths
from ..definition import service_socket
from ..definition.layout import Layout
from ..definition.service import ServiceSpec
from ..definition.service_socket import Socket
from ..errors import KernelError, Refused
from ..mount import attach as attaching
from ..mount import build, observe, resolve, unmount
from ..mount.view import TargetView, open_host_proc
from ..mount.wanted import WantedMount
from ..namespace import enter
from ..namespace.target import Handles, Target
from ..process import accounts
from ..storage import removal

# Its place inside is made; what others have mounted on the host reaches nobody by it.
_WORDS = ("bind", "X-mount.mkdir")
_NO_PLACE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


class _Found(t.NamedTuple):
    """What is inside of one of them."""

    # Who it belongs to there, in ids of the host.
    uid: int
    gid: int
    is_attached: bool


def attach(spec: ServiceSpec) -> None:
    """Have the sockets of the service that are files at their paths in its namespace.

    Those that nobody has opened yet are left out. Where all are there nothing is changed; what is there of
    earlier ones is taken away. The namespace may be closed. Raises StepFailed, Refused.
    """
    sockets = {
        each: service_socket.place_of(spec.namespace, spec.name, each)
        for each in spec.sockets
        if each.is_file
    }
    if not sockets and not os.path.isdir(service_socket.directory_of(spec.namespace, spec.name)):
        return
    with contextlib.ExitStack() as stack:
        opened = {each: fd for each, path in sockets.items() if (fd := _opened(path, stack)) >= 0}
        wanted = {each: os.fstat(fd) for each, fd in opened.items()}
        host_proc = stack.enter_context(_host_proc())
        handles = stack.enter_context(_namespace(spec.namespace))

        def look() -> list[_Found]:
            view = TargetView(host_proc, Layout())
            _take_away(view, spec.namespace, spec.name, [each.listen for each in spec.sockets])
            with_user = "user" in handles.kinds
            return [
                _looked_at(view, each, status, with_user=with_user)
                for each, status in wanted.items()
            ]

        found: list[_Found] = actions.run(
            f"look at the sockets of service {spec.name} inside",
            lambda: enter.run_inside(look, joins=handles),
        )
        for (each, status), there in zip(wanted.items(), found):
            _give(opened[each], each, status, there)
        missing = [each for each, there in zip(wanted, found) if not there.is_attached]
        for each in missing:
            actions.run(
                f"have the socket {each.listen} of service {spec.name} inside",
                lambda each=each: _attach(each, sockets[each], handles, host_proc),  # type: ignore[misc]
            )


def settle(spec: ServiceSpec) -> None:
    """attach(), for who starts its program: what earlier ones had and it has not is removed on the host, too.

    Raises StepFailed, Refused, OSError.
    """
    attach(spec)
    directory = service_socket.directory_of(spec.namespace, spec.name)
    kept = {
        os.path.basename(service_socket.place_of(spec.namespace, spec.name, each))
        for each in spec.sockets
        if each.is_file
    }
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for each in set(os.listdir(directory)) - kept:
            removal.remove_path(f"{directory}/{each}")
        if not kept:
            os.rmdir(directory)
            _remove_empty(spec.namespace)


def clear(namespace: str, name: str) -> None:
    """Take away what attach() has made for the service, inside and on the host. Raises KernelError, OSError."""
    directory = service_socket.directory_of(namespace, name)
    if not os.path.lexists(directory):
        return
    with contextlib.suppress(Refused), _host_proc() as host_proc, _namespace(namespace) as handles:

        def take_away() -> None:
            _take_away(TargetView(host_proc, Layout()), namespace, name, ())

        enter.run_inside(take_away, joins=handles)
    removal.remove_path(directory)
    _remove_empty(namespace)


def discard(namespace: str) -> None:
    """Remove what all services of a namespace have that is about to go. Raises OSError.

    Also inside, as long as there is a way in: a directory there may be one of the host's.
    """
    place = f"{host_paths.SOCKETS}/{host_paths.checked_name(namespace)}"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for each in filter(host_paths.is_name, os.listdir(place)):
            with contextlib.suppress(OSError):
                clear(namespace, each)
    removal.remove_path(place)
    _remove_empty(namespace)


def _remove_empty(namespace: str) -> None:
    for directory in (f"{host_paths.SOCKETS}/{namespace}", host_paths.SOCKETS):
        with contextlib.suppress(OSError):  # others have some, or there is none
            os.rmdir(directory)


@contextlib.contextmanager
def _host_proc() -> t.Iterator[int]:
    fd = open_host_proc()
    try:
        yield fd
    finally:
        os.close(fd)


def _namespace(name: str) -> Handles:
    """What is joined. Raises Refused where it has no mounts of its own."""
    return Target(namespace=name).open(needs="mnt", closed_too=True).only(("mnt", "user"))


def _opened(path: str, stack: contextlib.ExitStack) -> int:
    """The socket on the host, open; -1 where there is none."""
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    stack.callback(os.close, fd)
    return fd if stat.S_ISSOCK(os.fstat(fd).st_mode) else -1


def _looked_at(
    view: TargetView, socket: Socket, wanted: os.stat_result, *, with_user: bool
) -> _Found:
    """Called inside."""
    names = socket.owner, socket.group
    by_name = any(each and not each.isdigit() for each in names)
    # Of nobody who is named the root need not be read: it may be hostile.
    database = accounts.files_of_this_root(view.host_proc) if by_name else accounts.Files("", "")
    who = accounts.resolve(socket.owner or "0", socket.group or "0", (), database)
    uid, gid = who.uid or 0, who.gid or 0
    if with_user:
        uid = _outside(uid, "uid_map", view.host_proc)
        gid = _outside(gid, "gid_map", view.host_proc)
    try:
        with view.opened(socket.listen) as fd:
            is_attached = os.path.samestat(os.fstat(fd), wanted)
    except KernelError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        is_attached = False
    return _Found(uid, gid, is_attached)


def _outside(number: int, which: str, host_proc: int) -> int:
    """The id on the host of one in the user namespace of this process (user_namespaces(7))."""
    with open(os.open(f"self/{which}", os.O_RDONLY, dir_fd=host_proc), encoding="ascii") as lines:
        for line in lines:
            inside, outside, count = map(int, line.split())
            if inside <= number < inside + count:
                return outside + number - inside
    raise Refused(
        f"the id {number} of a socket has no place in the user namespace",
        "Map it: id_map of linux.namespaces.ns_namespace.",
    )


def _give(fd: int, socket: Socket, status: os.stat_result, there: _Found) -> None:
    """Let it belong to who it is to belong to, and be used by whom it may."""
    mode = service_socket.DEFAULT_MODE if socket.mode is None else socket.mode
    path = f"/proc/self/fd/{fd}"
    if (status.st_uid, status.st_gid) != there[:2]:
        os.chown(path, *there[:2])
    if stat.S_IMODE(status.st_mode) != mode:
        os.chmod(path, mode)


def _attach(socket: Socket, place: str, handles: Handles, host_proc: int) -> None:
    wanted = WantedMount(socket.listen, place, words=_WORDS).checked()
    with observe.source_on_host(place) as fd:
        tree = build.clone(fd, wanted, source=observe.source_of(fd, {}))
    if "user" in handles.kinds:
        tree = tree.kept_whole()

    def attach() -> None:
        view = TargetView(host_proc, Layout())
        mounter = attaching.Mounter(view, {wanted.path: tree})
        if view.exists(wanted.path):
            with view.opened(wanted.path) as there:
                is_directory = resolve.is_directory(there)
            if is_directory:
                raise Refused(f"{wanted.path} is a directory inside", "Name another path.")
        mounter.attach(wanted)

    try:
        enter.run_inside(attach, joins=handles)
    except KernelError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise Refused(
            f"there is no place for it: {wanted.path} cannot be made inside: {os.strerror(error.errno)}",
            "Mount a tmpfs on its directory inside, with linux.namespaces.ns_mount, or name another path.",
        ) from error
    finally:
        tree.close()


def _take_away(view: TargetView, namespace: str, name: str, but: t.Container[str]) -> None:
    """Unmount what was mounted for the service, but what is on these paths and still leads to a socket."""
    # As the kernel has it, whichever part of the host's tree /run is; "//deleted" follows where the
    # socket is gone.
    mark = f"{os.path.basename(host_paths.SOCKETS)}/{namespace}/{name}/"
    for row in reversed(view.mounts()):
        is_gone = row.root.endswith("//deleted")
        if mark not in row.root or (row.path in but and not is_gone):
            continue
        with contextlib.suppress(KernelError):  # somebody else has just unmounted it
            unmount.detach_all(view, row.path)
            if row.path not in but:
                _remove_place(view, row.path)


def _remove_place(view: TargetView, path: str) -> None:
    """Remove the empty file that was made for a socket."""
    with view.base(path) as (base, rest):
        above, _slash, name = rest.rpartition("/")
        with resolve.opened_in(base, above) as directory, contextlib.suppress(OSError):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and not found.st_size:
                os.unlink(name, dir_fd=directory)
