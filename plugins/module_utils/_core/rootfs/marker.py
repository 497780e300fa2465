# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a root file system came from, kept in attributes of its directory.

They go with the directory when it is renamed, are not in its listing, and only root of the host
can set them (trusted.*, xattr(7)). Root of a user namespace has to do with user.*, and where a file
system has neither, as a tmpfs there before Linux 6.6, with a file in the directory. Whoever owns a
directory can write those: so they count only where there can be no better ones, and only in a
directory that nobody but root could have made, filled or put there.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import typing as t
import zlib

from ..errors import Refused
from ..storage import atomic, json_file
from ..storage.root_mark import FILE, PREFIXES, TRUSTED
from ..syscalls import regular_files
from . import image_config
from .digests import is_digest

__all__ = ["FILE", "FOREIGN", "Marker", "remove"]

# What a root does not bring along: what is ours, and what tells overlayfs to look elsewhere.
FOREIGN = (*PREFIXES, "trusted.overlay.")
# No such attribute, none at all on this file system, none of this kind for the caller.
_NO_ATTRIBUTES = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)
_NO_ROOM = (errno.ENOSPC, errno.E2BIG, errno.ERANGE)
# How the owner of a file looks where he has no number (user_namespaces(7)).
_UNMAPPED = 65534
# Of the file and of what is packed in it: root of a user namespace may have written it.
_SIZE_LIMIT = 8 << 20


class Marker(t.NamedTuple):
    """What a root was made of, and how."""

    # Of the source.
    digest: str
    # What is known of the source without reading it: see source.Opened.
    facts: dict[str, t.Any]
    # By which the same source makes another root: Rules.lasting.
    options: dict[str, t.Any]
    # Other digests that name the same source: see source.Opened.
    aliases: list[str]
    # What an image says of how to run it; empty for other sources.
    config: dict[str, t.Any]

    def __str__(self) -> str:
        return f"{self.facts.get('source', '')} {self.digest}".strip()

    def matches(self, other: Marker) -> bool:
        """Whether both are of the same root: made of the same source, in the same way."""
        return (self.digest, self.options) == (other.digest, other.options)

    @classmethod
    def read(cls, fd: int, host_proc: int) -> Marker | None:
        """The marker of the open directory, or None where it has none that counts.

        ``host_proc`` is as in regular_files.reopen(). Raises OSError.
        """
        prefixes = PREFIXES[:1] if _takes_trusted(fd) else PREFIXES
        for prefix in prefixes:
            try:
                digest = os.getxattr(fd, f"{prefix}digest")
                packed = os.getxattr(fd, f"{prefix}source")
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
                continue
            if prefix != TRUSTED and not _is_roots(fd):
                return None
            return cls._unpacked(digest, packed)
        if prefixes is not PREFIXES or not _is_roots(fd):
            return None
        return cls._of_file(fd, host_proc)

    @classmethod
    def _of_file(cls, fd: int, host_proc: int) -> Marker | None:
        try:
            # Whoever is root inside could have left a device or a fifo.
            flags = os.O_RDONLY | os.O_NOFOLLOW
            file = regular_files.open_regular(FILE, flags, dir_fd=fd, host_proc=host_proc)
        except OSError:
            return None
        with open(file, "rb") as written:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or not _is_closed(status, to=(0,)):
                return None
            digest, _newline, packed = written.read(_SIZE_LIMIT).partition(b"\n")
            return cls._unpacked(digest, packed)

    @classmethod
    def _unpacked(cls, digest: bytes, packed: bytes) -> Marker | None:
        text = digest.decode("ascii", "replace")
        try:
            known = zlib.decompressobj().decompress(packed, _SIZE_LIMIT)
            marker = cls(text, **json_file.parse(known))
            kinds = [type(value) for value in marker[1:]]
            if not is_digest(text) or kinds != [dict, dict, list, dict]:
                return None
            config = image_config.checked(marker.config) if marker.config else {}
            return marker._replace(config=config)
        except (ValueError, TypeError, zlib.error):
            return None  # of another version of this collection: the root is made again

    def write(self, fd: int) -> None:
        """Set it for the open directory; the digest last, since it is what counts.

        Where there is no room for it all, the configuration of an image is left out: it can be
        asked for again. Raises OSError, Refused.
        """
        try:
            self._write(fd)
        except OSError as error:
            if not self.config or error.errno not in _NO_ROOM:
                raise
            self._replace(config={})._write(fd)

    def _write(self, fd: int) -> None:
        known = {key: value for key, value in self._asdict().items() if key != "digest"}
        # Packed, since ext4 has room for 4 kB of attributes (xattr(7)).
        packed = zlib.compress(json.dumps(known, sort_keys=True).encode())
        for prefix in PREFIXES:
            if prefix != TRUSTED and not _is_roots(fd):
                # It would not count. Said now, and not when the next run finds it.
                raise Refused(
                    "in a user namespace the directory of a root has to be root's own, and must"
                    " not be writable by others, nor those above it",
                    "Pack it with another owner or mode, or unpack it on the host with id_map.",
                )
            try:
                os.setxattr(fd, f"{prefix}source", packed)
                os.setxattr(fd, f"{prefix}digest", self.digest.encode())
                return
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
        atomic.write(FILE, self.digest.encode() + b"\n" + packed, mode=0o600, dir_fd=fd)


