# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds, against the headers of the system and the kernel's own files."""

from __future__ import annotations

import itertools
import os
import pathlib
import re

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds

HEADER = pathlib.Path("/usr/include/linux/sched.h")
NAMES_IN_THE_HEADER = {"mnt": "NS"}


def test_the_flags_are_those_of_the_header() -> None:
    if not HEADER.exists():
        pytest.skip(f"{HEADER} is not there: install linux-libc-dev")
    found = dict(re.findall(r"^#define CLONE_NEW(\w+)\s+(0x[0-9a-f]+)", HEADER.read_text(), re.M))
    in_header = {name: int(text, 16) for name, text in found.items()}
    assert in_header == {
        NAMES_IN_THE_HEADER.get(kind.name, kind.name.upper()): kind.flag
        for kind in kinds.KINDS.values()
    }


def test_the_files_are_those_of_the_kernel() -> None:
    there = set(os.listdir("/proc/self/ns"))
    assert set(kinds.NAMES) | {kind.handle for kind in kinds.KINDS.values()} == there


def test_names_are_sorted_and_flags_are_found_again() -> None:
    assert tuple(sorted(kinds.NAMES)) == kinds.NAMES
    for name, kind in kinds.KINDS.items():
        assert kind.name == name
        assert kinds.kind_of_flag(kind.flag) == name
    with pytest.raises(KeyError):
        kinds.kind_of_flag(1)


def test_flags_are_or_ed() -> None:
    assert kinds.flags_of([]) == 0
    for one, other in itertools.permutations(kinds.NAMES, 2):
        both = kinds.flags_of([one, other])
        assert both == kinds.KINDS[one].flag | kinds.KINDS[other].flag
        assert both == kinds.flags_of([one, other, one])


def test_the_order_of_joining() -> None:
    assert kinds.in_join_order(kinds.NAMES, privileged=False)[:2] == ["user", "mnt"]
    assert kinds.in_join_order(kinds.NAMES, privileged=True)[-1] == "user"
    for privileged in (True, False):
        assert sorted(kinds.in_join_order(kinds.NAMES, privileged=privileged)) == sorted(
            kinds.NAMES
        )
        assert kinds.in_join_order(["net", "mnt"], privileged=privileged) == ["mnt", "net"]
