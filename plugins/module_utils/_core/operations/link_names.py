# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The names of a named namespace: its files below /etc/netns, and these in the place of the files inside.

Where it has a mount namespace of its own they are mounted in it, on the files there or on links of that name.
Programs in others get them when they are started (namespace/netns_files.py).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from .. import host_paths
from ..actions import Action
from ..definition import dns
from ..definition.link import Link
from ..errors import Refused
from ..mount import resolve
from ..mount.view import TargetView
from ..namespace import netns_files, pins
from ..namespace.target import Target
from ..storage import json_file
from ..syscalls import detached
from . import session
from .session import Session

_MODE = 0o644
Identity = tuple[int, int]


def planned(
    name: str, links: t.Iterable[Link], *, has_mounts: bool, is_to_come: bool
) -> list[Action]:
    """How its names become what its interfaces say.

    ``has_mounts`` it has a mount namespace of its own, which with ``is_to_come`` is made just before. Raises
    Refused where a file is somebody else's, KernelError, OSError.
    """
    wanted = dns.files_of([link.dns for link in links if link.dns is not None])
    there = {file: _content(name, file) for file in dns.FILES}
    for file in wanted:
        _check_ours(name, file, there[file])
    gone = [file for file in dns.FILES if file not in wanted and _is_ours(there[file])]
    changed = [file for file in wanted if there[file] != wanted[file]]
    laid: set[str] = set()
    if has_mounts and not is_to_come and (wanted or gone):
        laid = _laid(name, name)
    actions = []
    for file in changed:
        write = functools.partial(_write, name, file, wanted[file])
        actions.append(Action(f"write {_path(name, file)}", write))
    for file in gone:
        remove = functools.partial(_remove, name, file, is_laid=file in laid)
        actions.append(Action(f"remove {_path(name, file)}", remove))
    return actions + (_laying(name, name, wanted, laid) if has_mounts else [])


def has_any(name: str) -> bool:
    """Whether files of it are there that are ours."""
    return any(_is_ours(_content(name, file)) for file in dns.FILES)


def remove_all(name: str) -> None:
    """Remove those that are ours; the namespace is gone, or about to go. Raises OSError."""
    for file in dns.FILES:
        if _is_ours(_content(name, file)):
            _remove(name, file, is_laid=False)


def lay_all(opened: Session) -> None:
    """Lay its files over those inside that are not yet: as after a pivot, which leaves them behind.

    Raises KernelError, OSError.
    """
    name = opened.target.namespace
    if name is None:
        return
    owner = _owner_of(name)
    files = [file for file in dns.FILES if _is_ours(_content(owner, file))]
    if files:
        _lay(opened, owner, files)


def _owner_of(name: str) -> str:
    """The name that its network has files by: that of whom it shares that."""
    shared = pins.shared(name).get("net")
    return shared[0] if shared is not None else name


def of_shared(name: str, owner: str, *, is_to_come: bool) -> list[Action]:
    """What lays the files of the one that it shares the network of over its own. Raises KernelError, OSError."""
    files = [file for file in dns.FILES if _is_ours(_content(owner, file))]
    laid = _laid(name, owner) if files and not is_to_come else set()
    return _laying(name, owner, files, laid)


def _laying(name: str, owner: str, files: t.Iterable[str], laid: t.Container[str]) -> list[Action]:
    return [
        Action(
            f"lay {_path(owner, file)} over /etc/{file} inside",
            functools.partial(_lay_one, name, owner, file),
        )
        for file in files
        if file not in laid
    ]


def _path(name: str, file: str) -> str:
    return f"{netns_files.directory(name)}/{file}"


def _content(name: str, file: str) -> str | None:
    """What is in the file; None where there is none, and a word for what is no text."""
    try:
        return json_file.text_of(_path(name, file))
    except ValueError as error:
        return f"({error})"


def _is_ours(content: str | None) -> bool:
    return content is not None and content.startswith(dns.MARK)


def _check_ours(name: str, file: str, content: str | None) -> None:
    # One that a killed run has begun is empty.
    if content and not _is_ours(content):
        raise Refused(
            f"{_path(name, file)} is there, and was not written by this collection",
            "Remove it, or leave out dns: `ip netns exec` and `nsctl exec` use it as it is.",
        )


def _write(name: str, file: str, text: str) -> None:
    """Write the file where it lies: another one of that name would not be the one that is mounted inside."""
    for directory in (host_paths.NETNS_FILES, netns_files.directory(name)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o755)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(_path(name, file), flags, _MODE)
    try:
        os.fchmod(fd, _MODE)
        content = text.encode("utf-8", "surrogateescape")
        os.pwrite(fd, content, 0)
        os.ftruncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(name: str, file: str, *, is_laid: bool) -> None:
    if is_laid:
        with _opened(name) as opened:
            opened.call(functools.partial(_lift, file=file))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(name, file))
    for directory in (netns_files.directory(name), host_paths.NETNS_FILES):
        with contextlib.suppress(OSError):  # others have files there
            os.rmdir(directory)


def _opened(name: str) -> t.ContextManager[Session]:
    # The lock is held by who changes the namespace, and to look takes none.
    return session.opened(Target(namespace=name), check=True, lock_timeout=0)


def _laid(name: str, owner: str) -> set[str]:
    """Those that lie over the files inside."""
    own = {file: _identity(_path(owner, file)) for file in dns.FILES}
    with _opened(name) as opened:
        seen: dict[str, Identity | None] = opened.call(_look)
    return {file for file in dns.FILES if own[file] is not None and seen[file] == own[file]}


def _identity(path: str) -> Identity | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _look(view: TargetView) -> dict[str, Identity | None]:
    found: dict[str, Identity | None] = dict.fromkeys(dns.FILES)
    with contextlib.suppress(OSError), resolve.opened_in(view.root, "/etc") as etc:
        for file in dns.FILES:
            with contextlib.suppress(OSError):
                there = os.stat(file, dir_fd=etc, follow_symlinks=False)
                found[file] = (there.st_dev, there.st_ino)
    return found


def _lay_one(name: str, owner: str, file: str) -> None:
    with _opened(name) as opened:
        _lay(opened, owner, [file])


def _lay(opened: Session, owner: str, files: t.Iterable[str]) -> None:
    seen: dict[str, Identity | None] = opened.call(_look)
    for file in files:
        if seen[file] == _identity(_path(owner, file)):
            continue
        source = os.open(_path(owner, file), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            tree = detached.open_tree(source, "")
        finally:
            os.close(source)
        try:
            opened.call(functools.partial(_lay_inside, file=file, tree=tree))
        finally:
            os.close(tree)


def _lay_inside(view: TargetView, *, file: str, tree: int) -> None:
    """Mount it in /etc. On a link itself, not on where that leads, which may be nowhere."""
    with resolve.opened_in(view.root, "/etc") as etc:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            place = os.open(file, flags, dir_fd=etc)
        except FileNotFoundError:
            made = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(file, made, _MODE, dir_fd=etc))
            place = os.open(file, flags, dir_fd=etc)
        try:
            detached.move_mount(tree, place)
        finally:
            os.close(place)


def _lift(view: TargetView, *, file: str) -> None:
    with resolve.opened_in(view.root, "/etc") as etc:
        place = os.open(file, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=etc)
        try:
            view.let_go(place)
        finally:
            os.close(place)
