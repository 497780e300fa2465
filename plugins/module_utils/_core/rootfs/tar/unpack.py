# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Unpacking a tar stream into a directory that becomes the root of the process doing it.

Whatever names and links an archive holds, chroot(2) keeps them inside: an absolute link leads to
the new root, ".." stops at it, and a program of the archive's is never run. A name that asks to
leave is refused even so, since no honest archive has one.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
import typing as t

from ...errors import KernelError, Refused
from ...storage import atomic
from .. import marker
from ..owners import Owners
from ..progress import Progress
from ..rules import Rules
from . import reader
from .byte_stream import ByteStream
from .reader import Entry, Reader

# Of the marker, which only we write.
_RESERVED = (marker.FILE.encode(), atomic.beside_of(marker.FILE).encode())
# At the top of what docker save writes, of old and now, and of an OCI archive.
_OF_IMAGES = re.compile(
    rb"(?:[0-9a-f]{64}(?:\.json|\.tar)?|manifest\.json|repositories|blobs|index\.json|oci-layout)\Z"
)
_TIME = struct.Struct("=Iqq")
_PROGRESS_BYTES = 32 << 20
_NOBODY = 0xFFFFFFFF  # to chown(2): leave it as it is
_NODES = {
    reader.CHARACTER: stat.S_IFCHR,
    reader.BLOCK_DEVICE: stat.S_IFBLK,
    reader.FIFO: stat.S_IFIFO,
}
_CALLS = {
    reader.FILE: "openat",
    reader.DIRECTORY: "mkdirat",
    reader.SYMLINK: "symlinkat",
    reader.LINK: "linkat",
    reader.CHARACTER: "mknodat",
    reader.BLOCK_DEVICE: "mknodat",
    reader.FIFO: "mknodat",
}
_CANNOT_KEEP = (errno.ENOTSUP, errno.EPERM)
_WARNINGS_LIMIT = 20


class Unpacked(t.NamedTuple):
    """What was unpacked."""

    entries: int
    # In bytes of the stream.
    size: int
    # What could not be kept.
    warnings: list[str]


def enter(directory_fd: int) -> None:
    """Make the open directory the root of this process, for good. Raises KernelError."""
    try:
        os.fchdir(directory_fd)
        os.chroot(".")
    except OSError as error:
        raise KernelError("chroot", error.errno or errno.EIO, {"fd": directory_fd}) from error
    os.umask(0)


def unpack(fd: int, *, name: str, rules: Rules, progress: Progress) -> Unpacked:
    """Unpack the tar stream from ``fd``; the process must have called enter() before.

    ``name`` is what errors call the archive. Raises Refused where the archive is not to be
    trusted or damaged, KernelError where the kernel said no.
    """
    stream = ByteStream(fd, name=name, limit=rules.size_limit)
    return _Unpacking(stream, name, rules).run(progress)


