# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A root that was unpacked beside an older one takes no room for what is equal in both.

Where the file system can do it (btrfs, xfs) equal files have their blocks in common, which nobody can
tell from outside. Elsewhere they become names of one file, which so is in memory once as well. That
is for lower layers of overlays, which nobody writes to: what is written goes to a copy in the upper
layer, with one name (index=off). Until then such a file has a link count above 1 inside. See _EDITED.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..storage.root_mark import FILE
from ..syscalls import dedupe
from . import two_trees
from .two_trees import Tree

REFLINK, HARD_LINK = "reflink", "hard link"
# Where programs look at the link count of what they find: cron takes no crontab and logrotate no log
# that has another name, systemd-tmpfiles may leave one as it is. Also, a file keeps its inode number
# when it is first written to, as `tail -F` expects, only where it has one name.
_EDITED = ("etc", "home", "root", "run", "tmp", "var")
# What is shorter a btrfs keeps beside the inode, where it has no blocks.
_LEAST = 2049
# The file system cannot do it, or the two roots do not lie on the same.
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV)
# Everything that two names of one file have in common.
_METADATA = ("st_dev", "st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_size")

_Pair = tuple[int, int]


class Shared(t.NamedTuple):
    """What became shared."""

    files: int
    # The room on the disk that is free again.
    bytes: int
    # REFLINK, HARD_LINK; empty where nothing became shared.
    by: str


def share_equal(new_root: str, old_root: str, *, may_link: bool) -> Shared:
    """Have regular files with one path in both roots, and equal, take the room of one.

    Nobody uses the new root yet. ``may_link``: nobody ever writes to either of them. A file that
    cannot be shared stays as it was. Killed, it leaves one name beside the new root, which the next
    call removes. Raises OSError where a directory cannot be read.
    """
    above, _slash, own_name = new_root.rpartition("/")
    beside = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Tree(new_root) as new, Tree(old_root) as old:
            sharing = _Sharing(beside, f"{own_name}.link", may_link=may_link)
            sharing.tree(new, old)
            return Shared(sharing.files, sharing.bytes, sharing.by)
    finally:
        os.close(beside)


class _Sharing:
    """One run of share_equal(), and what it has come to."""

    def __init__(self, beside: int, link: str, *, may_link: bool) -> None:
        # In the open directory above the new root a file gets this name before it gets its own:
        # in a directory of the root a file of that root may have it.
        self._beside, self._link = beside, link
        self._ways: list[t.Callable[..., str]] = [self._reflink]
        if may_link:
            self._ways.append(self._hard_link)
            self._unlink()
        # Inodes that have been seen: of the new root, where they have several names; of the old one,
        # where they have a name in the new one.
        self._seen: set[int] = set()
        self._taken: set[int] = set()
        self.files = self.bytes = 0
        self.by = ""

    def tree(self, new: Tree, old: Tree) -> None:
        """Share what is below both tops. Raises OSError."""
        waiting = [""]
        while waiting and self._ways:
            below = waiting.pop()
            with old.directory(below) as older, new.directory(below) as newer:
                if older < 0 or newer < 0:
                    continue
                found = os.fstat(newer)
                if os.path.samestat(found, os.fstat(older)):
                    continue
                waiting += self._directory((newer, older), below)
                if os.fstat(newer).st_mtime_ns != found.st_mtime_ns:
                    # Another name in it; it is as old as its maker said, by which caches go.
                    os.utime(newer, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _directory(self, directories: _Pair, below: str) -> list[str]:
        """Share the files of the two open directories; the paths of directories in them."""
        deeper = []
        # In an order that another run has as well: see _hard_link().
        for name in sorted(os.listdir(directories[0])):
            path = f"{below}/{name}" if below else name
            found = two_trees.status_of(directories[0], name)
            if found is None:
                continue
            if stat.S_ISDIR(found.st_mode):
                deeper.append(path)
            elif stat.S_ISREG(found.st_mode) and path != FILE:
                other = two_trees.status_of(directories[1], name)
                if other is not None and stat.S_ISREG(other.st_mode):
                    # What cannot be read or shared stays as it was.
                    with contextlib.suppress(OSError):
                        self._file(directories, path, (found, other))
        return deeper

    def _file(
        self, directories: _Pair, path: str, found: tuple[os.stat_result, os.stat_result]
    ) -> None:
        new, old = found
        if os.path.samestat(new, old):
            self._taken.add(old.st_ino)
            return
        # What has holes takes less room than it takes time to compare.
        if new.st_size != old.st_size or not new.st_size or _is_sparse(new):
            return
        for way in list(self._ways):
            try:
                by = way(directories, path, found)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._ways.remove(way)
                continue
            if by:
                self.by = by
                self.files += 1
                self.bytes += new.st_blocks * 512
            return

    def _reflink(
        self, directories: _Pair, path: str, found: tuple[os.stat_result, os.stat_result]
    ) -> str:
        new = found[0]
        if (
            new.st_size < _LEAST and self.by
        ):  # and until it has shared one, whether it can is not known
            return ""
        if new.st_nlink > 1:
            if new.st_ino in self._seen:
                return ""
            self._seen.add(new.st_ino)
        name = os.path.basename(path)
        with (
            two_trees.opened(directories[0], name) as newer,
            two_trees.opened(directories[1], name) as older,
        ):
            shared = dedupe.dedupe(older, newer, size=new.st_size)
        return REFLINK if shared == new.st_size else ""

    def _hard_link(
        self, directories: _Pair, path: str, found: tuple[os.stat_result, os.stat_result]
    ) -> str:
        new, old = found
        # Names that are one file in the new root stay so, and no others become one: mv(1) and cp(1)
        # refuse two names of one file. What a killed run has linked was met before, in this order.
        if new.st_nlink > 1 or old.st_ino in self._taken or path.split("/")[0] in _EDITED:
            return ""
        if _metadata(new) != _metadata(old):
            return ""
        name = os.path.basename(path)
        with (
            two_trees.opened(directories[0], name) as newer,
            two_trees.opened(directories[1], name) as older,
        ):
            if _metadata(os.fstat(older)) != _metadata(new) or _xattrs(newer) != _xattrs(older):
                return ""
            if not two_trees.has_equal_content(newer, older):
                return ""
            # By the descriptor: it is the file that was compared.
            os.link(f"/proc/self/fd/{older}", self._link, dst_dir_fd=self._beside)
        try:
            os.rename(self._link, name, src_dir_fd=self._beside, dst_dir_fd=directories[0])
        except OSError:
            self._unlink()
            raise
        self._taken.add(old.st_ino)
        return HARD_LINK

    def _unlink(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._link, dir_fd=self._beside)


def _is_sparse(status: os.stat_result) -> bool:
    return status.st_blocks * 512 < status.st_size // 2


def _metadata(status: os.stat_result) -> tuple[t.Any, ...]:
    return tuple(getattr(status, name) for name in _METADATA)


def _xattrs(fd: int) -> dict[str, bytes]:
    return {name: os.getxattr(fd, name) for name in os.listxattr(fd)}
