# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is on the block devices of the host, as libblkid finds it: blkid(8) of util-linux.

What it prints of labels and the like is whatever somebody has written to a disk. So only names of
devices are read here, and words that are libblkid's own.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t

from ..errors import Refused

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
# A device that does not answer would be waited for without end, in seconds.
_PATIENCE = 60.0
_NOTHING_FOUND = 2
_SEVERAL = 8
# The fields of Content, as blkid calls them.
_READ = {
    "type": "TYPE",
    "usage": "USAGE",
    "partitions": "PTTYPE",
    "uuid": "UUID",
    "uuid_of_part": "UUID_SUB",
}


class Content(t.NamedTuple):
    """What is on a device, or in an image. All empty: nothing that libblkid knows."""

    # As libblkid calls it: ext4, crypto_LUKS.
    type: str = ""
    # filesystem, raid, crypto, other.
    usage: str = ""
    # Of a table of partitions: gpt, dos.
    partitions: str = ""
    uuid: str = ""
    # Of one of several devices of a file system.
    uuid_of_part: str = ""
    # Whether there are signatures of several file systems at once.
    is_ambiguous: bool = False


def devices_with(name: str, value: str, *, among: t.Sequence[str] = ()) -> list[str]:
    """The paths of the devices on which the tag ``name`` has this value, sorted.

    Of all that the kernel has, but for removable ones (libblkid), or ``among`` these. Raises Refused.
    """
    # Nothing is read from the cache, and nothing left in it. Within the quotes all is taken as it is.
    words = ["--cache-file", "/dev/null", "-t", f'{name}="{value}"', "-o", "device", *among]
    _status, said = _ask(words)
    return sorted({line for line in said.split("\n") if line.startswith("/")})


def content_of(fd: int, *, offset: int = 0, size: int = 0) -> Content:
    """What is on the open device or in the open file, from ``offset`` on, in bytes.

    ``size`` 0 is all up to the end. Raises Refused.
    """
    words = ["-p", "-o", "export", *(word for key in _READ.values() for word in ("-s", key))]
    words += ["-O", str(offset)] if offset else []
    words += ["-S", str(size)] if size else []
    status, said = _ask([*words, f"/proc/self/fd/{fd}"], file=fd)
    found = dict(line.partition("=")[::2] for line in said.split("\n"))
    fields = {field: found.get(key, "") for field, key in _READ.items()}
    return Content(is_ambiguous=status == _SEVERAL, **fields)


def _ask(words: t.Sequence[str], *, file: int = -1) -> tuple[int, str]:
    """How blkid ended, and what it printed. Raises Refused where it cannot tell."""
    try:
        program = subprocess.Popen(
            ["blkid", *words],
            env=_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[file] if file >= 0 else [],
        )
    except OSError as error:
        raise Refused(
            "what is on a device is found out by blkid, which cannot be run on this host: "
            f"{error.strerror}",
            "Install the package util-linux; or name the device and fstype.",
        ) from error
    try:
        output, complaints = program.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        program.kill()
        # It ends when the device has answered.
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.communicate(timeout=1)
        raise Refused(
            f"blkid has not answered within {_PATIENCE:g} seconds: a device does not answer",
            "Name the device and fstype.",
        ) from error
    status = program.returncode
    complaint = os.fsdecode(complaints).strip().partition("\n")[0]
    if status not in (0, _SEVERAL) and (status != _NOTHING_FOUND or complaint):
        raise Refused(
            f"blkid cannot tell what is on the device: {complaint or f'it ended with {status}'}",
            "It takes root, and the blkid of the package util-linux.",
        )
    return status, os.fsdecode(output)
