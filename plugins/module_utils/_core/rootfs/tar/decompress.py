# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading an archive that may be compressed: gzip, xz, bzip2, zstd.

The program decompresses in a process of its own, beside the unpacking, as with tar(1).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import typing as t

from ... import actions
from ...errors import Refused, StepFailed

# So that the two processes take turns less often; the size is what anyone may have by default.
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ has a name since Python 3.10
_PIPE_SIZE = 1 << 20


class _Format(t.NamedTuple):
    """A compression."""

    # What its files start with.
    magic: bytes
    program: str
    # Debian's, of the program.
    package: str
    # Python's own instead of the program; empty where there is none.
    module: str = ""
    # Options of the program, beside -dc.
    words: tuple[str, ...] = ()


# An archive of xz says how much memory it takes to read it, up to 4 GB; `xz -9` asks for 65 MB.
# The others take 8 MB at most, zstd 128.
_MEMORY_LIMIT = 1 << 30
_FORMATS = (
    _Format(b"\x1f\x8b", "gzip", "gzip", "gzip"),
    _Format(b"\xfd7zXZ\0", "xz", "xz-utils", "lzma", (f"--memlimit-decompress={_MEMORY_LIMIT}",)),
    _Format(b"BZh", "bzip2", "bzip2", "bz2"),
    _Format(b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
)


class Decompressed(t.NamedTuple):
    """What is in an archive."""

    # To be read from.
    fd: int
    # Called at the end. Raises Refused unless all of it was good.
    verify: t.Callable[[], None]


@contextlib.contextmanager
def opened(fd: int, *, name: str) -> t.Iterator[Decompressed]:
    """What is in the open archive or pipe ``fd``. Raises Refused where it cannot be read here.

    A pipe is read as it is. Where an archive turns out damaged only afterwards, that is raised in
    place of what came of it.
    """
    form = _format_of(fd)
    if form is None:
        yield Decompressed(fd, lambda: None)
        return
    with tempfile.TemporaryFile() as complaints:
        program = subprocess.Popen(
            _command(form),
            stdin=fd,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,  # without the caller's terminal
        )
        output = t.cast("t.IO[bytes]", program.stdout)
        with contextlib.suppress(OSError):  # more than a plain user may have
            fcntl.fcntl(output, _F_SETPIPE_SZ, _PIPE_SIZE)

        def verify() -> None:
            output.close()
            status = program.wait()
            if status > 0:
                complaints.seek(0)
                said = complaints.read(4096).decode("utf-8", "replace").strip().splitlines()
                raise Refused(
                    f"{name} is damaged: {said[-1] if said else f'{form.program} ended with {status}'}",
                    "Make or fetch it again.",
                )

        try:
            yield Decompressed(output.fileno(), verify)
        except Refused:
            verify()
            raise
        except StepFailed as error:
            if isinstance(error.cause, Refused):
                actions.run(error.step, verify)
            raise
        finally:
            output.close()
            program.kill()
            program.wait()


def is_compressed(fd: int) -> bool:
    """Whether the open file is one of those that opened() decompresses."""
    return _format_of(fd) is not None


def _format_of(fd: int) -> _Format | None:
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return None
    os.lseek(fd, 0, os.SEEK_SET)
    start = os.pread(fd, 8, 0)
    for form in _FORMATS:
        if start.startswith(form.magic):
            return form
    return None


def _command(form: _Format) -> list[str]:
    program = shutil.which(form.program)
    if program is not None:
        return [program, "-dc", *form.words]
    if form.module:
        code = (
            f"import resource, shutil, signal, sys, {form.module} as m; "
            # As a program: it ends without a word when nobody reads on.
            "signal.signal(signal.SIGPIPE, signal.SIG_DFL); "
            f"resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY_LIMIT}, {_MEMORY_LIMIT})); "
            "shutil.copyfileobj(m.open(sys.stdin.buffer), sys.stdout.buffer, 1 << 20)"
        )
        return [sys.executable, "-c", code]
    raise Refused(
        f"the archive is compressed with {form.program}, which this host does not have",
        f"Install the Debian package {form.package}.",
    )
