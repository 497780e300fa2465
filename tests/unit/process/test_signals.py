# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals in the words of tasks, images and systemd."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import signals

FIRST, LAST = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
WORDS = {
    "HUP": 1, "hup": 1, "SIGHUP": 1, "sighup": 1, "SigHup": 1, "1": 1, "CLD": 17, "POLL": 29,
    "RTMIN": FIRST, "SIGRTMIN": FIRST, "RTMIN+0": FIRST, "SIGRTMIN+3": FIRST + 3,
    "sigrtmin+3": FIRST + 3, "RTMIN+3": FIRST + 3, "RTMAX": LAST, "SIGRTMAX-2": LAST - 2,
    "RTMAX-0": LAST, f"RTMIN+{LAST - FIRST}": LAST, f"RTMAX-{LAST - FIRST}": FIRST,
    "32": 32, "33": 33, "37": 37, "64": 64,
}  # fmt: skip
NONE = [
    "", "SIG", "SIGSIGHUP", "HUPSIG", "SIG_DFL", "0", "65", "-1", "+1", "1.0", " 1", "1 ", "\u0661",
    "9" * 5000, "RTMIN+", "RTMIN-1", "RTMAX+1", "RTMIN3", "RTMIN+-1", "RTMIN++1", "RTMIN+99",
    "RTMIN+31", "RTMAX-31", "RTMIN+\u0663", "HUP+1", "HUP\n", "TERM\nUser=root", "\u017fighup",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word(word: str) -> None:
    number = signals.number_of(word)
    assert number == WORDS[word]
    for known in (signals.name_of(number), signals.word_of(word)):
        assert signals.number_of(known) == number
    assert signals.word_of(signals.word_of(word)) == signals.word_of(word)
    assert not signals.word_of(word).startswith("SIG")


@pytest.mark.parametrize("word", NONE)
def test_what_is_no_signal(word: str) -> None:
    with pytest.raises(Refused, match="is not a signal") as refused:
        signals.number_of(word)
    assert len(str(refused.value)) < 200


def test_every_signal_has_one_name() -> None:
    names = [signals.name_of(number) for number in range(1, signal.NSIG)]
    assert len(set(names)) == len(names)
    assert [signals.number_of(name) for name in names] == list(range(1, signal.NSIG))
    assert names[FIRST + 2] == "SIGRTMIN+3"
