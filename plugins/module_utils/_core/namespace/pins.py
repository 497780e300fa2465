# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where named namespaces are kept: the pins, the lock of each name, the files beside them.

    /run/linux-namespaces/          a private tmpfs: gone after a reboot, as namespaces are
        .locks/web                  held while something about "web" is changed
        .closed/web/                what is below instead of in web/ while it is not whole (gate.py)
        web/mnt  web/uts ...        pins: nsfs bind mounts, one a kind
        web/state.json              what is true until the reboot (definition/file.py)
        web/cgroups/                the cgroups of what is left running (cgroups.py)
        web/services/nginx.json     what supervisor "none" started (definition/service_note.py)
    /var/log/linux-namespaces/web/  what such services write

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import stat

from .. import kinds
from ..errors import KernelError, Refused
from ..host_paths import (
    BASE,
    CLOSED,
    LOGS,
    checked_name,
    closed_directory,
    directory,
    is_directory,
    is_name,
    kept_in,
    services,
)
from ..patience import Patience
from ..storage import atomic
from ..syscalls import mounts
from . import gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


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


def path(name: str, kind: str) -> str:
    """The path of the pin of ``kind`` of the named namespace ``name``, for all who enter it."""
    return f"{directory(name)}/{kind}"


def path_now(name: str, kind: str) -> str:
    """The path of the pin where it is now: out of reach while the namespace is closed."""
    return f"{kept_in(name)}/{kind}"


def names() -> list[str]:
    """The names that have a directory, sorted; whether a namespace lives there is pinned()."""
    found: set[str] = set()
    for above in (BASE, CLOSED):
        try:
            found.update(name for name in os.listdir(above) if is_name(name))
        except (FileNotFoundError, NotADirectoryError):
            pass
    return sorted(found)


def pinned(name: str) -> dict[str, int]:
    """The ids of the namespaces pinned under ``name``, by kind; empty where there are none.

    A file without a mount on it pins nothing: see lost().
    """
    return {kind: number for kind, number in files(name).items() if number}


def lost(name: str) -> list[str]:
    """The kinds that have a file, and no namespace on it.

    A killed run has left it, or somebody has unmounted it, as `ip netns del` does.
    """
    return [kind for kind, number in files(name).items() if not number]


def closed_one_with(ids: t.Container[int]) -> str:
    """The name of a closed one that has a namespace with one of these ids; empty for none."""
    try:
        closed = [name for name in os.listdir(CLOSED) if is_name(name)]
    except OSError:  # none, or the caller is not root
        return ""
    for name in closed:
        if any(each in ids for each in pinned(name).values()) and gate.is_closed(name):
            return name
    return ""


def files(name: str) -> dict[str, int]:
    """The ids of the namespaces on the files of the kinds; 0 where none is on it."""
    place = kept_in(name)
    if not is_directory(place):
        return {}
    try:
        nsfs_device = os.stat("/proc/self/ns/mnt").st_dev
        found = os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    ids = {}
    for kind in sorted(set(found) & set(kinds.KINDS)):
        try:
            # A link is no pin: it may lead to another name's.
            status = os.lstat(f"{place}/{kind}")
        except OSError:  # another run takes it away just now; or what is mounted on it is broken
            continue
        ids[kind] = status.st_ino if status.st_dev == nsfs_device else 0
    return ids


def prepare(name: str) -> None:
    """Make the directory of ``name``, closed. Call it with the lock held. Raises OSError."""
    if not is_directory(kept_in(name)):
        gate.close(name)
    notes = services(name)
    if os.path.lexists(notes) and not is_directory(notes):
        os.unlink(notes)
    atomic.make_directory(notes, mode=0o700)


def pin(name: str, kind: str, pid: int) -> None:
    """Keep the namespace of ``kind`` that the children of ``pid`` live in. Raises KernelError.

    A mount namespace can only be pinned from outside of it, in an older one, on a mount that
    is not shared (mount_namespaces(7), EINVAL otherwise): BASE is private for this.
    """
    pin_file(name, kind, f"/proc/{pid}/ns/{kinds.KINDS[kind].handle}")


def pin_file(name: str, kind: str, source: str) -> None:
    """Keep the namespace of ``kind`` that ``source`` is a file of. Raises KernelError."""
    target = path_now(name, kind)
    if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
        unpin(name, kind)
    try:
        fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444)
    except FileExistsError:
        pass
    else:
        os.fchmod(fd, 0o444)  # whatever the umask is
        os.close(fd)
    mounts.mount(source, target, flags=mounts.MS_BIND)


def unpin(name: str, kind: str) -> None:
    """Take the pin away; the namespace lives on while a process is in it.

    Raises KernelError, Refused where something else is mounted there; Changing where somebody mounts
    on its file as fast as we unmount.
    """
    target = path_now(name, kind)
    patience = Patience(target)
    while _is_on_nsfs(target):
        mounts.detach(target)
        patience.look_again()
    _remove(target)


def _is_on_nsfs(path: str) -> bool:
    try:
        return os.lstat(path).st_dev == os.stat("/proc/self/ns/mnt").st_dev
    except FileNotFoundError:
        return False


def discard(name: str) -> None:
    """Remove all pins of ``name`` and its directory. Raises KernelError, OSError."""
    if os.path.lexists(directory(name)):
        gate.close(name)  # nobody is to enter what is left of it
    for kind in kinds.KINDS:
        unpin(name, kind)  # before what tells of them
    for place in (directory(name), closed_directory(name)):
        _remove(place)


def has_logs(name: str) -> bool:
    """Whether services of ``name`` have written anything."""
    return os.path.lexists(f"{LOGS}/{checked_name(name)}")


def discard_logs(name: str) -> None:
    """Remove what the services of ``name`` have written. Raises OSError."""
    _remove(f"{LOGS}/{checked_name(name)}")
    try:
        os.rmdir(LOGS)
    except OSError:  # others have logs there
        pass


def _remove(path: str) -> None:
    # Not loaded by who enters.
    from ..storage import removal

    removal.remove_path(path)


def forget_in_copy(*, shared: bool) -> None:
    """In a new copy of the host's mount namespace: drop its copies of the pins.

    They would show inside which others there are. In a copy that is ``shared`` with the host
    BASE itself stays, since an unmount would reach the host; the pins on it are on a private
    mount, and can go. In a copy that belongs to another user namespace all of them stay, locked
    to the rest (mount_namespaces(7)), until the kernel drops them with the file of the pin.
    """
    copies = (
        [path_now(name, kind) for name in names() for kind in pinned(name)] if shared else [BASE]
    )
    for copy in copies:
        try:
            mounts.umount(copy, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
        except KernelError:  # EINVAL: not mounted, or locked
            pass
