# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where named namespaces are kept: the pins, the lock of each name, the files beside them.

    /run/linux-namespaces/          a private tmpfs: gone after a reboot, as namespaces are
        .locks/web                  held while something about "web" is changed
        .closed/web/                what is below instead of in web/ while it is not whole (gate.py)
        web/mnt  web/uts ...        pins: nsfs bind mounts, one a kind
        web/net@front               the same of a kind that it shares with another name
        web/state.json              what is true until the reboot (definition/file.py)
        web/cgroups/                the cgroups of what is left running (cgroups.py)
        web/services/nginx.json     what supervisor "none" started (definition/service_note.py)
    /var/log/linux-namespaces/web/  what such services write

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import stat

from .. import kinds, once
from ..errors import Refused
from ..host_paths import (
    BASE,
    CLOSED,
    LOGS,
    NOT_THERE,
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


# Between a kind and the name that it is shared with, in the name of a pin.
_OF = "@"


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


@once.kept
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


def shared(name: str) -> dict[str, tuple[str, int]]:
    """By kind what ``name`` shares: with which other name, and the id.

    0 where its pin was lost, or the other has another namespace of that kind by now, or none.
    """
    ids = {}
    for each, number in sorted(_listed(name).items()):
        kind, mark, other = each.partition(_OF)
        if mark and kind in kinds.KINDS and is_name(other):
            is_same = number and pinned(other).get(kind) == number
            ids[kind] = other, number if is_same else 0
    return ids


def shared_path(name: str, kind: str, other: str) -> str:
    """The path of the pin of a kind that ``name`` shares with the ``other``, where it is now."""
    return f"{kept_in(name)}/{kind}{_OF}{other}"


def sharing(name: str, of: t.Iterable[str]) -> list[str]:
    """The names that have one of these kinds of this one, by the pins that there are."""
    wanted = {f"{kind}{_OF}{name}" for kind in of}
    found = []
    for each in names():
        try:
            if each != name and not wanted.isdisjoint(os.listdir(kept_in(each))):
                found.append(each)
        except (FileNotFoundError, NotADirectoryError):
            pass
    return found


def closed_one_with(ids: t.Container[int]) -> str:
    """The name of a closed one that has a namespace with one of these ids; empty for none."""
    try:
        closed = [name for name in os.listdir(CLOSED) if is_name(name)]
    except NOT_THERE:
        return ""
    for name in closed:
        if any(each in ids for each in pinned(name).values()) and gate.is_closed(name):
            return name
    return ""


def files(name: str) -> dict[str, int]:
    """The ids of the namespaces on the files of the kinds; 0 where none is on it."""
    return {kind: number for kind, number in sorted(_listed(name).items()) if kind in kinds.KINDS}


@once.kept
def _listed(name: str) -> dict[str, int]:
    """The ids of the namespaces on the files in its directory; 0 where none is on one.

    In the directory as it was opened: it may go elsewhere meanwhile, with all that is in it.
    """
    try:
        fd = os.open(kept_in(name), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NOT_THERE:  # or a link is, which may lead to another name's
        return {}
    ids = {}
    try:
        nsfs_device = os.stat("/proc/self/ns/mnt").st_dev
        for each in os.listdir(fd):
            try:
                # A link is no pin: it may lead to another name's.
                status = os.lstat(each, dir_fd=fd)
            except (
                OSError
            ):  # another run takes it away just now; or what is mounted on it is broken
                continue
            ids[each] = status.st_ino if status.st_dev == nsfs_device else 0
    except FileNotFoundError:  # the directory is gone, or there is no /proc
        return {}
    finally:
        os.close(fd)
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
    _pin(path_now(name, kind), source)


def share(name: str, kind: str, other: str) -> None:
    """Have the namespace of this kind in common with the ``other`` name. Raises KernelError, OSError."""
    for each, (whose, _id) in shared(name).items():
        if each == kind:
            unshare(name, kind, whose)
    _pin(shared_path(name, kind, other), path_now(other, kind))


def unshare(name: str, kind: str, other: str) -> None:
    """Have it in common no more. Raises what unpin() does."""
    _unpin(shared_path(name, kind, other))


def _pin(target: str, source: str) -> None:
    if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
        _unpin(target)
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
    _unpin(path_now(name, kind))


def _unpin(target: str) -> None:
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
    for kind, (other, _id) in shared(name).items():
        unshare(name, kind, other)
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


def _paths(name: str) -> list[str]:
    own = [path_now(name, kind) for kind in pinned(name)]
    return own + [shared_path(name, kind, other) for kind, (other, _id) in shared(name).items()]


def forget_in_copy(*, shared_with_host: bool) -> None:
    """In a new copy of the host's mount namespace: drop its copies of the pins.

    They would show inside which others there are. In a copy that is shared with the host
    BASE itself stays, since an unmount would reach the host; the pins on it are on a private
    mount, and can go. In a copy that belongs to another user namespace all of them stay, locked
    to the rest (mount_namespaces(7)), until the kernel drops them with the file of the pin.

    Raises KernelError.
    """
    copies = [each for name in names() for each in _paths(name)] if shared_with_host else [BASE]
    for copy in copies:
        mounts.detach(copy)  # locked is EINVAL as well
