# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition file with mistakes in it: it is refused as a whole, with the place, and nothing changes."""

from __future__ import annotations

import json
import os
import pathlib
import re
import typing as t

import pytest
from command import Nsctl
from fuzzing import NUMBERS, TEXTS, VALUES, bounded, fuzz, no_defect, places_in
from host_state import host_state
from hypothesis import strategies as st
from results import RunModule
from written_definition import BOXED, FRONT, written

from ansible_collections.linux.namespaces.plugins.module_utils import _definition
from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl as package
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import apply
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    definition_list,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.definition_request import (
    How,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    definition,
    table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.printable import printable

Document = dict[str, t.Any]
Place = tuple[t.Any, ...]
# Of what a person reads, in characters.
LONGEST = 600
ODD_CHARACTERS = ("\0", "\n", "\ud800", "\x1b[2J", "\N{ARABIC-INDIC DIGIT ONE}")
OTHER_VALUES = (
    VALUES
    | st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300, -0.5, *NUMBERS])
    | st.sampled_from([*TEXTS, "tmpfs", "mnt", "/mnt", "fuzz-front", "none"])
    | st.integers(5, 40).map(lambda depth: json.loads("[" * depth + "]" * depth))
)


class Mutated(t.NamedTuple):
    document: t.Any
    # What was changed.
    places: list[Place]

    @property
    def is_within(self) -> bool:
        """Whether all of it stands in entries of the list."""
        return all(len(each) > 1 and each[0] == "namespaces" for each in self.places)


@st.composite
def mutated(draw: st.DrawFn) -> Mutated:
    """The whole definition with one mistake, or two."""
    document: t.Any = written()
    places = []
    for _mistake in range(draw(st.sampled_from([1, 1, 1, 2]))):
        known = places_in(document)
        # Few are the whole, or a whole namespace.
        place = draw(st.sampled_from([each for each in known if len(each) > 2] or known))
        if draw(st.integers(0, 19)) == 0:
            place = draw(st.sampled_from([each for each in known if len(each) <= 2]))
        document = _changed(draw, document, place)
        places.append(place)
    return Mutated(document, places)


def _changed(draw: st.DrawFn, document: t.Any, place: Place) -> t.Any:
    if not place:
        return draw(OTHER_VALUES)
    key, *rest = place
    copy = dict(document) if isinstance(document, dict) else list(document)
    if rest:
        copy[key] = _changed(draw, copy[key], tuple(rest))
        return copy
    how = draw(st.sampled_from(["other", "other", "text", "text", "gone", "again", "name"]))
    if how == "gone":
        del copy[key]
    elif how == "again" and isinstance(copy, list):
        copy.insert(draw(st.integers(0, len(copy))), copy[key])
    elif how in ("again", "name") and isinstance(copy, dict):
        word = draw(st.sampled_from(TEXTS) | _misspelt(str(key)))
        copy[word] = copy.pop(key) if how == "name" else copy[key]
    elif how == "text" and isinstance(copy[key], str):
        copy[key] = draw(_misspelt(copy[key]))
    else:
        copy[key] = draw(OTHER_VALUES)
    return copy


@st.composite
def _misspelt(draw: st.DrawFn, word: str) -> str:
    at = draw(st.integers(0, max(len(word) - 1, 0)))
    odd = draw(
        st.sampled_from(
            [
                "x",
                "/",
                "../",
                "\0",
                "\n",
                "\ud800",
                "\x1b[2J",
                "\N{ARABIC-INDIC DIGIT ONE}",
                " ",
                ",",
            ]
        )
    )
    return draw(
        st.sampled_from(
            [
                word[:at] + word[at + 1 :],
                word[:at] + word[at : at + 1] * 2 + word[at + 1 :],
                word[:at] + odd + word[at:],
                word.upper(),
                word.lstrip("/"),
                f"{word}/",
                f"/{word}",
                word * 100,
                "/",
            ]
        )
    )


def by_nsctl(document: t.Any) -> definition_list.Wish:
    return apply.wish_of(document)


def by_module(document: t.Any) -> definition_list.Wish:
    return _definition.wish_of({"state": "present", "exclusive": False, **document})


