# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel starts to run a file: the interpreter of a script, the loader of an ELF file."""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import interpreter

PT_LOAD, PT_INTERP = 1, 3


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"#!/bin/sh\necho\n", (b"/bin/sh",)),
        (b"#! /bin/sh -e\n", (b"/bin/sh", b"-e")),
        (b"#! \t /usr/bin/env\tpython3 -I \t\n", (b"/usr/bin/env", b"python3 -I")),
        (b"#!/bin/sh", (b"/bin/sh",)),
        (b"#!relative/sh\n", (b"relative/sh",)),
        # The kernel takes a carriage return for a part of the name.
        (b"#!/bin/sh\r\n", (b"/bin/sh\r",)),
        (b"#!/opt/\xff\xe9/sh\n", (b"/opt/\xff\xe9/sh",)),
        # An argument may be cut off, and a path not.
        (b"#!/bin/sh " + b"a" * 300, (b"/bin/sh", b"a" * 245)),
        (b"#!/" + b"a" * 252 + b"\n", (b"/" + b"a" * 252,)),
        (b"#!/" + b"a" * 253 + b"\n", ()),
        (b"#!" + b" " * 300 + b"/bin/sh\n", ()),
        (b"#!\n/bin/sh\n", ()),
        (b"#! \t\n", ()),
        (b" #!/bin/sh\n", ()),
        (b"# !/bin/sh\n", ()),
        (b"echo\n#!/bin/sh\n", ()),
        (b"", ()),
    ],
)
def test_the_interpreter_of_a_script(start: bytes, expected: tuple[bytes, ...]) -> None:
    assert interpreter.of_script(start) == expected


def odd_starts(path: bytes) -> t.Iterator[bytes]:
    """Starts of scripts that one would rather not write, with this interpreter."""
    chance = random.Random(1)
    pieces = [path, b" ", b"\t", b"\0", b"\r", b"x", b"-", b"\xff", path + b" ", b" " * 120]
    for _number in range(150):
        line = b"".join(chance.choices(pieces, k=chance.randrange(5)))
        yield (
            b"#!" + chance.choice([b"", b" "]) + path + line + chance.choice([b"\n", b"\0\n", b""])
        )
    for length in range(240, 260):
        yield b"#!" + b" " * (length - len(path)) + path + b"\n"
        yield b"#!" + path + b" " + b"y" * (length - len(path)) + b" z\n"


def test_it_is_the_kernel_s(tmp_path: pathlib.Path) -> None:
    """Scripts that are executed here, and what their interpreter was given."""
    ran = 0
    shows = tmp_path / "i"
    shutil.copy("/usr/bin/printf", shows)
    script = tmp_path / "script"
    for start in odd_starts(os.fsencode(shows)):
        script.write_bytes(start)
        script.chmod(0o755)
        try:
            done = subprocess.run([script, "%s|", "a"], check=False, capture_output=True)
            found: t.Any = (done.returncode, done.stdout)
        except OSError:
            found = None
        words = interpreter.of_script(start)
        wanted: t.Any = None
        if words and os.path.exists(words[0]):
            argv = [*words, os.fsencode(script), b"%s|", b"a"]
            done = subprocess.run(argv, check=False, capture_output=True)
            wanted = (done.returncode, done.stdout)
        assert found == wanted, (start, words)
        ran += found is not None
    assert ran > 50


@pytest.mark.parametrize("program", [sys.executable, "/bin/sh", "/bin/true", "/usr/bin/env"])
def test_the_loader_of_a_program(program: str) -> None:
    loader = loader_of(pathlib.Path(program).resolve())
    assert loader.startswith("/lib")
    assert os.path.exists(loader)


def loader_of(path: pathlib.Path) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return "|".join(interpreter.of_elf(fd))
    finally:
        os.close(fd)


def elf(order: str, bits: int, path: bytes, *, at: int = 4096) -> bytes:
    """An ELF file with nothing but two program headers, and the path of a loader somewhere."""
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    if bits == 64:
        header = struct.pack(f"{order}HHLQQQLHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2) + bytes(6)
        load = struct.pack(f"{order}LLQQQQ", PT_LOAD, 5, 0, 0, 0, 99) + bytes(16)
        interp = struct.pack(f"{order}LLQQQQ", PT_INTERP, 4, at, 0, 0, len(path)) + bytes(16)
    else:
        header = struct.pack(f"{order}HHLLLLLHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 2) + bytes(6)
        load = struct.pack(f"{order}LLLLL", PT_LOAD, 0, 0, 0, 99) + bytes(12)
        interp = struct.pack(f"{order}LLLLL", PT_INTERP, at, 0, 0, len(path)) + bytes(12)
    whole = ident + header + load + interp
    return whole.ljust(4096, b"\0") + path if at == 4096 else whole


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_loader_of_a_file(order: str, bits: int, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(elf(order, bits, b"/proc/self/exe\0"))
    assert loader_of(file) == "/proc/self/exe"


@pytest.mark.parametrize("said", range(4))
@pytest.mark.parametrize("bits", [32, 64])
def test_what_a_file_says_of_itself_does_not_matter(
    bits: int, said: int, tmp_path: pathlib.Path
) -> None:
    """The kernel does not heed it either."""
    content = bytearray(elf("<", bits, b"/proc/self/exe\0"))
    for place in (4, 5):
        content[place] = said
        (tmp_path / "file").write_bytes(content)
        assert loader_of(tmp_path / "file") == "/proc/self/exe"


def test_a_file_that_can_be_read_in_two_ways(tmp_path: pathlib.Path) -> None:
    content = bytearray(elf("<", 64, b"/proc/self/exe\0"))
    # One program header of 32 bits, at 4096, where no field of 64 bits that counts says anything.
    content[28:32], content[42:46] = struct.pack("<L", 4096), struct.pack("<HH", 32, 1)
    entry = struct.pack("<LLLLL", PT_INTERP, 5000, 0, 0, 8)
    content[4096:] = entry.ljust(904, b"\0") + b"/lib/ld\0"
    content[128:136] = struct.pack("<Q", 5008)
    (tmp_path / "file").write_bytes(content + b"/proc/self/exe\0")
    assert loader_of(tmp_path / "file") == "/lib/ld|/proc/self/exe"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF",
        b"\x7fELF\2\1",
        b"\x7fELF\7\1" + bytes(90),
        b"\x7fELF\2\1" + b"\xff" * 90,
        b"\x7fELF\1\2" + b"\xff" * 90,
        elf("<", 64, b"/lib/ld\0", at=(1 << 64) - 1),
        elf("<", 64, b"/lib/ld\0", at=1 << 40),
        elf("<", 64, b"/lib/ld\0")[:64],
        elf("<", 64, b"/lib/ld\0")[:150],
        elf(">", 32, b""),
        b"#!/bin/sh\n",
    ],
)
def test_a_file_without_a_loader(content: bytes, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert loader_of(file) == ""


def test_a_damaged_program_is_read_without_a_failure(tmp_path: pathlib.Path) -> None:
    content = pathlib.Path("/bin/true").read_bytes()[:1024]
    file = tmp_path / "file"
    chance = random.Random(1)
    for length in range(len(content)):
        file.write_bytes(content[:length])
        assert loader_of(file) in ("", loader_of(pathlib.Path("/bin/true")))
        damaged = bytearray(content)
        damaged[length] = chance.randrange(256)
        file.write_bytes(damaged)
        loader_of(file)
