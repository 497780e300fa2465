# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The credentials of a service: files for its program alone, in a file system of their own.

systemd has the same (systemd.exec(5), CREDENTIALS), but mounts it where a program in another mount
namespace does not see it. Here it is made by the process that becomes the program, in the
namespaces of that: a ramfs, which is never swapped, and which a user namespace may mount as well.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..definition.service import ServiceSpec, encoded
from ..errors import KernelError, Refused
from ..mount import table
from ..namespace import enter
from ..namespace.target import Handles, Target
from ..patience import Patience
from ..process.accounts import Identity
from ..storage import modes
from ..syscalls import detached, files, mounts

_FSTYPE = "ramfs"
# By which we know our own.
_SOURCE = "credentials"
# A read-only file system; a directory that belongs to nobody in the user namespace.
_NOT_OURS_TO_MAKE = (errno.EROFS, errno.EACCES, errno.EPERM)
_ATTRIBUTES = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC


def attach(spec: ServiceSpec, identity: Identity, host_proc: int) -> None:
    """Mount the credentials of ``spec`` for who has these ids, in place of earlier ones.

    The caller lives in the namespaces of the program; ``host_proc`` is an open /proc. Raises
    Refused, KernelError.
    """
    path = spec.credentials_directory
    tree = _filled(spec.credentials, identity)
    try:
        try:
            _attach_at(path, tree, host_proc)
        except FileNotFoundError:
            # With the last of them elsewhere the directory above has just gone.
            _attach_at(path, tree, host_proc)
    except OSError as error:
        if error.errno not in _NOT_OURS_TO_MAKE:
            raise
        raise Refused(
            f"there is no place for the credentials: {path} cannot be made inside: "
            f"{os.strerror(error.errno)}",
            "Mount a tmpfs on /run inside, with linux.namespaces.ns_mount.",
        ) from error
    finally:
        os.close(tree)
        os.chdir("/")


def _attach_at(path: str, tree: int, host_proc: int) -> None:
    with _directory_above(path, make=True) as above:
        name = os.path.basename(path)
        _take_away(above, name, host_proc)
        place = _entered(above, name, path, make=True)
        try:
            _check_unshared(place, path, host_proc)
            detached.move_mount(tree, place)
        finally:
            os.close(place)


def clear(namespace: str, path: str) -> None:
    """Take away what is mounted on the path in a named namespace, and the directory it was on.

    A namespace that cannot be entered took its mounts along: what is left then is a directory in
    a /run that it shared with the host. Raises KernelError.
    """
    host_proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _mounts_of(namespace) as handles:
            enter.run_inside(lambda: _clear(path, host_proc), joins=handles)
    finally:
        os.close(host_proc)


def _mounts_of(namespace: str) -> Handles:
    try:
        handles = Target(namespace=namespace).open(closed_too=True)
    except Refused:
        return Handles({})
    return handles.only(("mnt", "user") if "mnt" in handles.kinds else ())


def _clear(path: str, host_proc: int) -> None:
    try:
        with _directory_above(path, make=False) as above:
            name = os.path.basename(path)
            _take_away(above, name, host_proc)
            with contextlib.suppress(OSError):  # somebody else has something there
                os.rmdir(name, dir_fd=above)
    except (FileNotFoundError, Refused):  # no place where we would have mounted anything
        return


def _filled(contents: t.Mapping[str, str], identity: Identity) -> int:
    """A mount that is not attached yet, of files that only this user can read."""
    uid = os.geteuid() if identity.uid is None else identity.uid
    gid = os.getegid() if identity.gid is None else identity.gid
    tree = detached.make_filesystem(
        _FSTYPE, source=_SOURCE, options=[("mode", "0700")], attributes=_ATTRIBUTES
    )
    try:
        for name, text in contents.items():
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            with open(os.open(name, flags, 0o400, dir_fd=tree), "wb") as file:
                os.fchmod(file.fileno(), 0o400)
                file.write(encoded(text))
                file.flush()
                os.fchown(file.fileno(), uid, gid)
        os.chown(".", uid, gid, dir_fd=tree)
        os.chmod(".", 0o500, dir_fd=tree)
        # The file system, not the mount: mount_setattr(2) is of Linux 5.12.
        detached.reconfigure(tree, [("ro", None)])
    except BaseException as error:
        os.close(tree)
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            raise Refused(
                f"credentials cannot belong to uid {uid}, gid {gid}: these have no id in the user "
                "namespace",
                "Map them: id_map of linux.namespaces.ns_namespace.",
            ) from error
        raise
    return tree


@contextlib.contextmanager
def _directory_above(path: str, *, make: bool) -> t.Iterator[int]:
    """The open directory above the path. Raises Refused where a link is on the way, OSError."""
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.split("/")[1:-1]:
            inner = _entered(fd, name, path, make=make)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _entered(above: int, name: str, path: str, *, make: bool) -> int:
    """A directory in an open one. A link could lead into what is shared with others."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        if make:
            with contextlib.suppress(FileExistsError), modes.exact():
                os.mkdir(name, 0o755, dir_fd=above)
        return os.open(name, flags, dir_fd=above)
    except NotADirectoryError as error:
        raise Refused(
            f"there is no place for the credentials: {name} of {path} is no directory inside",
            "It may be no link either. Make it a directory, or mount a tmpfs on /run inside.",
        ) from error


def _take_away(above: int, name: str, host_proc: int) -> None:
    """Unmount what we have mounted there, and empty it: others may have a copy of the mount."""
    patience = Patience(name)
    while True:
        try:
            place = os.open(
                name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above
            )
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            found = _mount_of(place, host_proc)
            if found is None or (found.fstype, found.src) != (_FSTYPE, _SOURCE):
                return
            with contextlib.suppress(KernelError):  # a copy in a user namespace of its own
                detached.reconfigure(place, [("rw", None)])
                for each in _names_in(place):
                    os.unlink(each, dir_fd=place)
        finally:
            os.close(place)
        # By its name in an open directory: a descriptor of the mount would make it busy.
        os.fchdir(above)
        mounts.detach(name)
        patience.look_again()


def _names_in(directory: int) -> list[str]:
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _mount_of(fd: int, host_proc: int) -> table.Mount | None:
    """The mount that an open file lies on; None where it was taken away since."""
    number = files.place_of(fd).mount_id
    rows = table.read("self/mountinfo", dir_fd=host_proc, only=f"{number} ")
    return next((row for row in rows if row.id == number), None)


def _check_unshared(place: int, path: str, host_proc: int) -> None:
    """What is mounted on a shared mount appears wherever else that is."""
    found = _mount_of(place, host_proc)
    if found is not None and "shared" in found.propagation.split(","):
        raise Refused(
            f"there is no place for the credentials: the mount {found.path} is shared with other "
            f"mount namespaces, where {path} would appear as well",
            "Give the namespace propagation: private, or mount a tmpfs on /run inside.",
        )
