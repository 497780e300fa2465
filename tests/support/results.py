# SPDX-License-Identifier: GPL-3.0-or-later
"""Running modules: what the fixtures run_module and converge of conftest.py take and return."""

from __future__ import annotations

import typing as t

Result = dict[str, t.Any]


class RunModule(t.Protocol):
    def __call__(
        self,
        name: str,
        args: dict[str, t.Any],
        *,
        check: bool = False,
        env: dict[str, str] | None = None,
        user: int | None = None,
    ) -> Result: ...


class Converge(t.Protocol):
    def __call__(
        self, name: str, args: dict[str, t.Any], *, env: dict[str, str] | None = None
    ) -> Result: ...


def has_diff(result: Result) -> bool:
    """Whether a result shows a difference; modules that run a program have none to show."""
    if "diff" not in result:
        return bool(result["changed"])
    return bool(result["diff"]["before"] != result["diff"]["after"])


def is_failure(result: Result, reason: str, hint: str) -> None:
    """Assert that it failed, with these in its reason and its hint."""
    assert result.get("failed"), result
    assert reason in result["reason"]
    assert hint in result["hint"]
    assert "Traceback" not in str(result)
