# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that no tar program writes: they are refused, in time and memory that do not grow faster."""

from __future__ import annotations

import contextlib
import os
import time
import tracemalloc

import pytest
from raw_tar import END, binary, extended, header, octal, padded, pax, record

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar.byte_stream import (
    ByteStream,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.tar.reader import (
    Entry,
    Reader,
)


def read(content: bytes) -> list[Entry]:
    fd = os.memfd_create("archive")
    with open(fd, "w+b") as file:
        file.write(content)
        file.seek(0)
        reader = Reader(ByteStream(fd, name="archive"), name="archive")
        return list(iter(reader.next, None))


def with_map(lines: bytes, *, size: bytes = b"10") -> bytes:
    """A file with holes, whose map is in its data (PAX 1.0)."""
    says = pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0", GNU__sparse__realsize=size)
    return says + header(size=octal(len(lines))) + padded(lines)


def device(major: bytes, minor: bytes, kind: bytes = b"3") -> bytes:
    return header(kind=kind, major=major, minor=minor)


REFUSED = {
    "device -1": device(b"-1", b"-1"),
    "device -1, binary": device(binary(-1, width=8), b"1"),
    "minor -1": device(b"1", b"-1"),
    "huge device": device(binary(2**32, width=8), b"1"),
    "largest device": device(b"1", binary(2**55, width=8), kind=b"4"),
    "major of 13 bits": device(b"10000", b"1"),
    "minor of 21 bits": device(b"1", b"4000000"),
    "device that is no number": device(b"x", b"1"),
    "size of 2^63": header(size=binary(2**63)),
    "negative size": header(size=b"-1"),
    "size of 5000 digits": pax(size=b"9" * 5_000) + header(),
    "time of 2^63": header(mtime=binary(2**63)),
    "time of 19 digits": pax(mtime=b"1" * 19) + header(),
    "attribute without a name": pax(SCHILY__xattr__=b"x") + header(),
    "null character in an attribute's name": extended(record(b"SCHILY.xattr.user.\0", b"")) + header(),
    "long name of an attribute": pax(**{"SCHILY.xattr." + "n" * 256: b""}) + header(),
    "large attribute": pax(**{"SCHILY.xattr.user.n": bytes(65_537)}) + header(),
    "path for all": pax(kind=b"g", path=b"same") + header(),
    "attribute for all": pax(kind=b"g", SCHILY__xattr__user__n=b"") + header(),
    "holes for all": pax(kind=b"g", GNU__sparse__map=b"0,0", GNU__sparse__size=b"0") + header(),
    "negative size with holes": with_map(b"0\n", size=b"-5"),
    "size of 2^63 with holes": with_map(b"0\n", size=b"%d" % 2**63),
    "size with holes of 5000 digits": with_map(b"0\n", size=b"9" * 5_000),
    "piece beyond the end": with_map(b"1\n%d\n0\n" % 2**62),
    "piece of 2^64": with_map(b"1\n0\n%d\n" % 2**64),
    "negative piece": with_map(b"1\n-1\n1\n"),
    "pieces that overlap": with_map(b"2\n0\n5\n3\n5\n".ljust(512, b"\0") + bytes(10)),
    "number with an underscore": with_map(b"1\n0\n1_0\n"),
    "half a piece": pax(GNU__sparse__map=b"0", GNU__sparse__size=b"0") + header(),
    "no size with holes": pax(GNU__sparse__major=b"1") + header(),
    "negative piece, GNU": header(kind=b"S")[:386] + b"-1".ljust(126, b"\0"),
    "short of a megabyte, twice": extended(b"a" * 1_000_000, kind=b"L") * 2 + header(),
}  # fmt: skip


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_it_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="no tar archive, or damaged"):
        read(content + END)


def many(kind: bytes, number: int, *, of: int) -> bytes:
    """Extended headers of that many records, no two with one key."""
    return b"".join(
        extended(b"".join(record(b"%d.%d" % (each, key), b"") for key in range(of)), kind=kind)
        for each in range(number)
    )


# What took a minute and more, or gigabytes, of an archive of this size; some are refused now.
LARGE = {
    "a line without end": with_map(b"1" * (20 << 20)),
    "a map of a million pieces": with_map(b"1000000\n" + b"0\n0\n" * 1_000_000),
    "headers that add up": many(b"x", 10, of=20_000) + header(),
    "headers for all that add up": many(b"g", 10, of=40_000) + header() * 20_000,
    "names that add up": extended(b"n" * 600, kind=b"L") * 20_000 + header(),
    "a header of digits": pax(GNU__sparse__map=b"9" * 1_000_000, GNU__sparse__size=b"0") + header(),
    "a header of numbers": extended(
        record(b"GNU.sparse.size", b"0") + record(b"GNU.sparse.offset", b"0") * 40_000
    )
    + header(),
    "nothing, very often": header(kind=b"5") * 40_000,
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_time_and_memory_are_bounded(content: bytes) -> None:
    before = time.process_time()  # other programs are not to count
    with contextlib.suppress(Refused):
        read_on(content)
    assert time.process_time() - before < 10
    tracemalloc.start()
    try:
        with contextlib.suppress(Refused):
            read_on(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 << 20


def read_on(content: bytes) -> None:
    """Read, and keep nothing."""
    fd = os.memfd_create("archive")
    with open(fd, "w+b") as file:
        file.write(content + END)
        file.seek(0)
        reader = Reader(ByteStream(fd, name="archive"), name="archive")
        while reader.next() is not None:
            pass


def test_what_a_header_for_all_may_say() -> None:
    says = pax(kind=b"g", uid=b"7", comment=b"of git", mtime=b"3")
    first, second = read(says + header() * 2 + END)
    assert (first.uid, second.uid) == (7, 7)
    assert first.time == 3_000_000_000


def test_the_largest_device_is_one() -> None:
    (entry,) = read(device(b"7777", b"3777777") + END)
    assert entry.device == ((1 << 12) - 1, (1 << 20) - 1)
