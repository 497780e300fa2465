# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives with numbers, names and attributes that no file can have: refused, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import time
import typing as t
import zlib

import pytest
from hostile_archives import Playground, playground
from raw_tar import END, binary, extended, header, octal, padded, pax, record
from results import Result, RunModule
from trees import COMPRESSIONS, failed

__all__ = ["playground"]

SECONDS = 10.0
HARD, SYMBOLIC, DEVICE, DISK, DIRECTORY = b"1", b"2", b"3", b"4", b"5"


def unpack(
    playground: Playground, run_module: RunModule, content: bytes, **options: t.Any
) -> Result:
    archive = playground.top / "archive.tar"
    archive.write_bytes(content)
    before = time.monotonic()
    result = playground.make(run_module, archive=str(archive), **options)
    assert time.monotonic() - before < SECONDS
    return result


REFUSED = {
    "device -1": header(kind=DEVICE, major=b"-1", minor=b"-1"),
    "device -1, binary": header(kind=DISK, major=binary(-1, width=8), minor=binary(-1, width=8)),
    "huge device": header(kind=DISK, major=binary(2**55, width=8), minor=b"1"),
    "uid -1": header(uid=b"-1"),
    "uid of 2^32": header(uid=binary(2**32, width=8)),
    "gid that is nobody's": pax(gid=b"4294967295") + header(),
    "link to a null character": pax(linkpath=b"a\0b") + header(kind=SYMBOLIC),
    "hard link to a null character": pax(linkpath=b"a\0b") + header(kind=HARD),
    "name with a null character": pax(path=b"a\0b") + header(),
    "link to nothing": header(kind=SYMBOLIC),
    "hard link to nothing": header(kind=HARD),
    "hard link to itself": header(kind=HARD, target=b"file"),
    "hard link to what it replaces": header() + header(kind=HARD, target=b"./file"),
    "hard link to a directory": header(name=b"d", kind=DIRECTORY) + header(kind=HARD, target=b"d"),
    "hard link to the root": header(kind=HARD, target=b"./"),
    "attribute with a null character": extended(record(b"SCHILY.xattr.user.\0", b"")) + header(),
    "attribute with half a name": pax(SCHILY__xattr__user__=b"x") + header(),
    "long name of an attribute": pax(**{"SCHILY.xattr.user." + "n" * 300: b""}) + header(),
    "large attribute": pax(**{"SCHILY.xattr.user.n": bytes(65_537)}) + header(),
    "capability that is none": pax(**{"SCHILY.xattr.security.capability": b"x"}) + header(),
    "rights that are none": pax(**{"SCHILY.xattr.system.posix_acl_access": b"x"}) + header(),
    "size of 2^63 - 1": header(size=binary(2**63 - 1)),
    "file over a directory": header(name=b"d/x") + header(name=b"d"),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_it_is_refused(content: bytes, playground: Playground, run_module: RunModule) -> None:
    result = failed(unpack(playground, run_module, content + END), "archive.tar")
    assert "defect" not in result["msg"]
    assert os.listdir(playground.root.parent) == []


@pytest.mark.parametrize("when", [2**63 - 1, -(2**63), 2**40, -1, 0])
@pytest.mark.parametrize("kind", [b"0", SYMBOLIC, DIRECTORY, b"6"])
def test_any_time_that_a_number_can_say_is_kept_as_near_as_the_file_system_has_it(
    when: int, kind: bytes, playground: Playground, run_module: RunModule
) -> None:
    entry = header(kind=kind, target=b"x" if kind == SYMBOLIC else b"", mtime=binary(when))
    root = header(name=b"./", kind=DIRECTORY, mtime=binary(when))
    done = unpack(playground, run_module, root + entry + END)
    assert not done.get("failed"), done
    found = int(os.lstat(playground.root / "file").st_mtime)
    assert found == when or abs(when) >= 2**40


def test_modes_have_no_other_bits(playground: Playground, run_module: RunModule) -> None:
    odd = binary(2**40 | 0o644, width=8)
    done = unpack(playground, run_module, header(mode=odd) + END)
    assert not done.get("failed"), done
    assert oct((playground.root / "file").stat().st_mode) == "0o100644"


def test_attributes_that_cannot_be_kept_are_told_once(
    playground: Playground, run_module: RunModule
) -> None:
    many = (record(b"SCHILY.xattr.none\x1b[2J%d" % number, b"") for number in range(5_000))
    done = unpack(playground, run_module, extended(b"".join(many)) + header() + END)
    assert not done.get("failed"), done
    assert len(done["warnings"]) <= 21
    assert "\x1b" not in str([str(each) for each in done["warnings"]])
    assert "other attributes" in str(done["warnings"])


BOMB = header(size=octal(64 << 20)) + bytes(64 << 20) + END


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESSIONS if suffix])
@pytest.mark.parametrize("with_programs", [True, False])
def test_each_compression_is_stopped_at_the_limit(
    suffix: str, with_programs: bool, playground: Playground, run_module: RunModule
) -> None:
    """With the program of the host, and without it."""
    packed = subprocess.run(
        [*COMPRESSIONS[suffix], "-c"], input=BOMB, check=True, capture_output=True
    ).stdout
    archive = playground.top / f"bomb.tar{suffix}"
    archive.write_bytes(packed)
    args = {"path": str(playground.root), "archive": str(archive), "size_limit": "16M"}
    env = {} if with_programs else {"PATH": "/nonexistent"}
    result = run_module("ns_rootfs", args, env=env)
    is_missing = suffix == ".zst" and not with_programs
    failed(result, "Debian package zstd" if is_missing else "more than size_limit")
    assert os.listdir(playground.root.parent) == []


GOOD = header(size=octal(3_000)) + padded(os.urandom(3_000)) + END


@pytest.mark.parametrize("suffix", [suffix for suffix in COMPRESSIONS if suffix])
def test_damaged_streams(suffix: str, playground: Playground, run_module: RunModule) -> None:
    program = [*COMPRESSIONS[suffix], "-c"]
    packed = subprocess.run(program, input=GOOD, check=True, capture_output=True).stdout
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0x10
    for content in (packed[:6], packed[: len(packed) // 2], packed[:-4], bytes(flipped)):
        failed(unpack(playground, run_module, content), "archive.tar is ")
        assert os.listdir(playground.root.parent) == []
    # Of two streams one after the other the second goes on where the first ends.
    halves = [
        subprocess.run(program, input=half, check=True, capture_output=True).stdout
        for half in (GOOD[:1_000], GOOD[1_000:])
    ]
    assert not unpack(playground, run_module, b"".join(halves)).get("failed")


def test_memory_for_a_dictionary_is_bounded(playground: Playground, run_module: RunModule) -> None:
    """An archive of xz that asks for 4 GB."""
    packed = bytearray(subprocess.run(["xz", "-0", "-c"], input=GOOD, check=True,
                                      capture_output=True).stdout)  # fmt: skip
    start = 12  # of the header of its first block (xz's file-format.txt, 3.1)
    size = (packed[start] + 1) * 4
    packed[packed.index(b"\x21\x01", start) + 2] = 40
    packed[start + size - 4 : start + size] = zlib.crc32(
        bytes(packed[start : start + size - 4])
    ).to_bytes(4, "little")
    failed(unpack(playground, run_module, bytes(packed)), "archive.tar is damaged")
