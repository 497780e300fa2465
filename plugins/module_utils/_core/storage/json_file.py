# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of ours that hold a JSON object, for people to read and mend.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import os
import stat
import typing as t

from . import atomic


def read(path: str) -> dict[str, t.Any] | None:
    """The object in the file, None where there is none. Raises ValueError for anything else."""
    try:
        # O_NONBLOCK: to open a FIFO would wait for somebody who writes to it.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.lexists(path):
            raise ValueError("it is a link to nothing") from None
        return None
    # Not by open(), which refuses a directory in its own way.
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no file")
        with open(fd, encoding="utf-8", closefd=False) as file:
            content = json.load(file)
    finally:
        os.close(fd)
    if not isinstance(content, dict):
        raise ValueError(f"it holds {type(content).__name__}, not an object")
    return content


def write(path: str, content: t.Mapping[str, t.Any]) -> None:
    """Write the object, readable by root alone, as atomic.write() does. Raises OSError."""
    text = json.dumps(content, indent=2, ensure_ascii=True) + "\n"
    atomic.write(path, text, mode=0o600)
