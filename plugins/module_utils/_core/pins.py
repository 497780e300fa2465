# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where named namespaces are kept: the pins, the lock of each name, the files beside them.

    /run/linux-namespaces/          a private tmpfs: gone after a reboot, as namespaces are
        .locks/web                  held while something about "web" is changed
        web/mnt  web/uts ...        pins: nsfs bind mounts, one a kind
        web/state.json              what is true until the reboot (definition.py)
        web/services/nginx.json     what supervisor "none" started (service.py)
    /var/log/linux-namespaces/web/  what such services write

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import typing as t

from . import kinds
from .errors import KernelError, Refused
from .host_paths import BASE, LOGS, checked_name, directory, is_name
from .syscalls import files, mounts

_LOCK_PAUSE = 0.02
_held: set[str] = set()


def path(name: str, kind: str) -> str:
    """The path of the pin of ``kind`` of the named namespace ``name``."""
    return f"{directory(name)}/{kind}"


def names() -> list[str]:
    """The names that have a directory, sorted; whether a namespace lives there is pinned()."""
    try:
        return sorted(name for name in os.listdir(BASE) if is_name(name))
    except FileNotFoundError:
        return []


def pinned(name: str) -> dict[str, int]:
    """The ids of the namespaces pinned under ``name``, by kind; empty where there are none.

    A file without a mount on it is what a killed run leaves: it pins nothing.
    """
    try:
        nsfs_device = os.stat("/proc/self/ns/mnt").st_dev
        found = os.listdir(directory(name))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    ids = {}
    for kind in sorted(set(found) & set(kinds.KINDS)):
        with contextlib.suppress(FileNotFoundError):  # another run takes it away just now
            status = os.stat(path(name, kind))
            if status.st_dev == nsfs_device:
                ids[kind] = status.st_ino
    return ids


def prepare(name: str) -> None:
    """Make the directory of ``name``. Call it with the lock held. Raises KernelError."""
    os.makedirs(f"{directory(name)}/services", mode=0o755, exist_ok=True)


def pin(name: str, kind: str, pid: int) -> None:
    """Keep the namespace of ``kind`` that the children of ``pid`` live in. Raises KernelError.

    A mount namespace can only be pinned from outside of it, in an older one, on a mount that
    is not shared (mount_namespaces(7), EINVAL otherwise): BASE is private for this.
    """
    pin_file(name, kind, f"/proc/{pid}/ns/{kinds.KINDS[kind].handle}")


def pin_file(name: str, kind: str, source: str) -> None:
    """Keep the namespace of ``kind`` that ``source`` is a file of. Raises KernelError."""
    target = path(name, kind)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444))
    mounts.mount(source, target, flags=mounts.MS_BIND)


def unpin(name: str, kind: str) -> None:
    """Take the pin away; the namespace lives on while a process is in it. Raises KernelError."""
    target = path(name, kind)
    while True:
        try:
            mounts.umount(target, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
        except KernelError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):  # no longer a mount point
                raise
            break
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)


def discard(name: str) -> None:
    """Remove all pins of ``name`` and its directory. Raises KernelError, OSError."""
    for kind in kinds.KINDS:
        unpin(name, kind)
    _remove_tree(directory(name))


def has_logs(name: str) -> bool:
    """Whether services of ``name`` have written anything."""
    return os.path.isdir(f"{LOGS}/{checked_name(name)}")


def discard_logs(name: str) -> None:
    """Remove what the services of ``name`` have written. Raises OSError."""
    _remove_tree(f"{LOGS}/{checked_name(name)}")
    with contextlib.suppress(OSError):  # until the last one has gone
        os.rmdir(LOGS)


