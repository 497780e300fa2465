# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps go from a definition with the mounts that are unmounted."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
)

MADE = Definition(
    "web",
    steps=(
        MountStep("/srv/beneath"),
        MountStep("/srv"),
        RootStep("/srv", archive="/root.tar"),
        MountStep("/srv/log"),
        MountStep("/srv/log/old"),
        MountStep("/srvs"),
    ),
)
ON_LOG = ["the mount on /srv/log/old"]
ON_SRV = ["the root at /srv", "the mount on /srv/log", *ON_LOG]


@pytest.mark.parametrize(
    ("unmounted", "below", "named", "expected"),
    [
        # What was mounted earlier lies beneath, and is there again.
        (["/srv"], "", (), ["the mount on /srv", *ON_SRV]),
        (["/srv"], "", ["/srv"], ON_SRV),
        (["/srv/log"], "", ["/srv/log"], ON_LOG),
        (["/srv/log"], "", ["/srv/log", "/srv/log/old"], []),
        (["/nosuch"], "", ["/nosuch"], []),
        ([], "/srv", ["/srv/beneath"], ["the mount on /srv/log", *ON_LOG]),
        ([], "/srv/log", [], ON_LOG),
        ([], "/srv", ["/srv/log", "/srv/beneath"], ON_LOG),
        # A root that was unpacked beside it stays.
        ([], "/", ["/srv", "/srv/beneath", "/srvs"], ["the mount on /srv/log", *ON_LOG]),
    ],
)
def test_gone_with(unmounted: list[str], below: str, named: list[str], expected: list[str]) -> None:
    gone = MADE.gone_with(unmounted, exclusive_below=below, named=named)
    assert [step.title for step in gone] == expected


def test_one_that_does_not_last_has_what_does() -> None:
    """It stands after it in the list, whichever came first."""
    made = MADE.replace(volatile=(MountStep("/tmp"),), steps=(MountStep("/tmp/lasts"),))
    gone = made.gone_with(["/tmp"], exclusive_below="", named=["/tmp"])
    assert [step.title for step in gone] == ["the mount on /tmp/lasts"]


def test_after_a_pivot() -> None:
    """A place is meant, by whichever of its names; what the pivot left behind is none."""
    made = MADE.replace(steps=(*MADE.steps, PivotStep("/srv"), MountStep("/log/new")))
    for path in ("/srv/log", "/log"):
        gone = made.gone_with([path], exclusive_below="", named=[path])
        assert [step.title for step in gone] == [*ON_LOG, "the mount on /log/new"]
