# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach the directories of a test."""

from __future__ import annotations

import pathlib
import stat


def let_everyone_reach(path: pathlib.Path) -> None:
    """Let every user enter the directory and those above it, which pytest makes for us alone."""
    for directory in (path, *path.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(0o755)