class _Unpacking:
    def __init__(self, stream: ByteStream, name: str, rules: Rules) -> None:
        self._stream = stream
        self._name = name
        self._rules = rules
        self._reader = Reader(stream, name=name)
        self._warnings: dict[str, int] = {}
        self._owners = Owners(rules.id_maps)
        # Below a directory with that bit, what is made takes over its group.
        self._setgid_seen = False
        self._makers: dict[bytes, t.Callable[[Entry, bytes], None]] = {
            reader.FILE: self._file,
            reader.DIRECTORY: self._directory,
            reader.SYMLINK: self._symlink,
            reader.LINK: self._link,
            reader.CHARACTER: self._node,
            reader.BLOCK_DEVICE: self._node,
            reader.FIFO: self._node,
        }

    def run(self, progress: Progress) -> Unpacked:
        entries = 0
        is_mapped = bool(self._owners)
        next_report = _PROGRESS_BYTES
        root = None
        # Making something in a directory changes its time, so those are set last. They wait in
        # a file without a name: memory does not grow with the archive.
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        with open(os.open(b".times", flags, 0o600), "w+b") as times:
            os.unlink(b".times")
            while True:
                entry = self._reader.next()
                if entry is None:
                    break
                entries += 1
                path = self._checked(entry)
                if is_mapped:
                    entry = self._mapped(entry, path)
                if not path:
                    root = entry
                    continue
                try:
                    self._make(entry, path)
                except OSError as error:
                    raise self._explained(error, entry, path) from error
                if entry.kind == reader.DIRECTORY:
                    seconds, nanoseconds = divmod(entry.time, 1_000_000_000)
                    times.write(_TIME.pack(len(path), seconds, nanoseconds) + path)
                if self._stream.position >= next_report:
                    next_report = self._stream.position + _PROGRESS_BYTES
                    progress(f"unpacked {self._stream.position >> 20} MB, {entries} entries")
            self._stream.drain()
            self._refuse_image()
            times.seek(0)
            _set_times(times)
            # Last: until then nobody else may look into what is not whole.
            self._settle_root(root)
        if not entries:
            raise self._reader.damaged("it holds nothing")
        warnings = [f"{text} ({count} entries)" for text, count in self._warnings.items()]
        return Unpacked(entries, self._stream.position, warnings)

    def _refuse_image(self) -> None:
        """Raises Refused where what was unpacked is an image and not a root file system.

        By the names at its top: no root file system has these alone.
        """
        names = set(os.listdir(b"."))
        if not all(map(_OF_IMAGES.match, names)):
            return
        for document, what, transport in (
            (b"manifest.json", "an image, as docker save writes it", "docker-archive"),
            (b"index.json", "an image in an OCI archive", "oci-archive"),
        ):
            if document in names and len(names) > 1:
                raise Refused(
                    f"{self._name} holds {what}, and no root file system",
                    f"Name it with image: {transport}:{self._name}, in place of archive.",
                )

    def _checked(self, entry: Entry) -> bytes:
        """The path of the entry, from the root that it is unpacked into. Raises Refused."""
        path = self._inside(entry.name, "an entry")
        if entry.kind == reader.LINK:
            self._inside(entry.target, "the target of a hard link")
        elif b"\0" in entry.target:
            raise self._refused(f"{_shown(path)} leads to a name with a null character")
        if path.rpartition(b"/")[2] in _RESERVED:
            raise self._refused(f"{_shown(path)} is no name for an entry")
        if not path and entry.kind != reader.DIRECTORY:
            raise self._refused(f"its root is a {reader.KIND_NAMES[entry.kind]}")
        if not (0 <= entry.uid < _NOBODY and 0 <= entry.gid < _NOBODY):
            raise self._refused(f"{_shown(path)} is owned by {entry.uid}:{entry.gid}")
        return path

    def _mapped(self, entry: Entry, path: bytes) -> Entry:
        """The entry with the owner that it gets. Raises Refused."""
        uid, gid = self._owners.of(entry.uid, entry.gid, name=_shown(path))
        return entry._replace(uid=uid, gid=gid)

    def _inside(self, name: bytes, what: str) -> bytes:
        if name[:1] == b"/":
            raise self._refused(
                f"{what} has an absolute name: {_shown(name)}",
                "Make the archive with names from its root on: tar -C ROOT -c .",
            )
        if b".." in name and b".." in name.split(b"/"):
            raise self._refused(f"{what} leads out of it: {_shown(name)}")
        if b"\0" in name:
            raise self._refused(f"{what} has a null character in its name: {_shown(name)}")
        while name[:2] == b"./":
            name = name[2:].lstrip(b"/")
        if name[-1:] == b"/":
            name = name.rstrip(b"/")
        return b"" if name == b"." else name

    def _refused(self, why: str, hint: str = "") -> Refused:
        return Refused(
            f"{self._name} cannot be unpacked: {why}", hint or "Do not trust this archive."
        )

    def _make(self, entry: Entry, path: bytes) -> None:
        """Make the entry, and what it needs to be made."""
        if entry.kind in reader.DEVICES and self._rules.device_nodes == "skip":
            return
        make = self._makers[entry.kind]
        try:
            make(entry, path)
        except FileNotFoundError:
            if not self._make_above(path):
                raise
            make(entry, path)
        except FileExistsError:
            # The later of two entries with one name counts, as with tar(1).
            _remove(path)
            make(entry, path)

    def _make_above(self, path: bytes) -> bool:
        """Make the missing directories above ``path``; False where none was missing."""
        made = False
        parts = path.split(b"/")
        for depth in range(1, len(parts)):
            try:
                above = b"/".join(parts[:depth])
                os.mkdir(above, 0o755)
                made = True
                if self._owners:
                    os.chown(above, *self._owners.of(0, 0, name="a directory"))
            except FileExistsError:
                pass
        return made

    def _file(self, entry: Entry, path: bytes) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, entry.mode & 0o777)
        try:
            if entry.stored or entry.pieces is not None:
                self._reader.copy_data(entry, fd)
            if entry.mode > 0o777 or entry.uid or entry.gid or entry.xattrs or self._setgid_seen:
                self._settle(entry, fd)
            os.utime(fd, ns=(entry.time, entry.time))
        finally:
            os.close(fd)

    def _directory(self, entry: Entry, path: bytes) -> None:
        try:
            os.mkdir(path, entry.mode & 0o777)
        except FileExistsError:
            # Only a real directory is kept: to tar(1) a link to one is in the way.
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise
            os.chown(path, entry.uid, entry.gid)
            os.chmod(path, entry.mode)
        self._settle(entry, path)
        self._setgid_seen = self._setgid_seen or bool(entry.mode & stat.S_ISGID)

    def _settle_root(self, entry: Entry | None) -> None:
        """Set owner, mode, attributes and time of the root; an archive may not have it."""
        if entry is None:
            os.chown(b".", *self._owners.of(0, 0, name="the root"))
            os.chmod(b".", 0o755)
            return
        os.chown(b".", entry.uid, entry.gid)
        if entry.xattrs:
            self._set_xattrs(entry, b".")
        os.utime(b".", ns=(entry.time, entry.time))
        os.chmod(b".", entry.mode)

    def _settle(self, entry: Entry, where: int | bytes) -> None:
        """Set owner, mode and attributes of what was just made with the mode of the entry.

        The owner goes first: chown(2) clears setuid and security.capability.
        """
        special = entry.mode & 0o7000
        if entry.uid or entry.gid or self._setgid_seen:
            os.chown(where, entry.uid, entry.gid)
            special = special or self._setgid_seen
        if special:
            os.chmod(where, entry.mode)
        if entry.xattrs:
            self._set_xattrs(entry, where)

    def _symlink(self, entry: Entry, path: bytes) -> None:
        os.symlink(entry.target, path)
        if entry.uid or entry.gid or self._setgid_seen:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.xattrs:
            self._set_xattrs(entry, path)
        os.utime(path, ns=(entry.time, entry.time), follow_symlinks=False)

    def _link(self, entry: Entry, path: bytes) -> None:
        os.link(self._inside(entry.target, ""), path, follow_symlinks=False)

    def _node(self, entry: Entry, path: bytes) -> None:
        os.mknod(path, entry.mode | _NODES[entry.kind], os.makedev(*entry.device))
        self._settle(entry, path)
        os.utime(path, ns=(entry.time, entry.time), follow_symlinks=False)

    def _set_xattrs(self, entry: Entry, where: int | bytes) -> None:
        follow = {} if isinstance(where, int) else {"follow_symlinks": False}
        for name, value in entry.xattrs.items():
            if name.startswith(marker.FOREIGN):
                continue
            if name == "security.capability":
                value = self._owners.capability(value)
            try:
                os.setxattr(where, name, value, **follow)
            except OSError as error:
                if name == "security.capability" and error.errno == errno.ENOTSUP:
                    raise Refused(
                        f"{_shown(self._inside(entry.name, ''))} has file capabilities, which the file system here"
                        " cannot keep",
                        "Name a path on another one, as a tmpfs or ext4.",
                    ) from error
                # Without its capabilities a program does not work; the others can be missed.
                if name == "security.capability" or error.errno not in _CANNOT_KEEP:
                    raise
                self._warn(f"the attribute {_shown(os.fsencode(name))}", error)

    def _warn(self, what: str, error: OSError) -> None:
        text = f"{what} could not be kept: {error.strerror}"
        if text not in self._warnings and len(self._warnings) >= _WARNINGS_LIMIT:
            text = "other attributes could not be kept"
        self._warnings[text] = self._warnings.get(text, 0) + 1

    def _explained(self, error: OSError, entry: Entry, path: bytes) -> Exception:
        kind = reader.KIND_NAMES[entry.kind]
        shown = _shown(path)
        if error.errno == errno.EPERM and entry.kind in reader.DEVICES:
            return Refused(
                f"{self._name} holds the device node {shown}, which may not be made here",
                "Leave device nodes out with device_nodes: skip, or unpack as root of the host.",
            )
        if error.errno == errno.ENAMETOOLONG:
            return self._refused(
                f"an entry has a name of {len(path)} bytes, more than the kernel takes: {shown}"
            )
        if error.errno == errno.ENOENT and entry.kind == reader.LINK:
            return self._refused(
                f"{shown} is a hard link to {_shown(entry.target)}, which it does not hold"
            )
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.EISDIR, errno.EINVAL,
                           errno.ENOENT, errno.ENOTEMPTY) or (
            error.errno == errno.EPERM and entry.kind == reader.LINK
        ):  # fmt: skip
            return self._refused(f"the {kind} {shown} cannot be made: {error.strerror}")
        call = "write" if entry.stored else _CALLS[entry.kind]
        return KernelError(call, error.errno or errno.EIO, {"path": shown, "archive": self._name})


def _remove(path: bytes) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.rmdir(path)
    else:
        os.unlink(path)


def _set_times(records: t.BinaryIO) -> None:
    while True:
        header = records.read(_TIME.size)
        if not header:
            return
        length, seconds, nanoseconds = _TIME.unpack(header)
        path = records.read(length)
        time = seconds * 1_000_000_000 + nanoseconds
        with contextlib.suppress(FileNotFoundError):  # a later entry took its place
            os.utime(path, ns=(time, time), follow_symlinks=False)


def _shown(name: bytes) -> str:
    """A name for people: in quotes, control characters escaped, its end cut off when it is long."""
    text = repr(name[:200].decode("utf-8", "backslashreplace"))
    return text + "..." if len(name) > 200 else text
