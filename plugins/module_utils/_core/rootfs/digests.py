# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Digests of what roots are made of: sha256: and 64 hexadecimal digits.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t

from ..errors import Refused

_FORM = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CHUNK = 1 << 20


def is_digest(text: str) -> bool:
    """Whether the text has the form of a digest."""
    return _FORM.match(text) is not None


def checked(digest: str) -> str:
    """``digest`` in lower case, when it can be one. Raises Refused."""
    digest = digest.lower()
    if not is_digest(digest):
        raise Refused(f"digest must be sha256: and 64 hexadecimal digits, not {digest!r}")
    return digest


def of_file(fd: int, *, is_wanted: t.Callable[[], bool] = lambda: True) -> str:
    """The digest of the content of the open file, wherever its offset is; "" when not wanted.

    ``is_wanted`` is asked again and again. Raises OSError.
    """
    digest = hashlib.sha256()
    position = 0
    while chunk := os.pread(fd, _CHUNK, position):
        if not is_wanted():
            return ""
        digest.update(chunk)
        position += len(chunk)
    return f"sha256:{digest.hexdigest()}"


def of_specification(specification: t.Mapping[str, t.Any]) -> str:
    """The digest of what describes a root that is made, not unpacked."""
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def stamp(fd: int) -> dict[str, int]:
    """What tells that the open file is the one of an earlier run, without reading it."""
    status = os.fstat(fd)
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
    }
