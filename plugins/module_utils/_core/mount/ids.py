# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Users and groups by name in the words of a mount: uid, gid, X-mount.owner and X-mount.group.

The kernel takes numbers. Whose names they are is settled by where the mount is: they are of the root
that its path lies in, as whoever lives there reads them, before a pivot into it as well as after.
The definition keeps the names.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ..errors import Refused
from ..process import accounts
from . import where
from .wanted import WantedMount
from .words import OF_USERS, have_names, name_in

if t.TYPE_CHECKING:
    from .view import TargetView

# Whoever mounts it (mount(8)).
_OF_CALLER = {"useruid": os.getuid, "usergid": os.getgid}


def database_of(path: str, view: TargetView) -> accounts.Database:
    """Where names of a mount on the path are looked up. Raises KernelError, Refused.

    Refused as well where the root that it lies in is still to be mounted.
    """
    with view.base(path) as (base, _rest):
        if view.where is where.HOST and os.path.samestat(os.fstat(base), os.fstat(view.root)):
            return accounts.Host()
        return accounts.files_of(base, view.host_proc)


def with_ids(words: t.Iterable[str], database: accounts.Database, *, path: str) -> tuple[str, ...]:
    """The words with numbers in the place of names; ``path`` is that of the mount. Raises Refused."""
    return tuple(_with_id(word, database, path) if name_in(word) else word for word in words)


def _with_id(word: str, database: accounts.Database, path: str) -> str:
    key, _equals, name = word.partition("=")
    found: int | None
    if name in _OF_CALLER:
        found = _OF_CALLER[name]()
    elif key in OF_USERS:
        account = database.user(name)
        found = account.uid if account is not None else None
    else:
        found = database.group(name)
    if found is None:
        kind = "user" if key in OF_USERS else "group"
        raise Refused(
            f"{word} of the mount on {path}: there is no {kind} {name!r} in {database.title}",
            f"Add the {kind} there, or give its id as a number.",
        )
    return f"{key}={found}"


def settled_in(wanted: WantedMount, root: int, host_proc: int) -> WantedMount:
    """The mount with the numbers of the root that is open here. Raises Refused."""
    database = accounts.files_of(root, host_proc)
    words = with_ids(wanted.words, database, path=wanted.path)
    return wanted.replace(words=words, given=wanted.step())


def settled(wanted: WantedMount, view: TargetView) -> WantedMount:
    """The mount with numbers, in the process that has joined the target. Raises KernelError, Refused."""
    if not have_names(wanted.words):
        return wanted
    words = with_ids(wanted.words, database_of(wanted.path, view), path=wanted.path)
    return wanted.replace(words=words, given=wanted.step())


def check_numbers(wanted: WantedMount) -> None:
    """Raises Refused where a file system that is made on the host has a name left."""
    for key, value in wanted.options.filesystem:
        word = f"{key}={value}"
        if name_in(word):
            raise Refused(
                f"{word} of the mount on {wanted.path} cannot be looked up: the root that it lies in is "
                "mounted by the same task",
                "Mount that root in a task before, or give the id as a number.",
            )
