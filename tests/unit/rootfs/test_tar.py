# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading tar streams: against Python's own tarfile and GNU tar, and against damage."""

from __future__ import annotations

import io
import os
import pathlib
import subprocess
import tarfile
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_tar import header, mend_sum

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar import sparse
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar.byte_stream import (
    ByteStream,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar.reader import (
    FILE,
    Entry,
    Reader,
)

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "directory/" * 20 + "file"


def reader_of(content: bytes, tmp_path: pathlib.Path, *, limit: int = 0) -> Reader:
    path = tmp_path / "archive"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    return Reader(ByteStream(fd, name="archive", limit=limit), name="archive")


def entries_of(content: bytes, tmp_path: pathlib.Path) -> list[tuple[Entry, bytes]]:
    reader = reader_of(content, tmp_path)
    found = []
    while (entry := reader.next()) is not None:
        target = tmp_path / "data"
        fd = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        if entry.kind == FILE:
            reader.copy_data(entry, fd)
        os.close(fd)
        found.append((entry, target.read_bytes()))
    return found


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: t.Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mtime = 1_600_000_000
    for key, value in values.items():
        setattr(info, key, value)
    return info


def archive_of(
    members: t.Iterable[tuple[tarfile.TarInfo, bytes]], *, form: int = tarfile.PAX_FORMAT
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_every_kind_of_entry_is_read(form: str, tmp_path: pathlib.Path) -> None:
    long = LONG if form != "ustar" else "directory/" * 12 + "file"
    members = [
        (member("./", tarfile.DIRTYPE, mode=0o755), b""),
        (member("file", mode=0o4755, uid=7, gid=8), b"content"),
        (member("big", uid=1000), b"x" * 1_500_000),
        (member(long), b"1"),
        (member("hard", tarfile.LNKTYPE, linkname="file"), b""),
        (member("soft", tarfile.SYMTYPE, linkname="/etc/passwd"), b""),
        (member("null", tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        (member("disk", tarfile.BLKTYPE, devmajor=254, devminor=300), b""),
        (member("pipe", tarfile.FIFOTYPE), b""),
        (member("empty"), b""),
    ]
    found = entries_of(archive_of(members, form=FORMATS[form]), tmp_path)
    assert [entry.name.rstrip(b"/") for entry, _data in found] == [
        info.name.rstrip("/").encode() for info, _data in members
    ]
    for (entry, data), (info, wanted) in zip(found, members):
        assert data == wanted
        assert entry.mode == info.mode
        assert (entry.uid, entry.gid) == (info.uid, info.gid)
        assert entry.size == len(wanted)
        assert entry.time == 1_600_000_000 * 1_000_000_000
        assert entry.target == info.linkname.encode()
        assert entry.device == (info.devmajor, info.devminor)
        assert entry.kind == info.type


def test_pax_says_more_than_the_header(tmp_path: pathlib.Path) -> None:
    headers = {
        "mtime": "-3.25",
        "uid": "4000000",
        "SCHILY.xattr.user.note": "words",
        "SCHILY.xattr.security.capability": "\x01\n=\x02",
    }
    info = member("caf\N{LATIN SMALL LETTER E WITH ACUTE}", pax_headers=headers)
    ((entry, _data),) = entries_of(archive_of([(info, b"")]), tmp_path)
    assert entry.name == "caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode()
    assert entry.time == -3_250_000_000
    assert entry.uid == 4_000_000
    assert entry.xattrs == {"user.note": b"words", "security.capability": b"\x01\n=\x02"}


def test_global_headers_hold_for_all_that_follow(tmp_path: pathlib.Path) -> None:
    buffer = io.BytesIO()
    headers = {"gid": "77"}
    with tarfile.open(fileobj=buffer, mode="w", pax_headers=headers) as archive:
        archive.addfile(member("one"))
        archive.addfile(member("two"))
    found = entries_of(buffer.getvalue(), tmp_path)
    assert [entry.gid for entry, _data in found] == [77, 77]


def test_numbers_can_be_binary(tmp_path: pathlib.Path) -> None:
    info = member("file", uid=3_000_000, mtime=-1)
    ((entry, _data),) = entries_of(archive_of([(info, b"")], form=tarfile.GNU_FORMAT), tmp_path)
    assert (entry.uid, entry.time) == (3_000_000, -1_000_000_000)


def _blocks(path: pathlib.Path) -> int:
    with path.open("rb") as file:
        os.fsync(file.fileno())  # before that not all of a file of many pieces is counted
        return os.fstat(file.fileno()).st_blocks


@pytest.mark.parametrize(
    "words",
    [
        ["--format=gnu"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ],
    ids=["gnu", "pax 0.0", "pax 0.1", "pax 1.0"],
)
@pytest.mark.parametrize("pieces", [0, 3, 60], ids=lambda number: f"{number} pieces")
def test_files_with_holes(words: list[str], pieces: int, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "holes"
    with source.open("wb") as file:
        for number in range(pieces):
            file.seek(number * 200_000)
            file.write(b"data%d" % number)
        file.truncate(60 * 200_000)
    made = subprocess.run(
        ["tar", "--create", "--sparse", *words, "--directory", tmp_path, "holes"],
        check=True,
        capture_output=True,
    )
    assert len(made.stdout) < 1_000_000
    ((entry, data),) = entries_of(made.stdout, tmp_path)
    assert entry.name == b"holes"
    assert data == source.read_bytes()
    assert _blocks(tmp_path / "data") == _blocks(source)


def test_what_follows_the_data_is_read_when_the_data_was_not(tmp_path: pathlib.Path) -> None:
    content = archive_of([(member("one"), b"x" * 3_000_000), (member("two"), b"")])
    reader = reader_of(content, tmp_path)
    names = []
    while (entry := reader.next()) is not None:
        names.append(entry.name)
    assert names == [b"one", b"two"]


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 1024, 3_000, 1_048_576])
def test_an_archive_that_is_cut_short_is_refused(kept: int, tmp_path: pathlib.Path) -> None:
    content = archive_of([(member("one"), b"x" * 2_000_000)])
    with pytest.raises(Refused, match="cut short"):
        entries_of(content[:kept], tmp_path)


def test_a_wrong_sum_is_refused(tmp_path: pathlib.Path) -> None:
    content = bytearray(archive_of([(member("one"), b"")]))
    content[2] ^= 1
    with pytest.raises(Refused, match="sum"):
        entries_of(bytes(content), tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Refused, match="no tar archive"):
        entries_of(b"#!/bin/sh\n" * 1000, tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (header(kind=b"x", size=b"77777777777"), "an extended header of"),
        (header(kind=b"L", size=b"\xff" + b"\xff" * 11), "an extended header of -1"),
        (header(size=b"\xff" + b"\xff" * 11), "a size of -1"),
        (header(size=b"twelve"), "is no number"),
        (header(kind=b"?"), "unknown type"),
        (header(kind=b"M"), "unknown type"),
        (header(kind=b"x", size=b"00000000012") + b"999 path=a\n".ljust(512), "list of records"),
        (header(kind=b"x", size=b"00000000012") + b"5 path=ab\n\n".ljust(512), "list of records"),
        (header(kind=b"x", size=b"00000000012") + b"10 uid=x7\n".ljust(512, b"\0"), "no number"),
    ],
)
def test_nonsense_is_refused(content: bytes, why: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Refused, match=why):
        entries_of(content + header(name=b"end") + bytes(1024), tmp_path)


@pytest.mark.parametrize(
    ("pieces", "size", "stored"),
    [
        (((5, 5), (0, 5)), 100, 10),
        (((0, -1),), 100, -1),
        (((0, 10),), 5, 10),
        (((0, 10),), 100, 11),
        ((), 1 << 63, 0),
    ],
)
def test_maps_that_do_not_fit_are_refused(
    pieces: tuple[tuple[int, int], ...], size: int, stored: int
) -> None:
    with pytest.raises(ValueError, match="map of holes"):
        sparse.check(pieces, size, stored, ValueError)


def test_a_map_without_end_is_refused(tmp_path: pathlib.Path) -> None:
    lines = b"2000000\n" + b"0\n" * 200
    records = b"22 GNU.sparse.major=1\n27 GNU.sparse.realsize=999\n"
    content = (
        header(kind=b"x", size=b"%011o" % len(records))
        + records.ljust(512, b"\0")
        + header(size=b"%011o" % len(lines))
        + lines.ljust(512, b"\0")
    )
    with pytest.raises(Refused, match="a map of 2000000 pieces"):
        entries_of(content, tmp_path)


def test_the_limit_counts_what_comes_out(tmp_path: pathlib.Path) -> None:
    content = archive_of([(member("one"), b"x" * 100_000)])
    reader = reader_of(content, tmp_path, limit=50_000)
    entry = reader.next()
    assert entry is not None
    with pytest.raises(Refused, match="more than size_limit"):
        reader.copy_data(entry, os.open(os.devnull, os.O_WRONLY))


GOOD = archive_of(
    [
        (member("a", pax_headers={"SCHILY.xattr.user.a": "b"}), b"x" * 700),
        (member(LONG, tarfile.SYMTYPE, linkname=LONG), b""),
    ]
) + archive_of([(member(LONG), b"y")], form=tarfile.GNU_FORMAT)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=6))
def test_damage_is_refused_or_read_but_never_breaks(changes: list[tuple[int, int]]) -> None:
    content = bytearray(GOOD)
    for position, value in changes:
        content[position] = value
    for start in range(0, len(content), 512):
        if any(start <= position < start + 512 for position, _value in changes):
            # With a good sum, so that the rest is looked at too.
            mend_sum(content, start)
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb") as feed:
        feed.write(content)
        feed.close()
        reader = Reader(ByteStream(read, name="archive"), name="archive")
        try:
            while reader.next() is not None:
                pass
        except Refused:
            pass


@pytest.mark.parametrize(
    "records",
    [
        b"0 a=b\n",
        b"1 a=b\n",
        b"2 a=b\n",
        b"6 a=b\n0 c=d\n",
        b"6 a=b\nwithout",
        b"6 a=b\n" + b"9" * 20 + b" c=d\n",
        b"6 a=b\n c=d\n",
    ],
)
def test_a_record_whose_length_ends_within_itself(records: bytes) -> None:
    """It was read again and again: the length of 0 leads to where it stands."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    content = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0")
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb") as feed:
        feed.write(content)
        feed.close()
        reader = Reader(ByteStream(read, name="archive"), name="archive")
        with pytest.raises(Refused, match=r"no list of records|is no number"):
            reader.next()
