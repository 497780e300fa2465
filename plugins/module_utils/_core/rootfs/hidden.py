# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the upper layer of an overlay hides of a new root that was put below it.

A file that was written to inside stays as it was then, whatever the new root has in its place: so a
configuration that somebody changed is kept, and a program that somebody upgraded by hand stays old.
Documentation/filesystems/overlayfs.rst of the kernel says what lies in such a layer.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import stat
import typing as t

from ..printable import printable
from . import two_trees
from .two_trees import Tree

# Only root of the host can set these (xattr(7)).
_OPAQUE = "trusted.overlay.opaque"
_REDIRECT = "trusted.overlay.redirect"
_METACOPY = "trusted.overlay.metacopy"
# Of an empty file in the place of a whiteout, which is a device.
_WHITEOUT = "trusted.overlay.whiteout"


class Hidden(t.NamedTuple):
    """What is hidden."""

    # Some of the paths, as they are called inside, in order, made printable.
    paths: list[str]
    # How many there are in all.
    total: int


class _Folder(t.NamedTuple):
    """A directory to look at, by its paths from the tops of the layers."""

    # Inside, and so in the upper layer.
    path: str
    # In the lower layer, which is another one where it was renamed inside.
    lower: str
    is_in_upper: bool
    # Nothing of the lower layer is seen in it.
    is_opaque: bool


def hiding(upper: str, old_root: str, new_root: str, most: int = 20) -> Hidden:
    """What the upper layer hides of that which the new root has otherwise than the old root had it.

    That is in kind, mode, owner, size, content, target or device. What was removed or is opaque hides
    also what is new below it. What shows the very same as the new root hides nothing. The first
    ``most`` paths are told. Nobody writes to any of the three. Raises OSError.
    """
    with Tree(upper) as written, Tree(old_root) as old, Tree(new_root) as new:
        count = 0

        def counted() -> t.Iterator[str]:
            nonlocal count
            for path in _Search(written, old, new).paths():
                count += 1
                yield path

        paths = heapq.nsmallest(most, counted())
    return Hidden([printable(f"/{path}") for path in paths], count)


def replaced(root: str) -> str:
    """The path of the root that this one has taken the place of last, while that is still there; else empty."""
    above, _slash, name = root.rpartition("/")
    found = [f"{above}/{each}" for each in os.listdir(above) if each.startswith(f".{name}.old-")]
    return max(found, key=lambda path: os.lstat(path).st_ctime_ns, default="")


