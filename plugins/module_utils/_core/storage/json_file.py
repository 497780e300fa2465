# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of ours that hold a JSON object, for people to read and mend.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import json
import typing as t

from . import atomic


def read(path: str) -> dict[str, t.Any] | None:
    """The object in the file, None where there is none. Raises ValueError for anything else."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(content, dict):
        raise ValueError(f"it holds {type(content).__name__}, not an object")
    return content


def write(path: str, content: t.Mapping[str, t.Any]) -> None:
    """Write the object, readable by root alone, as atomic.write() does. Raises OSError."""
    text = json.dumps(content, indent=2, ensure_ascii=True) + "\n"
    atomic.write(path, text, mode=0o600)
