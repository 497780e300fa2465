# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual of nsctl: all verbs, and all of their options."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds, nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import (
    exec_words,
    manual,
    page,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl.arguments import Verb

VERBS = nsctl.VERBS


def test_every_verb_is_known() -> None:
    assert [verb.name for verb in manual.verbs()] == list(VERBS)
    assert nsctl.known("nosuch") is None


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_the_manual(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert manual.show(verb) == 0
    text = capsys.readouterr().out
    title = f"nsctl {verb}".strip()
    assert text.startswith(f"NAME\n    {title} - ")
    assert "\nSYNOPSIS\n" in text
    assert "\nEXIT STATUS\n" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    for each in VERBS if not verb else ():
        assert f"    nsctl {each} " in text


@pytest.mark.parametrize("verb", manual.verbs(), ids=lambda verb: verb.name)
def test_every_option_is_explained(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    manual.show(verb.name)
    listed = capsys.readouterr().out.split("\nOPTIONS\n")[-1]
    for option in verb.options:
        assert re.search(rf"^    (?:.*, )?--{option.word}\b", listed, re.MULTILINE), option.word
    assert not verb.options or verb.options[-1].text


def test_json_has_a_documented_form() -> None:
    for verb in manual.verbs():
        assert ("json" in [option.word for option in verb.options]) <= bool(verb.form), verb.name


def test_kinds_of_a_new_namespace_are_those_there_are() -> None:
    (new,) = [option for option in exec_words.EXEC.options if option.word == "new"]
    assert ", ".join(kinds.IN_PLACE) in " ".join(new.text.split())


def test_the_page_of_the_manual_has_all_verbs() -> None:
    text = page.text()
    for verb in manual.verbs():
        assert f"\n.SS nsctl {verb.name} \\- " in text
    # No line of text is a request that nobody meant.
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".nf", ".fi", ".EX", ".EE"}
    requests = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
    assert requests <= known


def test_the_page_of_the_manual_is_sound(tmp_path: pathlib.Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("there is no groff here, which would read the page")
    file = tmp_path / "nsctl.8"
    file.write_text(page.text())
    argv = ["groff", "-man", "-ww", "-Tutf8", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert not done.stderr
    shown = re.sub("\x1b\\[[0-9;]*m|.\x08", "", done.stdout)
    assert "nsctl tree [--kinds KIND[,KIND...]] [--json] [NAME]" in shown
