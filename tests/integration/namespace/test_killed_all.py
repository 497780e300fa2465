# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a namespace with force: all that lives in it ends, whatever it forks."""

from __future__ import annotations

import os
import subprocess
import time

import fork_bombs
import pytest
from command import Nsctl
from named_namespaces import NewName
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import kill

# More of them leave dead ones faster than some inits reap them, until no process on the machine gets a pid.
BOMBS = int(os.environ.get("FORK_BOMBS", "50"))
# In seconds: what a removal may take beside that many.
BOUND = 20.0


@pytest.mark.parametrize("form", fork_bombs.FORMS)
@pytest.mark.parametrize("kinds", [["mnt"], ["mnt", "pid"]], ids="+".join)
@pytest.mark.parametrize("by", ["absent", "down"])
def test_those_that_keep_forking(
    by: str, kinds: list[str], form: str, run_module: RunModule, new_name: NewName, nsctl: Nsctl
) -> None:
    name = new_name()
    created = run_module("ns_namespace", {"name": name, "kinds": kinds})
    assert created["changed"], created
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    assert (
        nsctl.start("exec", name, "--", *fork_bombs.words(BOMBS, form, name), **silent).wait() == 0
    )
    with kill.before_all_others():
        assert fork_bombs.have_begun(name)
    begin = time.monotonic()
    if by == "down":
        nsctl("down", "--force", name)
    else:
        done = run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
        assert done["actions"][0].startswith("kill "), done
    assert time.monotonic() - begin < BOUND
    assert fork_bombs.ended(name) == []
