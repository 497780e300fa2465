# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a root file system came from, kept in attributes of its directory.

They go with the directory when it is renamed, are not in its listing, and only root of the host
can set them (trusted.*, xattr(7)); inside a user namespace it is user.*. Where a file system has
neither, as a tmpfs in a user namespace before Linux 6.6, a file in the directory has to do.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import json
import os
import typing as t
import zlib

from ..storage import atomic, json_file
from . import image_config
from .digests import is_digest

_PREFIXES = ("trusted.linux_namespaces.", "user.linux_namespaces.")
# No such attribute, none at all on this file system, none of this kind for the caller.
_NO_ATTRIBUTES = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)
_NO_ROOM = (errno.ENOSPC, errno.E2BIG, errno.ERANGE)
# In place of the attributes. No archive may hold it, nor the name that it is written under.
FILE = ".linux-namespaces.digest"
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
    def read(cls, fd: int) -> Marker | None:
        """The marker of the open directory, or None where it has none. Raises OSError."""
        for prefix in _PREFIXES:
            try:
                digest = os.getxattr(fd, f"{prefix}digest")
                return cls._unpacked(digest, os.getxattr(fd, f"{prefix}source"))
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
        try:
            # O_NONBLOCK: whoever is root inside could have left a fifo.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(FILE, flags, dir_fd=fd)
        except OSError:
            return None
        with open(file, "rb") as written:
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
        asked for again. Raises OSError.
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
        for prefix in _PREFIXES:
            try:
                os.setxattr(fd, f"{prefix}source", packed)
                os.setxattr(fd, f"{prefix}digest", self.digest.encode())
                return
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
        atomic.write(FILE, self.digest.encode() + b"\n" + packed, mode=0o600, dir_fd=fd)


def remove(fd: int) -> None:
    """Remove the marker of the open directory; fine where it has none. Raises OSError."""
    atomic.remove(FILE, dir_fd=fd)
    for prefix in _PREFIXES:
        for name in ("digest", "source"):
            try:
                os.removexattr(fd, prefix + name)
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