def mark_as_old(fd: int) -> None:
    """Have the open directory, which has lost its name, known as ours: it goes when nobody uses it.

    It has a marker, or was somebody's own that was to be replaced. Raises OSError.
    """
    if is_marked(fd):
        return
    for prefix in PREFIXES:
        try:
            os.setxattr(fd, f"{prefix}digest", b"old")  # which is none
            return
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise
    atomic.write(FILE, "old\n", mode=0o600, dir_fd=fd)


def is_marked(fd: int) -> bool:
    """Whether the open directory has a marker of whatever kind, or that of an old root."""
    for prefix in PREFIXES:
        with contextlib.suppress(OSError):
            os.getxattr(fd, f"{prefix}digest")
            return True
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISREG(os.stat(FILE, dir_fd=fd, follow_symlinks=False).st_mode)
    return False


def _takes_trusted(fd: int) -> bool:
    """Whether the caller can set attributes there that nobody but root of the host can set."""
    try:
        # What is not there: nothing is changed, and ENODATA comes after all other answers.
        os.removexattr(fd, f"{TRUSTED}none")
    except OSError as error:
        return error.errno == errno.ENODATA
    return True


def _is_roots(fd: int) -> bool:
    """Whether only root can have made or filled the open directory, and put it where it is.

    What is above a mount point does not matter: who owns that cannot put another in its place.
    Nor does who is not mapped here: what is his own cannot be root's.
    """
    status = os.fstat(fd)
    if not _is_closed(status, to=(0,)):
        return False
    below, above = os.dup(fd), -1
    try:
        while True:
            above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=below)
            found = os.fstat(above)
            if found.st_dev != status.st_dev or os.path.samestat(found, os.fstat(below)):
                return True
            is_sticky = found.st_mode & stat.S_ISVTX and found.st_uid in (0, _UNMAPPED)
            if not is_sticky and not _is_closed(found, to=(0, _UNMAPPED)):
                return False
            os.close(below)
            below, above = above, -1
    finally:
        for each in (below, above):
            if each >= 0:
                os.close(each)


def _is_closed(status: os.stat_result, *, to: tuple[int, ...]) -> bool:
    """Whether one of these users owns it, and nobody else can write to it."""
    writers = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid not in to else 0)
    return status.st_uid in to and not status.st_mode & writers


def remove(fd: int) -> None:
    """Remove the marker of the open directory; fine where it has none. Raises OSError."""
    atomic.remove(FILE, dir_fd=fd)
    for prefix in PREFIXES:
        for name in ("digest", "source"):
            try:
                os.removexattr(fd, prefix + name)
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
