# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of nsctl share."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from command import Nsctl
from held import mounted
from results import RunModule
from terminals import Terminal

Make = t.Callable[..., str]


@pytest.fixture
def namespace(run_module: RunModule, new_name: t.Callable[[], str]) -> Make:
    """Make a named namespace of these kinds, until the end of the test."""

    def make(*kinds: str, persistent: bool = False) -> str:
        name = new_name()
        args = {"name": name, "kinds": list(kinds), "persistent": persistent}
        assert run_module("ns_namespace", args)["changed"]
        return name

    return make


@pytest.fixture(params=[("mnt",), ("mnt", "pid")], ids="+".join)
def inside(request: pytest.FixtureRequest, nsctl: Nsctl, namespace: Make) -> str:
    """The words that run a program inside a named namespace, as a child of ours or not."""
    return f"{nsctl.path} exec {namespace(*request.param)} --"


@pytest.fixture
def data(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A file system of its own on the host, with a file in it."""
    with mounted(tmp_path / "data") as path:
        (path / "file").write_text("something")
        yield path


@pytest.fixture
def terminal() -> t.Iterator[Terminal]:
    """A shell of the host at its prompt."""
    with Terminal() as made:
        made.prompt()
        yield made
