# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which file a program is, in the root of the process that becomes it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import KernelError, Refused
from ..syscalls import files

_MOST_INTERPRETERS = 5  # as many as execve(2) follows
_START = 4096


def find(name: str, search_path: str) -> str:
    """The path of the program ``name``; without a slash it is looked for in ``search_path``.

    Raises KernelError as execve(2) would.
    """
    if "/" in name:
        return name
    for directory in search_path.split(":"):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise KernelError("execve", errno.ENOENT, {"name": name, "PATH": search_path})


def check_no_magic_link(path: str) -> None:
    """Refuse a program or an interpreter of a script that a link of /proc leads to.

    /proc/self/exe is the interpreter of the host that runs this very code: a root that has it
    run as its program could open it for writing, and through it a file of the host
    (CVE-2019-5736). What is missing is left to execve(2) to tell. Raises Refused.
    """
    for _depth in range(_MOST_INTERPRETERS):
        try:
            start = _start_of(path)
        except KernelError as error:
            if error.errno == errno.ELOOP:
                raise Refused(
                    f"{path} leads through a link of /proc, which may lead out of the program's "
                    "root",
                    "Name the program by its path inside the root.",
                ) from error
            return
        path = _interpreter_of_script(start)
        if not path:
            return


def interpreter_of(path: str) -> str:
    """What the kernel starts to run the file: after #! of a script, in PT_INTERP of an ELF file.

    Empty where there is none, or where the file cannot be read.
    """
    try:
        start = _start_of(path)
    except KernelError:
        return ""
    return _interpreter_of_script(start) or _loader_of_elf(start)


# Both without the module re, which takes as long to load as a tenth of `nsctl exec`.
def _interpreter_of_script(start: bytes) -> str:
    if not start.startswith(b"#!"):
        return ""
    line = start[2:].partition(b"\n")[0].replace(b"\t", b" ").lstrip(b" ")
    return os.fsdecode(line.partition(b" ")[0])


def _loader_of_elf(start: bytes) -> str:
    # Compilers put its path right behind the headers, ended by a null.
    texts = start.split(b"\0")[1:-1] if start.startswith(b"\x7fELF") else []
    for text in texts:
        is_word = all(ord("!") <= byte <= ord("~") for byte in text)
        if text.startswith(b"/") and b"/ld" in text[1:] and is_word:
            return os.fsdecode(text)
    return ""


def _start_of(path: str) -> bytes:
    """The start of a file that no link of /proc leads to. Raises KernelError."""
    fd = files.openat2(
        files.AT_FDCWD,
        path,
        flags=os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY,
        resolve=files.RESOLVE_NO_MAGICLINKS,
    )
    try:
        return os.read(fd, _START) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
