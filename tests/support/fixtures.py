# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that every folder of tests against the kernel takes into its conftest.py."""

from __future__ import annotations

import itertools
import os
import typing as t

import own_host
import pytest
from host_state import host_state
from module_server import Server
from results import Result, RunModule

_NUMBERS = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def host() -> None:
    """The mount namespace that the tests take for the host's."""
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root: they make namespaces and mounts", 1)
    own_host.enter()


@pytest.fixture(scope="session")
def server() -> t.Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(autouse=True)
def host_unchanged() -> t.Iterator[None]:
    """Fail the test that leaves a mount, a pin, a definition or a unit on the host."""
    before = host_state()
    yield
    after = host_state()
    for what, there in after.items():
        assert there == before[what], f"the test changed the host's {what}"


def module_runner(server: Server) -> RunModule:
    """What the fixture run_module is, by this server."""

    def run(
        name: str,
        args: dict[str, t.Any],
        *,
        check: bool = False,
        env: dict[str, str] | None = None,
        user: int | None = None,
    ) -> Result:
        arguments = {**args, "_ansible_check_mode": check, "_ansible_diff": True}
        return server.run(name, arguments, env=env or {}, user=user)

    return run


@pytest.fixture(scope="session")
def run_module(server: Server) -> RunModule:
    """Run a module as Ansible does: ``run_module("ns_mount", {...}, check=True)`` is its result.

    A failure is a result too ("failed": True). With ``user``, a uid, it runs as that user.
    """

    return module_runner(server)


@pytest.fixture
def new_name(run_module: RunModule) -> t.Iterator[t.Callable[[], str]]:
    """Names for named namespaces that no other test has; they are removed with the test."""
    yield from names_removed(run_module)


def names_removed(run_module: RunModule) -> t.Iterator[t.Callable[[], str]]:
    """See new_name."""
    names: list[str] = []

    def new() -> str:
        names.append(f"test{os.getpid()}-{next(_NUMBERS)}")
        return names[-1]

    yield new
    for name in names:
        args = {"name": name, "state": "absent", "force": True}
        assert not run_module("ns_namespace", args).get("failed")
