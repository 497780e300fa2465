# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives of each form and compression, damaged: read, and unpacked."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import typing as t

import pytest
from fuzzing import bounded, damaged, fuzz
from hypothesis import strategies as st
from raw_tar import BLOCK, END, binary, extended, header, mend_sum, octal, padded, pax, record
from trees import COMPRESSIONS

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Handles
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import ask_parent
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.rules import Rules
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar import (
    decompress,
    unpack,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar.byte_stream import (
    ByteStream,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar.reader import (
    FILE,
    Reader,
)


def with_old_map(pieces: bytes, *, size: int) -> bytes:
    """The header of a file with holes as GNU tar wrote it before PAX."""
    made = bytearray(header(kind=b"S", size=octal(10), magic=b"ustar  \0"))
    made[386:482] = pieces.ljust(96, b"\0")
    made[483:495] = octal(size) + b"\0"
    mend_sum(made, 0)
    return bytes(made)


LONG = "directory/" * 20 + "file"
RULES = Rules(size_limit=1 << 20)


def written(form: int) -> bytes:
    """Every kind of entry, as Python's tarfile writes it."""
    buffer = io.BytesIO()
    is_ustar = form == tarfile.USTAR_FORMAT
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, data in (
            ("./", tarfile.DIRTYPE, b""), ("d", tarfile.DIRTYPE, b""), ("d/f", tarfile.REGTYPE, b"x" * 700),
            ("hard", tarfile.LNKTYPE, b""), ("soft", tarfile.SYMTYPE, b""), ("pipe", tarfile.FIFOTYPE, b""),
            ("null", tarfile.CHRTYPE, b""), (LONG[:99] if is_ustar else LONG, tarfile.REGTYPE, b"y"),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "d/f"
            info.mode, info.devmajor, info.devminor = 0o4755, 1, 3
            info.uid, info.mtime = 7 if is_ustar else 3_000_000, 1_600_000_000
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "-3.5"}
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MAP = b"2\n0\n5\n700\n5\n".ljust(BLOCK, b"\0") + b"x" * 10
OLD_MAP = b" ".join([octal(0), octal(5), octal(700), octal(5), b""])
DATA = header(size=octal(10)) + padded(b"x" * 10)
OFFSETS = b"".join(
    record(b"GNU.sparse.offset", b"%d" % offset) + record(b"GNU.sparse.numbytes", b"5")
    for offset in (0, 700)
)
HOLES = {
    "GNU": with_old_map(OLD_MAP, size=705) + padded(b"x" * 10),
    "PAX 0.0": extended(record(b"GNU.sparse.size", b"705") + OFFSETS) + DATA,
    "PAX 0.1": pax(GNU__sparse__size=b"705", GNU__sparse__map=b"0,5,700,5") + DATA,
    "PAX 1.0": pax(
        GNU__sparse__major=b"1", GNU__sparse__realsize=b"705", GNU__sparse__name=b"holes"
    )
    + header(size=octal(len(MAP)))
    + padded(MAP),
}
ARCHIVES = {
    "ustar": written(tarfile.USTAR_FORMAT),
    "GNU": written(tarfile.GNU_FORMAT),
    "PAX": written(tarfile.PAX_FORMAT),
    "holes": b"".join(HOLES.values()) + END,
    "binary": header(size=binary(3), mtime=binary(-1), uid=binary(7, width=8))
    + padded(b"abc")
    + END,
    "for all": pax(kind=b"g", uid=b"7", mtime=b"1.5") + header(kind=b"5") + END,
}


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A damaged archive, mostly with good sums, so that the rest is looked at too."""
    content = ARCHIVES[draw(st.sampled_from(sorted(ARCHIVES)))]
    made = bytearray(draw(damaged(content)))
    if draw(st.integers(0, 9)):
        for start in range(0, len(made) - BLOCK + 1, BLOCK):
            if made[start : start + BLOCK] != content[start : start + BLOCK]:
                mend_sum(made, start)
    return bytes(made)


# What a program that means harm writes in place of what stands in a header.
ODD = st.sampled_from(
    [
        b"", b"-1", b"0", b"7" * 12, b"1_0", b"x", b" ", b"\0", b"a\0b", b"/", b"..", b"../x", b"./", b"d/f",
        b"soft", b"\xff\xfe", b"0,0", b"5,5,0,5", b"9" * 19, b"9" * 5_000, b"n" * 300, b"d/" * 1_000, b"1.5", b"--.",
        *(binary(number) for number in (-1, -(2**63), 2**31, 2**32, 2**63 - 1, 2**63, 2**80)),
        *(binary(number, width=8) for number in (-1, 4_096, 2**20, 2**31, 2**32 - 1, 2**32, 2**55)),
    ]
)  # fmt: skip
WIDTHS = {
    "name": 100, "mode": 8, "uid": 8, "gid": 8, "size": 12, "mtime": 12, "target": 100, "magic": 8,
    "major": 8, "minor": 8, "prefix": 155,
}  # fmt: skip
KINDS = [bytes([letter]) for letter in b"0123456S7xgLKVXD\0"]
KEYS = [
    b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"GNU.sparse.major", b"GNU.sparse.map",
    b"GNU.sparse.size", b"GNU.sparse.realsize", b"GNU.sparse.offset", b"GNU.sparse.numbytes",
    b"GNU.sparse.name", b"SCHILY.xattr.user.a", b"SCHILY.xattr.", b"SCHILY.xattr.user.\0",
    b"SCHILY.xattr.security.capability", b"SCHILY.xattr.system.posix_acl_access", b"SCHILY.xattr.\xff", b"",
]  # fmt: skip


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """An archive of entries each of which has something odd in it."""
    made = []
    for _entry in range(draw(st.integers(1, 4))):
        for _record in range(draw(st.integers(0, 2))):
            says = record(draw(st.sampled_from(KEYS)), draw(ODD))
            made.append(extended(says, kind=draw(st.sampled_from([b"x", b"x", b"x", b"g"]))))
        fields = {"kind": draw(st.sampled_from(KINDS)), "target": b"d/f"}
        for name in draw(st.lists(st.sampled_from(sorted(WIDTHS)), max_size=2)):
            fields[name] = draw(ODD)[: WIDTHS[name]]
        made.append(header(**fields))
    return b"".join(made) + END


@contextlib.contextmanager
def opened(content: bytes) -> t.Iterator[int]:
    with open(os.memfd_create("archive"), "w+b") as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


@fuzz(1_000, content=archives() | built())
def test_reading(content: bytes) -> None:
    with opened(content) as fd, open(os.devnull, "wb") as null, bounded(Refused, OSError):
        reader = Reader(ByteStream(fd, name="archive", limit=1 << 22), name="archive")
        while (entry := reader.next()) is not None:
            if entry.kind == FILE and entry.pieces is None:
                reader.copy_data(entry, null.fileno())


RECORDS = record(b"path", b"a=b") + record(b"mtime", b"1.5") + record(b"GNU.sparse.map", b"0,5")


@fuzz(300, text=damaged(RECORDS))
def test_extended_headers(text: bytes) -> None:
    with opened(extended(text) + header() + END) as fd, bounded(Refused):
        Reader(ByteStream(fd, name="archive"), name="archive").next()


@fuzz(200, content=st.binary(max_size=2_000) | st.sampled_from(sorted(ARCHIVES.values())))
def test_what_is_no_archive(content: bytes) -> None:
    with opened(content) as fd, bounded(Refused):
        reader = Reader(ByteStream(fd, name="archive"), name="archive")
        while reader.next() is not None:
            pass


def unpacked(fd: int, top: str) -> None:
    """Unpack it as ns_rootfs does, in a process that has nothing but the new root."""

    def fill(_ask: ask_parent.Ask) -> None:
        unpack.enter(os.open(top, os.O_RDONLY))
        unpack.unpack(fd, name="archive", rules=RULES, progress=lambda _text: None)

    ask_parent.call(fill, joins=Handles({}), answers={})


@pytest.fixture
def top() -> t.Iterator[str]:
    """A directory for roots, beside which there is a canary."""
    above = pathlib.Path(tempfile.mkdtemp(dir="/run"))
    (above / "canary").write_text("untouched")
    yield str(above / "root")
    assert os.listdir(above) == ["canary"]
    assert (above / "canary").read_text() == "untouched"
    shutil.rmtree(above)


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_is_damaged_here_was_good(name: str, top: str) -> None:
    os.mkdir(top)
    with opened(ARCHIVES[name]) as fd:
        unpacked(fd, top)
    shutil.rmtree(top)


@fuzz(150, content=archives() | built())
def test_unpacking(content: bytes, top: str) -> None:
    os.mkdir(top)
    try:
        with opened(content) as fd, bounded(Refused, KernelError):
            unpacked(fd, top)
    finally:
        shutil.rmtree(top)


@st.composite
def compressed(draw: st.DrawFn) -> bytes:
    suffix = draw(st.sampled_from([suffix for suffix in COMPRESSIONS if suffix]))
    archive = draw(st.sampled_from(sorted(ARCHIVES)))
    return draw(damaged(PACKED[suffix, archive]))


PACKED = {
    (suffix, name): subprocess.run(
        [*program, "-c"], input=content, check=True, capture_output=True
    ).stdout
    for suffix, program in COMPRESSIONS.items()
    if suffix
    for name, content in ARCHIVES.items()
}


@fuzz(30, content=compressed())
def test_decompressing(content: bytes, top: str) -> None:
    os.mkdir(top)
    try:
        with (
            opened(content) as fd,
            bounded(Refused, KernelError),
            decompress.opened(fd, name="archive") as stream,
        ):
            unpacked(stream.fd, top)
            stream.verify()
    finally:
        shutil.rmtree(top)
