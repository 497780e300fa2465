# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of interfaces have a network of their own for that of the host."""

from __future__ import annotations

import typing as t

import network
import pytest
from convergence import converging
from fixtures import module_runner, names_removed
from module_server import Server
from results import Converge, RunModule


@pytest.fixture(scope="module", autouse=True)
def host_network() -> t.Iterator[None]:
    """The network namespace that the tests of a file take for the host's."""
    with network.own_network():
        yield


@pytest.fixture(scope="module")
def server() -> t.Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def run_module(server: Server) -> RunModule:
    return module_runner(server)


@pytest.fixture(scope="module")
def converge(run_module: RunModule) -> Converge:
    return converging(run_module)


@pytest.fixture
def new_name(run_module: RunModule) -> t.Iterator[t.Callable[[], str]]:
    yield from names_removed(run_module)


@pytest.fixture(autouse=True)
def network_unchanged() -> t.Iterator[None]:
    """Fail the test that leaves an interface, an address, a route or a rule on the host."""
    before = network.state()
    yield
    assert network.state() == before
