# SPDX-License-Identifier: GPL-3.0-or-later
"""Which recorded steps can still be carried out once a namespace was pivoted."""

from __future__ import annotations

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import Definition


def mount(path: str) -> dict[str, t.Any]:
    return {"do": "mount", "path": path, "src": "", "fstype": "tmpfs", "opts": []}


def pivot(new_root: str) -> dict[str, t.Any]:
    return {"do": "pivot", "new_root": new_root}


STEPS = [
    mount("/opt/outside"),
    mount("/srv/web"),
    mount("/srv/web/data"),
    pivot("/srv/web"),
    mount("/later"),
]


def paths(steps: list[dict[str, t.Any]]) -> list[str]:
    return [step.get("path", "pivot") for step in steps]


def test_before_the_pivot_everything_is_within_reach() -> None:
    assert Definition("web", steps=STEPS).within_reach([]) == STEPS


def test_after_the_pivot_what_lay_outside_of_the_new_root_is_out_of_reach() -> None:
    found = Definition("web", steps=STEPS).within_reach(["/srv/web"])
    assert paths(found) == ["/srv/web", "/srv/web/data", "pivot", "/later"]


def test_two_pivots() -> None:
    steps = [*STEPS, mount("/inner"), pivot("/inner"), mount("/inner/last"), mount("/last")]
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
    definition = Definition("web", steps=STEPS[:4], volatile=[mount("/later")])
    assert paths(definition.within_reach(["/srv/web"]))[-1] == "/later"
