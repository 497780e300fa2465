# SPDX-License-Identifier: GPL-3.0-or-later
"""Two named namespaces of which one has a kind of the other."""

from __future__ import annotations

import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName, present
from results import Converge, RunModule


class Pair(t.NamedTuple):
    """One that has a net, and one that has that and an mnt of its own."""

    front: str
    shop: str


@pytest.fixture
def names(new_name: NewName, run_module: RunModule) -> t.Iterator[Pair]:
    """Names that go, who shares before who has it."""
    front, shop = new_name(), new_name()
    yield Pair(front, shop)
    for name in (shop, front):
        args = {"name": name, "state": "absent", "force": True}
        assert not run_module("ns_namespace", args).get("failed")


@pytest.fixture
def pair(names: Pair, converge: Converge) -> Pair:
    present(converge, names.front, kinds=["mnt", "net", "ipc"])
    present(converge, names.shop, share={"net": names.front})
    return names


def line_of(nsctl: Nsctl, name: str) -> list[str]:
    return nsctl("list", name).stdout.splitlines()[1].split()
