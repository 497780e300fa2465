# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual of nsctl and the completion of shells: they come with it and go with it, with their directories."""

from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import typing as t

import pytest
from host_state import host_state
from results import Converge
from terminals import Terminal

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import ours

NewName = t.Callable[[], str]
PAGES = [
    pathlib.Path(path)
    for path in (host_paths.MANUAL_PAGE, host_paths.BASH_COMPLETION, host_paths.ZSH_COMPLETION)
]


def actions_of(converge: Converge, name: str, **options: t.Any) -> list[str]:
    done = converge("ns_namespace", {"name": name, "kinds": ["uts"], **options})
    return [action for action in done["actions"] if action.endswith("nsctl")]


@pytest.mark.parametrize("is_there", [True, False])
def test_they_come_and_go(is_there: bool, converge: Converge, new_name: NewName) -> None:
    """Directories that were there before stay, be they empty."""
    above = PAGES[0].parent
    before = [each for each in (above, *above.parents) if each.exists()]
    if is_there:
        above.mkdir(parents=True, exist_ok=True)
    was = host_state()["its manual"]
    name = new_name()
    assert actions_of(converge, name) == ["install nsctl"]
    for page in PAGES:
        assert ours.MARK in page.read_text()
        assert stat.S_IMODE(page.stat().st_mode) == 0o644
        assert stat.S_IMODE(page.parent.stat().st_mode) == 0o755
    assert PAGES[2].read_text().startswith("#compdef nsctl\n")
    assert actions_of(converge, name, state="absent") == ["remove nsctl"]
    assert host_state()["its manual"] == was
    while is_there and above not in before:
        above.rmdir()
        above = above.parent


def test_one_that_is_gone_comes_back(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    actions_of(converge, name)
    text = PAGES[1].read_text()
    PAGES[1].write_text("".join(text.splitlines(keepends=True)[:2]))  # up to what was made for it
    beside = pathlib.Path(f"{PAGES[0]}.beside")
    PAGES[0].rename(beside)
    assert actions_of(converge, name) == ["install nsctl"]
    # What was changed by hand is mended as well.
    assert PAGES[1].read_text() == text
    beside.replace(PAGES[0])  # which knows its directories


def test_what_is_somebody_elses_stays(converge: Converge, new_name: NewName) -> None:
    was = host_state()["its manual"]
    made = [each for each in PAGES[1].parents if not each.exists()]
    PAGES[1].parent.mkdir(parents=True, exist_ok=True)
    PAGES[1].write_text("complete -W mine nsctl\n")
    try:
        name = new_name()
        assert actions_of(converge, name) == ["install nsctl"]
        assert actions_of(converge, name) == []
        assert actions_of(converge, name, state="absent") == ["remove nsctl"]
        assert PAGES[1].read_text() == "complete -W mine nsctl\n"
        assert not PAGES[0].exists()
    finally:
        PAGES[1].unlink()
        for each in made:
            each.rmdir()
    assert host_state()["its manual"] == was


def test_shells_complete_by_them(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    actions_of(converge, name)
    script = f"source {PAGES[1]}; COMP_WORDS=(nsctl show {name[:3]}); COMP_CWORD=2; _nsctl; echo ${{COMPREPLY[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{name}\n"
    if not os.path.exists("/usr/bin/zsh"):
        pytest.skip("there is no zsh here, which would complete as well")
    with Terminal("zsh", "-f", "-i", size=(24, 150)) as shell:
        paths = f"fpath=({PAGES[2].parent} $fpath)"
        shell.type(f"{paths}; autoload -Uz compinit; compinit -u -D; echo rea''dy\n")
        shell.until("ready", seconds=60)
        shell.type(f"nsctl show {name[:3]}\t")
        shell.until(f"nsctl show {name}", seconds=60)
        shell.type("\x15nsctl tree --kinds=cg\t")
        shell.until("--kinds=cgroup", seconds=60)
