# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a long run must not have more of at its end."""

from __future__ import annotations

import os
import pathlib

from host_state import host_state, names_below

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

Census = dict[str, list[str]]


def census(*, home: str) -> Census:
    """What there is on the host, by what it is: all but what lies below ``home``."""
    found = dict(host_state())
    found["files"] = [
        path
        for place in ("/run", "/etc", "/var/log", "/var/cache")
        for path in names_below(place)
        if not path.startswith(("/run/tests", home))
    ]
    found["loop devices"] = sorted(
        text
        for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
        if home in (text := path.read_text())
    )
    pids = _pids_here()
    found["descriptors"] = [f"{pid}: {len(_names_in(f'/proc/{pid}/fd'))}" for pid in pids]
    found["processes"] = sorted(pids.values())
    found["namespaces"] = sorted(
        {
            f"{kind} {number}"
            for pid in pids
            for kind, number in proc.ids_of_process(pid, kinds.NAMES).items()
        }
    )
    return found


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:  # the process has ended since
        return []


def _pids_here() -> dict[int, str]:
    """The living processes of our mount namespace, which no other test shares."""
    found = {}
    own = proc.ids_of_process("self", ["mnt"])
    for pid in proc.all_pids():
        if proc.ids_of_process(pid, ["mnt"]) == own:
            facts = proc.process_facts(pid)
            if facts is not None and facts.state not in "ZX":
                found[pid] = facts.command
    return found


def differences(before: Census, after: Census) -> dict[str, tuple[list[str], list[str]]]:
    """What has gone, and what has come, where they differ."""
    return {
        what: (
            [each for each in before[what] if each not in there],
            [each for each in there if each not in before[what]],
        )
        for what, there in after.items()
        if there != before[what]
    }