def _remove_tree(top: str) -> None:
    for above, folders, filenames in os.walk(top, topdown=False):
        for filename in filenames:
            os.unlink(f"{above}/{filename}")
        for folder in folders:
            os.rmdir(f"{above}/{folder}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(top)


def forget_in_copy(*, shared: bool) -> None:
    """In a new copy of the host's mount namespace: drop its copies of the pins.

    They would show inside which others there are. In a copy that is ``shared`` with the host
    BASE itself stays, since an unmount would reach the host; the pins on it are on a private
    mount, and can go. In a copy that belongs to another user namespace all of them stay, locked
    to the rest (mount_namespaces(7)), until the kernel drops them with the file of the pin.
    """
    copies = [path(name, kind) for name in names() for kind in pinned(name)] if shared else [BASE]
    for copy in copies:
        with contextlib.suppress(KernelError):  # EINVAL: not mounted, or locked
            mounts.umount(copy, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)


def check_rights() -> None:
    """Refuse a caller that cannot keep anything in BASE. Raises Refused."""
    if os.geteuid() != 0:
        raise Refused(
            f"named namespaces are root's: they are kept in {BASE}, where only root can pin them",
            (
                "Run the task as root (become: true). Without root linux.namespaces.ns_unshare_run "
                "runs a program in namespaces of its own."
            ),
        )


@contextlib.contextmanager
def locked(name: str, *, timeout: float) -> t.Iterator[None]:
    """Hold the lock of ``name``; a second run waits for up to ``timeout`` seconds.

    Within it the same process can ask for it again, and has it. BASE is made when it is
    missing, and removed afterwards when nothing is kept in it. Raises Refused when the wait was
    too long, or the caller is not root.
    """
    checked_name(name)
    check_rights()
    if name in _held:
        yield
        return
    fd = _take_lock(name, time.monotonic() + timeout)
    _held.add(name)
    try:
        yield
    finally:
        _held.remove(name)
        _drop_lock(name, fd)


def _take_lock(name: str, deadline: float) -> int:
    lock_path = f"{BASE}/.locks/{name}"
    while True:
        _make_base(deadline)
        try:
            fd = os.open(lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the last user of BASE has just removed it
        if not _flock(fd, deadline):
            os.close(fd)
            raise Refused(
                f"another run holds the lock of namespace {name!r}",
                f"Wait for it to end; `fuser -v {lock_path}` names it.",
            )
        # Who waited may hold the lock of a file that was removed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(lock_path)):
                return fd
        os.close(fd)


def _flock(fd: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_PAUSE)


def _drop_lock(name: str, fd: int) -> None:
    if not os.path.isdir(directory(name)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{BASE}/.locks/{name}")
    os.close(fd)
    if not os.path.isdir(directory(name)):
        _remove_base()


@contextlib.contextmanager
def _base_guard(deadline: float) -> t.Iterator[None]:
    """One at a time makes or removes BASE. /run itself is the lock: it leaves no file."""
    fd = os.open(os.path.dirname(BASE), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _flock(fd, deadline):
            raise Refused(
                f"another run holds the lock on {os.path.dirname(BASE)}",
                f"Wait for it to end; `fuser -v {os.path.dirname(BASE)}` names it.",
            )
        yield
    finally:
        os.close(fd)


def _is_base_mounted() -> bool:
    try:
        fd = os.open(BASE, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return files.place_of(fd).is_mount_root
    finally:
        os.close(fd)


def _make_base(deadline: float) -> None:
    if _is_base_mounted() and os.path.isdir(f"{BASE}/.locks"):
        return
    with _base_guard(deadline):
        if not _is_base_mounted():
            os.makedirs(BASE, mode=0o755, exist_ok=True)
            flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
            mounts.mount("linux-namespaces", BASE, fstype="tmpfs", flags=flags, data="mode=755")
        # Also after a run that was killed between the two: pins need it private.
        mounts.mount("none", BASE, flags=mounts.MS_PRIVATE)
        os.makedirs(f"{BASE}/.locks", mode=0o700, exist_ok=True)


def _remove_base() -> None:
    """Remove BASE when nothing is kept in it and nobody waits for a lock in it."""
    deadline = time.monotonic() + 1
    # Who cannot have the guard now leaves BASE to the one who has it, or to a later run.
    with contextlib.suppress(Refused, FileNotFoundError), _base_guard(deadline):
        while os.listdir(BASE) == [".locks"] and not os.listdir(f"{BASE}/.locks"):
            try:
                # Without MNT_DETACH: EBUSY says that somebody has a file open there, which may
                # become a lock.
                mounts.umount(BASE, flags=mounts.UMOUNT_NOFOLLOW)
            except KernelError:
                if time.monotonic() > deadline:
                    return
                time.sleep(_LOCK_PAUSE)
            else:
                os.rmdir(BASE)
