# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of capabilities against the kernel's own header, and its spellings."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import capabilities

HEADER = pathlib.Path("/usr/include/linux/capability.h")


@pytest.mark.parametrize("spelling", ["net_raw", "NET_RAW", "cap_net_raw", "CAP_NET_RAW"])
def test_spellings_of_one_capability_are_the_same_bit(spelling: str) -> None:
    assert capabilities.mask_of([spelling]) == 1 << 13


def test_the_last_capability_of_the_table_is_the_last_of_linux_5_9() -> None:
    assert capabilities.mask_of(["checkpoint_restore"]) == 1 << 40
    assert len(capabilities.NAMES) == len(set(capabilities.NAMES)) == 41


def test_names_and_bits_are_each_other_s_inverse() -> None:
    assert capabilities.mask_of([]) == 0
    assert capabilities.names_of(0) == []
    every = (1 << 41) - 1
    assert capabilities.mask_of(capabilities.names_of(every)) == every
    assert capabilities.names_of(every) == list(capabilities.NAMES)


def test_a_capability_of_a_later_kernel_is_shown_by_its_number() -> None:
    assert capabilities.names_of(1 << 60) == ["cap_60"]


@pytest.mark.parametrize("name", ["", "cap_", "net-raw", "root", "all", "41", "cap_cap_chown"])
def test_what_is_no_capability_is_refused_and_the_names_are_listed(name: str) -> None:
    with pytest.raises(Refused) as refused:
        capabilities.mask_of(["chown", name])
    assert repr(name) in refused.value.reason
    assert "net_bind_service" in refused.value.hint


@pytest.mark.skipif(not HEADER.exists(), reason="the kernel's headers (linux-libc-dev) are missing")
def test_the_table_is_the_one_of_the_kernel_s_header() -> None:
    found = re.findall(r"^#define CAP_([A-Z_]+)\s+(\d+)$", HEADER.read_text(), re.MULTILINE)
    header = {name.lower(): int(number) for name, number in found}
    assert header == {name: number for number, name in enumerate(capabilities.NAMES)}