def is_told(error: Refused, case: Mutated) -> None:
    """A person who reads it in one line of a terminal finds the place."""
    for text in (error.reason, error.hint):
        assert printable(text) == text
        assert len(text) < LONGEST, text
    if case.is_within:
        assert re.search(r"namespaces\[\d+\]", error.reason), error.reason
    no_defect(error.reason)
    # Whatever a secret has become, or was written in its place.
    assert "hush" not in error.reason + error.hint


def test_all_options_are_in_it() -> None:
    """A table that stands in two places is one."""
    tables: list[tuple[table.Table, list[t.Any]]] = []

    def gather(options: table.Table, given: list[t.Any]) -> None:
        same = [found for known, found in tables if known is options]
        if same:
            same[0].extend(given)
        else:
            tables.append((options, [*given]))
        for name, option in options.items():
            there = [each[name] for each in given if each.get(name) is not None]
            if "options" in option:
                is_list = option["type"] == "list"
                gather(option["options"], [x for each in there for x in each] if is_list else there)

    gather(definition.FILE, [written()])
    for options, given in tables:
        for name in options:
            assert any(each.get(name) is not None for each in given), name
    assert len(by_nsctl(written()).requests) == len(by_module(written()).requests) == 9


@fuzz(1_000, case=mutated())
def test_it_is_read_or_refused_with_its_place(case: Mutated) -> None:
    read = [by_nsctl]
    if isinstance(case.document, dict) and set(case.document) == {"namespaces", "exclusive"}:
        read.append(by_module)
    for each in read:
        try:
            with bounded():
                each(case.document)
        except Refused as error:
            is_told(error, case)


@pytest.fixture
def made(run_module: RunModule) -> t.Iterator[None]:
    """Two of its namespaces, so that there is something that could change."""
    wanted = {"namespaces": [FRONT, BOXED]}
    done = run_module("ns_definition", wanted)
    assert not done.get("failed"), done
    yield
    gone = run_module("ns_definition", {**wanted, "state": "absent", "force": True})
    assert not gone.get("failed"), gone


def everything() -> dict[str, list[str]]:
    homes = [name for name in os.listdir("/var/lib") if "fuzz" in name]
    return {**host_state(), "homes": sorted(homes)}


@pytest.mark.usefixtures("made")
@fuzz(60, case=mutated())
def test_nothing_changes_on_a_host(case: Mutated) -> None:
    """As the verbs diff and apply have it, in this process; the latter only for what is refused."""
    before = everything()
    try:
        with bounded(seconds=60):
            wish = by_nsctl(case.document)
            results, _host = definition_list.run(wish, How(check=True), package)
            no_defect([each.failure for each in results])
    except Refused as error:
        is_told(error, case)
    assert everything() == before


@pytest.mark.usefixtures("made")
@fuzz(6, case=mutated())
def test_nothing_changes_by_the_command(
    case: Mutated, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    before = everything()
    file = tmp_path / "definition.json"
    file.write_text(json.dumps(case.document))
    try:
        by_nsctl(case.document)
        verbs = [["diff"], ["apply", "--check"]]
    except Refused:
        verbs = [["diff"], ["apply"]]
    for words in verbs:
        with bounded(seconds=60):
            said = nsctl(*words, str(file), code=None)
        no_defect(said)
        assert said.returncode in (0, 1), said
        assert said.stderr == "" or said.stderr.startswith("nsctl "), said
    assert everything() == before


@pytest.mark.usefixtures("made")
@fuzz(30, case=mutated())
def test_nothing_changes_by_the_module(case: Mutated, run_module: RunModule) -> None:
    """Ansible reads it first, and takes some of it otherwise: texts for objects, and what is not said."""
    if not isinstance(case.document, dict):
        return
    before = everything()
    result = run_module("ns_definition", case.document, check=True)
    assert everything() == before
    no_defect(result)
    assert result.get("msg") or not result.get("failed"), result
    if result.get("failed") and "namespaces" not in result:
        is_told(Refused(result.get("reason", result["msg"]), result.get("hint", "")), case)
        again = run_module("ns_definition", case.document)
        assert again["failed"], again
        assert everything() == before
