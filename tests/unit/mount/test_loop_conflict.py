# SPDX-License-Identifier: GPL-3.0-or-later
"""Which loop devices of one image may be there at once."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import loop_conflict
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.compare import (
    LoopDevice,
    Part,
)


def device(part: Part, *, read_only: bool = False) -> LoopDevice:
    return LoopDevice("7:3", "/dev/loop3", read_only=read_only, autoclear=True, part=part)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Part(), Part(), True),
        (Part(), Part(4096, 512), True),
        (Part(0, 4096), Part(4096), False),
        (Part(0, 4097), Part(4096), True),
        (Part(4096, 4096), Part(0, 4096), False),
        (Part(4096, 4096), Part(8191, 1), True),
        (Part(4096, 4096), Part(8192, 1), False),
        (Part(8192), Part(4096), True),
    ],
)
def test_overlapping(one: Part, other: Part, overlap: bool) -> None:
    for there, wanted in ((one, other), (other, one)):
        assert bool(loop_conflict.overlapping([device(there)], wanted)) == overlap


@pytest.mark.parametrize(
    ("there", "wanted", "may_be_read", "reason"),
    [
        (device(Part()), Part(), False, ""),
        (device(Part(), read_only=True), Part(), True, ""),
        (device(Part(), read_only=True), Part(), False, "/dev/loop3 shows /i already, and can only"),
        (device(Part(512)), Part(), True,
         "/dev/loop3 shows all from byte 512 on of /i already, which overlaps all:"),
        (device(Part()), Part(512, 1024), True,
         "/dev/loop3 shows all of /i already, which overlaps 1024 bytes from byte 512 on:"),
    ],
)  # fmt: skip
def test_what_may_be(there: LoopDevice, wanted: Part, may_be_read: bool, reason: str) -> None:
    try:
        loop_conflict.check([there], wanted, "/i", may_be_read=may_be_read)
        found = ""
    except Refused as refused:
        found = refused.reason
    assert found.startswith(reason)
    assert bool(found) == bool(reason)
