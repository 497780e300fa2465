# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Telling our files on the host from those of somebody else.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from ..errors import Refused

# A line of each of them.
MARK = "# Written by the Ansible collection linux.namespaces; what is changed here is lost."


def text_of(path: str) -> str:
    """The text of the file; empty where there is none. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""


def is_ours(path: str) -> bool:
    """Whether there is a file that this collection wrote."""
    return MARK in text_of(path)


def check(path: str) -> None:
    """Raises Refused where there is something that this collection did not write."""
    if os.path.lexists(path) and not is_ours(path):
        raise Refused(
            f"{path} was not written by linux.namespaces", "Move it away, or use persistent: false."
        )