class _Search:
    """One run of hiding()."""

    def __init__(self, upper: Tree, old: Tree, new: Tree) -> None:
        self._upper, self._old, self._new = upper, old, new

    def paths(self) -> t.Iterator[str]:
        """The paths from the top on, in no order. Raises OSError."""
        waiting = [_Folder("", "", is_in_upper=True, is_opaque=False)]
        while waiting:
            found = folder = waiting.pop()
            with contextlib.ExitStack() as stack:
                upper = -1
                if folder.is_in_upper:
                    upper = stack.enter_context(self._upper.directory(folder.path))
                    if upper < 0:
                        continue
                    folder = _as_marked(folder, upper)
                old, new = (
                    stack.enter_context(each.directory(folder.lower))
                    for each in (self._old, self._new)
                )
                # What is no directory below, or another one, is not seen in this one.
                is_told = (new < 0 or folder.lower != found.lower) and self._hides(found.lower)
                if is_told or (new >= 0 and _hides_attributes(upper, old, new)):
                    yield folder.path
                # Also where the new root has none: what was moved there may be one of it elsewhere.
                yield from self._in_directory(folder, (upper, old, new), waiting)

    def _in_directory(
        self, folder: _Folder, fds: tuple[int, int, int], waiting: list[_Folder]
    ) -> t.Iterator[str]:
        """The same for what is in these three open directories; directories go to ``waiting``."""
        upper, old, new = fds
        names = {*os.listdir(upper)} if upper >= 0 else set()
        if folder.is_opaque and new >= 0:
            names.update(os.listdir(new))
        for name in names:
            path, lower = (f"{each}/{name}".lstrip("/") for each in (folder.path, folder.lower))
            above, before, after = (
                two_trees.status_of(upper, name),
                _lower_status(old, name),
                _lower_status(new, name),
            )
            if _is_directory(above):
                waiting.append(_Folder(path, lower, True, folder.is_opaque))
            elif above is None and _is_directory(before) and _is_directory(after):
                waiting.append(_Folder(path, lower, False, True))
            elif (
                after is not None
                and self._is_newer(lower, (old, new), (before, after))
                and (above is None or not _shows_the_same((upper, new), name, (above, after)))
            ):
                yield path

    def _hides(self, path: str) -> bool:
        """Whether the new root has something at this path of its that is new."""
        above, _slash, name = path.rpartition("/")
        with self._old.directory(above) as old, self._new.directory(above) as new:
            after = _lower_status(new, name)
            return after is not None and self._is_newer(
                path, (old, new), (_lower_status(old, name), after)
            )

    def _is_newer(
        self,
        path: str,
        directories: tuple[int, int],
        found: tuple[os.stat_result | None, os.stat_result],
    ) -> bool:
        """Whether the new root has at the path what the old one had not, or had otherwise."""
        before, after = found
        name = os.path.basename(path)
        if before is None or not two_trees.is_same(directories, name, (before, after)):
            return True
        return _is_directory(after) and self._is_newer_below(path)

    def _is_newer_below(self, top: str) -> bool:
        """The same for what is in a directory that is in both roots."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            with self._old.directory(path) as old, self._new.directory(path) as new:
                for name in os.listdir(new) if new >= 0 else ():
                    before, after = _lower_status(old, name), _lower_status(new, name)
                    if after is None:
                        continue
                    if before is None or not two_trees.is_same((old, new), name, (before, after)):
                        return True
                    if _is_directory(after):
                        waiting.append(f"{path}/{name}")
        return False


def _as_marked(folder: _Folder, upper: int) -> _Folder:
    """The same with what the overlay has noted at the open directory of the upper layer."""
    if _attribute(upper, _OPAQUE) == b"y":
        return folder._replace(is_opaque=True)
    redirect = os.fsdecode(_attribute(upper, _REDIRECT))
    if redirect.startswith("/"):
        # Of one that was moved, which may now lie in one that is opaque.
        return folder._replace(lower=redirect.strip("/"), is_opaque=False)
    if redirect and not folder.is_opaque:
        above = os.path.dirname(folder.lower)
        return folder._replace(lower=f"{above}/{redirect}".lstrip("/"))
    return folder


def _attribute(fd: int, name: str) -> bytes:
    """The attribute of the open file; empty where it has none."""
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return b""


def _hides_attributes(upper: int, old: int, new: int) -> bool:
    """Whether an open directory of the upper layer hides the owner or the mode that is new."""
    after = two_trees.owner_and_mode(os.fstat(new))
    known = (two_trees.owner_and_mode(os.fstat(fd)) for fd in (upper, old) if fd >= 0)
    return after not in known


def _lower_status(directory: int, name: str) -> os.stat_result | None:
    """As two_trees.status_of(); what counts as removed in a lower layer is not there."""
    status = two_trees.status_of(directory, name)
    return None if status is not None and _is_whiteout(status) else status


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _shows_the_same(
    directories: tuple[int, int], name: str, found: tuple[os.stat_result, os.stat_result]
) -> bool:
    """Whether the thing of the upper layer, which is no directory, shows what the new root has."""
    above, after = found
    if two_trees.owner_and_mode(above) != two_trees.owner_and_mode(after):
        return False
    if stat.S_ISREG(above.st_mode):
        with two_trees.opened(directories[0], name) as fd:
            marks = os.listxattr(fd)
        if _WHITEOUT in marks:
            return False
        if _METACOPY in marks:
            # All but the content, which it shows as the lower layer has it.
            return above.st_size == after.st_size and _REDIRECT not in marks
    return two_trees.is_same(directories, name, found)
