# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual of nsctl: all verbs, and all of their options."""

from __future__ import annotations

import re

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import exec_enter, manual

VERBS = (
    *("list", "show", "enter", "exec", "service", "logs"),
    *("up", "down", "apply", "diff", "export", "adopt"),
)


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


def test_the_manual_knows_all_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option that a verb reads is in its manual, and the other way round."""
    known = {
        "list": {"json"},
        "show": {"json"},
        "up": {"all", "check", "json", "timeout"},
        "down": {"all", "check", "force", "json"},
        "exec": {*exec_enter.SWITCHES, *exec_enter.VALUES},
        "enter": {*exec_enter.SWITCHES, *exec_enter.VALUES},
        "service": {"reload", "clear"},
        "logs": {"follow", "lines"},
        "apply": {"check", "recreate", "force", "json"},
        "diff": {"recreate", "force", "json"},
        "export": set(),
        "adopt": {"from", "pid", "machine", "unit", "fstab", "keep"},
    }
    for verb, options in known.items():
        manual.show(verb)
        text = capsys.readouterr().out
        named = set(re.findall(r"^    (?:.*, )?--([a-z-]+)", text, re.MULTILINE))
        named |= set(re.findall(r"--([a-z-]+) [A-Z]+", text))
        assert named == options, verb
        if verb in ("exec", "enter"):
            assert ", ".join(kinds.IN_PLACE) in " ".join(text.split())
