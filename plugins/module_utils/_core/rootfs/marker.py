# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a root file system came from: its digest, kept in attributes of its directory.

They go with the directory when it is renamed, are not in its listing, and only root of the host
can set them (trusted.*, xattr(7)); inside a user namespace it is user.*. Where a file system has
neither, as a tmpfs in a user namespace before Linux 6.6, a file in the directory has to do.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import typing as t
import zlib

from ..errors import Refused

_PREFIXES = ("trusted.linux_namespaces.", "user.linux_namespaces.")
# No such attribute, none at all on this file system, none of this kind for the caller.
_NO_ATTRIBUTES = (errno.ENODATA, errno.ENOTSUP, errno.EPERM)
_WRITTEN = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CHUNK = 1 << 20
# In place of the attributes. No archive may hold it.
FILE = ".linux-namespaces.digest"


class Marker(t.NamedTuple):
    """What a root was made of and how; see source.Opened for the fields of the source.

    ``options`` are those by which the same source makes another root.
    """

    digest: str
    facts: dict[str, t.Any]
    options: dict[str, t.Any]
    aliases: list[str]
    config: dict[str, t.Any]


def checked(digest: str) -> str:
    """``digest`` in lower case, when it can be one. Raises Refused."""
    digest = digest.lower()
    if not _WRITTEN.match(digest):
        raise Refused(f"digest must be sha256: and 64 hexadecimal digits, not {digest!r}")
    return digest


def of_file(fd: int, *, is_wanted: t.Callable[[], bool] = lambda: True) -> str:
    """The digest of the content of the open file, wherever its offset is; "" when not wanted.

    ``is_wanted`` is asked again and again. Raises OSError.
    """
    digest = hashlib.sha256()
    position = 0
    while chunk := os.pread(fd, _CHUNK, position):
        if not is_wanted():
            return ""
        digest.update(chunk)
        position += len(chunk)
    return f"sha256:{digest.hexdigest()}"


def of_specification(specification: t.Mapping[str, t.Any]) -> str:
    """The digest of what describes a root that is made, not unpacked."""
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def stamp(fd: int) -> dict[str, int]:
    """What tells that the open file is the one of an earlier run, without reading it."""
    status = os.fstat(fd)
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
    }


def read(fd: int) -> Marker | None:
    """The marker of the open directory, or None where it has none. Raises OSError."""
    for prefix in _PREFIXES:
        try:
            digest = os.getxattr(fd, f"{prefix}digest")
            return _unpacked(digest, os.getxattr(fd, f"{prefix}source"))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise
    try:
        file = os.open(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return None
    with open(file, "rb") as marker:
        digest, _newline, packed = marker.read().partition(b"\n")
        return _unpacked(digest, packed)


def _unpacked(digest: bytes, packed: bytes) -> Marker | None:
    text = digest.decode("ascii", "replace")
    try:
        marker = Marker(text, **json.loads(zlib.decompress(packed)))
    except (ValueError, TypeError, zlib.error):
        return None  # of another version of this collection: the root is made again
    return marker if _WRITTEN.match(text) else None


def write(fd: int, marker: Marker) -> None:
    """Set the marker of the open directory; the digest last, since it is what counts.

    Where there is no room for it all, the configuration of an image is left out: it can be
    asked for again. Raises OSError.
    """
    try:
        _write(fd, marker)
    except OSError as error:
        if not marker.config or error.errno not in (errno.ENOSPC, errno.E2BIG, errno.ERANGE):
            raise
        _write(fd, marker._replace(config={}))


def _write(fd: int, marker: Marker) -> None:
    known = {key: value for key, value in marker._asdict().items() if key != "digest"}
    # Packed, since ext4 has room for 4 kB of attributes (xattr(7)).
    packed = zlib.compress(json.dumps(known, sort_keys=True).encode())
    for prefix in _PREFIXES:
        try:
            os.setxattr(fd, f"{prefix}source", packed)
            os.setxattr(fd, f"{prefix}digest", marker.digest.encode())
            return
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(f"{FILE}.new", flags, 0o600, dir_fd=fd), "wb") as file:
        file.write(marker.digest.encode() + b"\n" + packed)
    os.rename(f"{FILE}.new", FILE, src_dir_fd=fd, dst_dir_fd=fd)


def remove(fd: int) -> None:
    """Remove the marker of the open directory; fine where it has none. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(FILE, dir_fd=fd)
    for prefix in _PREFIXES:
        for name in ("digest", "source"):
            try:
                os.removexattr(fd, prefix + name)
            except OSError as error:
                if error.errno not in _NO_ATTRIBUTES:
                    raise
