# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run and ns_setns_run as tests call them."""

from __future__ import annotations

import typing as t

from results import Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

ALL_KINDS = list(kinds.NAMES)
OLDER = {"LINUX_NAMESPACES_ABSENT_CALLS": "mount_setattr clone3 close_range"}
Run = t.Callable[..., Result]


def succeeding(run_module: RunModule, module: str) -> Run:
    """Run the module: keywords are its options, ``argv`` first; it must succeed."""

    def run(
        *argv: str,
        check: bool = False,
        env: dict[str, str] | None = None,
        as_user: int | None = None,
        **options: t.Any,
    ) -> Result:
        args = {**({"argv": list(argv)} if argv else {}), **options}
        result = run_module(module, args, check=check, env=env, user=as_user)
        assert not result.get("failed"), result["msg"]
        result["stdout_lines"] = result["stdout"].splitlines()  # as Ansible adds it
        return result

    return run


def failing(run_module: RunModule, module: str) -> Run:
    """Run the module, which must fail."""

    def run(
        *argv: str,
        env: dict[str, str] | None = None,
        as_user: int | None = None,
        **options: t.Any,
    ) -> Result:
        args = {**({"argv": list(argv)} if argv else {}), **options}
        result = run_module(module, args, env=env, user=as_user)
        assert result.get("failed"), result
        return result

    return run


def timed_out(run: Run, *argv: str, **options: t.Any) -> Result:
    """Run a program that says "begun" when it has come to what only a timeout ends.

    The shortest timeout is tried that lets it come so far: on a busy host that is a longer one.
    The result is that of the last try, and has its ``timeout``.
    """
    for timeout in (0.5, 2.5, 12.5):
        result = {**run(*argv, **options, timeout=timeout), "timeout": timeout}
        if "begun" in result["stdout"]:
            break
    return result


def living(marker: str) -> list[int]:
    """The processes in whose command line the marker stands."""
    found = []
    for pid in proc.all_pids():
        facts = proc.process_facts(pid)
        if facts is not None and marker in facts.command and facts.state != "Z":
            found.append(pid)
    return found
