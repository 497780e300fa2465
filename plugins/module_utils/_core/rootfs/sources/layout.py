# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Images in files: the directory of an OCI image layout, and archives of such or of Docker.

skopeo and umoci open what a layout holds whatever it is, and would wait for the writer of a fifo,
or read a device, for ever. So it is looked at first.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import typing as t

from ...errors import KernelError, Refused
from ...mount import host_view
from ...syscalls import files, regular_files
from ..tar import decompress, reader
from ..tar.byte_stream import ByteStream
from . import held, manifest
from .held import Held
from .manifest import SIZE_LIMIT, Manifest

_INDEX = held.OCI
_BENEATH = files.RESOLVE_BENEATH | files.RESOLVE_NO_MAGICLINKS


@contextlib.contextmanager
def opened_file(path: str) -> t.Iterator[int]:
    """Open the archive file of an image, by the path that skopeo is given.

    Raises Refused where it is no file that can be read.
    """
    try:
        with host_view.opened(path) as found:
            fd = regular_files.reopen(found, os.O_RDONLY, path=path)
    except OSError as error:
        raise _not_opened(path, error.strerror) from error
    try:
        if host_view.leads_into_root(path):
            raise Refused(
                f"the image {path} lies in a root file system of others, where skopeo would "
                "follow any link",
                "Copy it to the managed host first.",
            )
        yield fd
    finally:
        os.close(fd)


def _not_opened(path: str, why: str | None) -> Refused:
    return Refused(
        f"the image {path} cannot be opened: {why}", "Copy it to the managed host first."
    )


def check_archive(fd: int, *, image: str, limit: int, copy_to: int = -1) -> Held:
    """The images in the open archive. Raises Refused unless it holds what such an archive holds.

    ``limit`` is how much may come out of it, in bytes; 0 for any amount. It is written to the open
    file ``copy_to`` as it is when it is not compressed.
    """
    wrong: Refused | None = None
    documents: dict[str, bytes] = {}
    kinds = [reader.FILE, reader.DIRECTORY]
    if image.startswith("docker-archive:"):
        # skopeo looks up what is in it without unpacking it. An older `docker save` wrote links.
        kinds += [reader.LINK, reader.SYMLINK]
    with decompress.opened(fd, name=image) as content:
        fd = content.fd
        if copy_to >= 0:
            limited = ByteStream(fd, name=image, limit=limit)
            limited.copy_all(copy_to)
            content.verify()
            fd = copy_to
            os.lseek(fd, 0, os.SEEK_SET)
        stream = ByteStream(fd, name=image, limit=limit)
        entries = reader.Reader(stream, name=image)
        while (entry := entries.next()) is not None:
            name = os.fsdecode(entry.name)
            name = name[2:] if name.startswith("./") else name
            if entry.kind not in kinds:
                wrong = wrong or _refused(image, f"it holds a {reader.KIND_NAMES[entry.kind]}")
            # skopeo would write all of it.
            elif entry.pieces is not None:
                wrong = wrong or _refused(image, "it holds a file with holes")
            elif name in (held.DOCKER, held.OCI) and entry.kind == reader.FILE:
                documents[name] = _document_in(entries, entry, image)
        stream.drain()
        if copy_to < 0:
            content.verify()
    # Of another kind of archive nothing else is wrong.
    found = held.in_archive(documents, image=image)
    if wrong is not None:
        raise wrong
    return found


def _document_in(entries: reader.Reader, entry: reader.Entry, image: str) -> bytes:
    if entry.stored > SIZE_LIMIT:
        raise _too_long(image, os.fsdecode(entry.name))
    with tempfile.TemporaryFile() as document:
        entries.copy_data(entry, document.fileno())
        document.seek(0)
        return document.read()


def check_directory(path: str, *, image: str) -> Held:
    """The images in the layout. Raises Refused unless it can be read, in bounded time and memory.

    It holds files alone, links lead to them, and documents are not longer than they may be.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise Refused(
            f"the image {image} cannot be read: {path} is not a directory",
            "An archive is named oci-archive:FILE, or docker-archive:FILE where docker save wrote it.",
        ) from error
    except OSError as error:
        raise _refused(image, f"{path}: {error.strerror}") from error
    try:
        _check_below(top, image)
        return held.in_layout(_read(top, _INDEX, image), image=image)
    finally:
        os.close(top)


def _check_below(top: int, image: str) -> None:
    with _explained(image):
        for name in _names(top):
            if not stat.S_ISREG(_status(top, name).st_mode):
                raise _refused(image, f"{name} in it is no file")
        # Each once: an index may name itself, or two each other, since nobody checks its digest.
        seen: set[str] = set()
        waiting = [_INDEX]
        while waiting:
            found = manifest.referred(_read(top, waiting.pop(), image)) - seen
            seen |= found
            waiting += [name for name in map(_blob, found) if _is_there(top, name)]


@contextlib.contextmanager
def _explained(image: str) -> t.Iterator[None]:
    """Turn the failure of a call on what is in a layout into a refusal of the image."""
    try:
        yield
    except OSError as error:
        at = f"{error.arguments['path']} in it: " if isinstance(error, KernelError) else ""
        why = "a link leads out of it" if error.errno == errno.EXDEV else error.strerror
        raise _refused(image, f"{at}{why}") from error


def _names(top: int) -> t.Iterator[str]:
    """The names of the files of a layout, from its directory on."""
    yield from ("oci-layout", _INDEX)
    for kind in _listed(top, "blobs"):
        for name in _listed(top, f"blobs/{kind}"):
            yield f"blobs/{kind}/{name}"


def _listed(top: int, name: str) -> list[str]:
    fd = _opened(top, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _status(top: int, name: str) -> os.stat_result:
    fd = _opened(top, name, os.O_PATH)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _is_there(top: int, name: str) -> bool:
    try:
        return stat.S_ISREG(_status(top, name).st_mode)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
        return False  # it may be needed by another image of the layout alone


def _opened(top: int, name: str, flags: int) -> int:
    return files.openat2(top, name, flags=flags, resolve=_BENEATH)


def _read(top: int, name: str, image: str) -> bytes:
    """A document. Raises Refused where it is too long for one, KernelError."""
    try:
        # Opened once: what is looked at is what is read.
        fd = regular_files.open_regular(name, dir_fd=top, resolve=_BENEATH)
    except regular_files.NotRegular as error:
        raise _refused(image, f"{name} in it is no file") from error
    with open(fd, "rb") as document:
        text = document.read(SIZE_LIMIT + 1)
    if len(text) > SIZE_LIMIT:
        raise _too_long(image, name)
    return text


def _too_long(image: str, name: str) -> Refused:
    return _refused(image, f"{name} in it has more than {SIZE_LIMIT >> 20} MB")


def _blob(digest: str) -> str:
    kind, _colon, number = digest.partition(":")
    return f"blobs/{kind}/{number}"


def blob_path(layout: str, digest: str) -> str:
    """The path of what has the digest in the layout."""
    return f"{layout}/{_blob(digest)}"


def documents(layout: str, *, image: str) -> tuple[Manifest, bytes]:
    """The manifest and the configuration of the one image in a layout. Raises Refused."""
    top = os.open(layout, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _explained(image):
            index = _read(top, _INDEX, image)
            digest = manifest.only_manifest(index, image=image)
            found = manifest.manifest_of(_read(top, _blob(digest), image), image=image)
            return found, _read(top, _blob(found.config), image)
    finally:
        os.close(top)


def _refused(image: str, why: str) -> Refused:
    return Refused(
        f"the image {image} cannot be read: {why}", "Make or fetch it again, or do not trust it."
    )
