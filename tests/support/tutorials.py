# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the tutorials share."""

from __future__ import annotations

import os
import pathlib
import typing as t

from results import Result

NewName = t.Callable[[], str]


def ok(result: Result) -> Result:
    assert not result.get("failed"), result
    return result


def id_of(path: str | pathlib.Path) -> int:
    return os.stat(path).st_ino
