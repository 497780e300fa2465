# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recorded steps can still be carried out once a namespace was pivoted."""

from __future__ import annotations

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    Step,
)

STEPS: tuple[Step, ...] = (
    MountStep("/opt/outside"),
    MountStep("/srv/web"),
    MountStep("/srv/web/data"),
    PivotStep("/srv/web"),
    MountStep("/later"),
)


def paths(steps: t.Iterable[Step]) -> list[str]:
    return ["pivot" if step.do == "pivot" else step.path for step in steps]


def test_before_the_pivot_everything_is_within_reach() -> None:
    assert Definition("web", steps=STEPS).within_reach([]) == list(STEPS)


def test_after_the_pivot_what_lay_outside_of_the_new_root_is_out_of_reach() -> None:
    found = Definition("web", steps=STEPS).within_reach(["/srv/web"])
    assert paths(found) == ["/srv/web", "/srv/web/data", "pivot", "/later"]


def test_two_pivots() -> None:
    steps = (
        *STEPS,
        MountStep("/inner"),
        PivotStep("/inner"),
        MountStep("/inner/last"),
        MountStep("/last"),
    )
    definition = Definition("web", steps=steps)
    assert paths(definition.within_reach(["/srv/web"]))[-4:] == [
        "/inner",
        "pivot",
        "/inner/last",
        "/last",
    ]
    assert paths(definition.within_reach(["/srv/web", "/inner"])) == [
        "pivot",
        "/inner",
        "pivot",
        "/inner/last",
        "/last",
    ]


def test_unrecorded_steps_count_as_well() -> None:
    definition = Definition("web", steps=STEPS[:4], volatile=(MountStep("/later"),))
    assert paths(definition.within_reach(["/srv/web"]))[-1] == "/later"
