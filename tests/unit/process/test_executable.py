# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel starts to run a file: the interpreter of a script, the loader of an ELF file."""

from __future__ import annotations

import os
import pathlib
import struct
import sys

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import executable

PT_INTERP = 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#!/bin/sh\necho\n", "/bin/sh"),
        (b"#! /bin/sh -e\n", "/bin/sh"),
        (b"#! \t /usr/bin/env\tpython3 -I\n", "/usr/bin/env"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!relative/sh\n", "relative/sh"),
        # The kernel takes a carriage return for a part of the name.
        (b"#!/bin/sh\r\n", "/bin/sh\r"),
        (b"#!/opt/\xff\xe9/sh\n", "/opt/\udcff\udce9/sh"),
        (b"#!\n/bin/sh\n", ""),
        (b"#!", ""),
        (b" #!/bin/sh\n", ""),
        (b"# !/bin/sh\n", ""),
        (b"echo\n#!/bin/sh\n", ""),
        (b"", ""),
    ],
)
def test_the_interpreter_of_a_script(content: bytes, expected: str, tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(content)
    assert executable.interpreter_of(str(script)) == expected


def loader_by_the_headers(path: str) -> str:
    """PT_INTERP of a 64 bit ELF file of this machine's byte order, or nothing."""
    content = pathlib.Path(path).read_bytes()
    (table,) = struct.unpack_from("=Q", content, 32)
    size, number = struct.unpack_from("=HH", content, 54)
    for entry in range(table, table + size * number, size):
        kind, _flags, offset, _address, _physical, length = struct.unpack_from(
            "=LLQQQQ", content, entry
        )
        if kind == PT_INTERP:
            return content[offset : offset + length].rstrip(b"\0").decode()
    return ""


@pytest.mark.skipif(sys.maxsize < 1 << 32, reason="the test reads 64 bit ELF files alone")
@pytest.mark.parametrize("program", [sys.executable, "/bin/sh", "/bin/true", "/usr/bin/env"])
def test_the_loader_of_a_program(program: str) -> None:
    path = os.path.realpath(program)
    found = executable.interpreter_of(path)
    assert found == loader_by_the_headers(path)
    assert os.path.exists(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x7fELF\2\1\1\0\0/lib64/ld-linux-x86-64.so.2\0\4", "/lib64/ld-linux-x86-64.so.2"),
        (b"\x7fELF\2\1\1\0/lib/ld-musl-x86_64.so.1\0GNU\0", "/lib/ld-musl-x86_64.so.1"),
        # Of a static program, of one cut short, and of what is no ELF file.
        (b"\x7fELF\2\1\1\0\0/etc/passwd\0", ""),
        (b"\x7fELF\2\1\1\0/lib64/ld-linux-x86-64.so.2", ""),
        (b"\x7fELF\2\1\1\0/lib/ld \xff\0", ""),
        (b"ELF\0/lib64/ld-linux-x86-64.so.2\0", ""),
    ],
)
def test_the_loader_of_a_file(content: bytes, expected: str, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(content)
    assert executable.interpreter_of(str(program)) == expected


def test_what_cannot_be_read_has_none(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # which nobody writes to
    for name in ("", "pipe", "nosuch"):
        assert executable.interpreter_of(str(tmp_path / name)) == ""
    assert executable.interpreter_of("/proc/self/exe") == ""  # through a link of /proc
