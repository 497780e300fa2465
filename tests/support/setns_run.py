# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_setns_run as tests call it."""

from __future__ import annotations

import typing as t

import pytest
from results import RunModule
from run_modules import ALL_KINDS, Run, failing, succeeding

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

NOBODY = 65534
MODULE = "ns_setns_run"
LINKS = tuple(f"/proc/self/ns/{kind}" for kind in ALL_KINDS)


@pytest.fixture
def run(run_module: RunModule) -> Run:
    """Run the module, which must succeed."""
    return succeeding(run_module, MODULE)


@pytest.fixture
def failure(run_module: RunModule) -> Run:
    """Run the module, which must fail."""
    return failing(run_module, MODULE)


def ids_in(lines: t.Iterable[str]) -> dict[str, int]:
    return dict(zip(ALL_KINDS, map(proc.parse_link, lines)))
