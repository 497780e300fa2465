# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a module that must succeed, in check mode, in earnest and once more."""

from __future__ import annotations

import typing as t

from host_state import host_state
from results import Converge, Result, RunModule, has_diff


def converging(run_module: RunModule) -> Converge:
    """Run a module that must succeed, and return its result.

    Check mode must predict it without changing the host, and a second run change nothing.
    """

    def run(name: str, args: dict[str, t.Any], *, env: dict[str, str] | None = None) -> Result:
        before = host_state()
        predicted = run_module(name, args, check=True, env=env)
        assert not predicted.get("failed"), predicted["msg"]
        assert host_state() == before
        done = run_module(name, args, env=env)
        assert not done.get("failed"), done["msg"]
        assert predicted["changed"] == done["changed"], (predicted, done)
        assert predicted["actions"] == done["actions"]
        for result in (predicted, done):
            assert has_diff(result) == result["changed"], result
        again = run_module(name, args, env=env)
        assert not again.get("failed"), again
        assert again["actions"] == []
        assert again["changed"] is False
        return done

    return run
