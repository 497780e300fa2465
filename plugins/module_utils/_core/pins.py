# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where named namespaces are kept: the pins, the lock of each name, the files beside them.

    /run/linux-namespaces/          a private tmpfs: gone after a reboot, as namespaces are
        .locks/web                  held while something about "web" is changed
        web/mnt  web/uts ...        pins: nsfs bind mounts, one a kind
        web/state.json              what is true until the reboot (definition.py)
        web/services/nginx.json     what supervisor "none" started (service.py)

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
import typing as t

from . import kinds
from .errors import KernelError, Refused
from .syscalls import files, mounts

BASE = "/run/linux-namespaces"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_LOCK_PAUSE = 0.02


def checked_name(name: str) -> str:
    """``name`` when it can name a namespace or a service, as a file name. Raises Refused."""
    if not _NAME.match(name):
        raise Refused(
            f"{name!r} cannot be a name",
            "A name has 1 to 64 letters, digits, '_', '.', '-', the first a letter or digit.",
        )
    return name


def directory(name: str) -> str:
    """The directory of the named namespace ``name``."""
    return f"{BASE}/{checked_name(name)}"


def path(name: str, kind: str) -> str:
    """The path of the pin of ``kind`` of the named namespace ``name``."""
    return f"{directory(name)}/{kind}"


def names() -> list[str]:
    """The names that have a directory, sorted; whether a namespace lives there is pinned()."""
    try:
        return sorted(name for name in os.listdir(BASE) if _NAME.match(name))
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
    target = path(name, kind)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444))
    mounts.mount(f"/proc/{pid}/ns/{kinds.KINDS[kind].handle}", target, flags=mounts.MS_BIND)


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
    for above, folders, filenames in os.walk(directory(name), topdown=False):
        for filename in filenames:
            os.unlink(f"{above}/{filename}")
        for folder in folders:
            os.rmdir(f"{above}/{folder}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory(name))


def forget_in_copy(*, shared: bool) -> None:
    """In a new copy of the host's mount namespace: drop its copies of the pins.

    They would keep other named namespaces alive after those were removed. In a copy that is
    ``shared`` with the host BASE itself stays, since an unmount would reach the host; the pins
    on it are on a private mount, and can go. Raises KernelError.
    """
    if not shared:
        with contextlib.suppress(KernelError):  # EINVAL: there is no BASE yet
            mounts.umount(BASE, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
        return
    for name in names():
        for kind in pinned(name):
            mounts.umount(path(name, kind), flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)


@contextlib.contextmanager
def locked(name: str, *, timeout: float) -> t.Iterator[None]:
    """Hold the lock of ``name``; a second run waits for up to ``timeout`` seconds.

    BASE is made when it is missing, and removed afterwards when nothing is kept in it.
    Raises Refused when the wait was too long.
    """
    checked_name(name)
    deadline = time.monotonic() + timeout
    fd = _take_lock(name, deadline)
    try:
        yield
    finally:
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
            raise Refused(f"another run holds the lock on {os.path.dirname(BASE)}")
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
    with _base_guard(time.monotonic() + 1):
        try:
            if os.listdir(BASE) != [".locks"] or os.listdir(f"{BASE}/.locks"):
                return
            # Without MNT_DETACH: EBUSY says that somebody has a lock file open.
            mounts.umount(BASE, flags=mounts.UMOUNT_NOFOLLOW)
            os.rmdir(BASE)
        except (FileNotFoundError, KernelError):
            return
