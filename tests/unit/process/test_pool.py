# SPDX-License-Identifier: GPL-3.0-or-later
"""Many jobs in a few processes: what they answer, and what becomes of those that do not."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import pool

# More than there are processes at once.
MANY = 100
# What is long enough for those that hang to have started.
SHORT = 1.0
LIMITS = pytest.mark.parametrize("limit", [None, 60.0, float("inf")])


class Notes:
    """What jobs write down, a line each."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def add(self, number: int) -> None:
        os.write(self._writer, b"%d\n" % number)

    def numbers(self) -> list[int]:
        """All of them. It waits for the end of all who could write more."""
        os.close(self._writer)
        with open(self._reader, "rb") as written:
            return [int(line) for line in written]


@LIMITS
def test_they_answer_in_order_from_a_few_processes(limit: float | None) -> None:
    def do(number: int) -> list[t.Any]:
        return [number, os.getpid(), "line\nof its own"]

    answers = pool.run(MANY, do, limit=limit)
    assert [answer[0] for answer in answers] == [*range(MANY)]
    pids = {answer[1] for answer in answers}
    assert len(pids) <= 16
    assert os.getpid() not in pids
    assert {answer[2] for answer in answers} == {"line\nof its own"}
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)


@LIMITS
def test_no_jobs(limit: float | None) -> None:
    assert pool.run(0, str, limit=limit) == []


@LIMITS
def test_a_long_answer(limit: float | None) -> None:
    assert pool.run(2, lambda number: str(number) * 500_000, limit=limit) == [
        "0" * 500_000,
        "1" * 500_000,
    ]


@LIMITS
def test_others_go_on_where_processes_end(limit: float | None) -> None:
    """Also where more do than there are at once."""

    def do(number: int) -> int:
        if number % 3 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if number % 3 == 1:
            os._exit(0)
        return number

    assert pool.run(MANY, do, limit=limit) == [
        number if number % 3 == 2 else None for number in range(MANY)
    ]


def test_those_that_hang_are_killed_and_keep_no_other_waiting() -> None:
    killed = Notes()

    def do(number: int) -> int:
        if number < 3:
            killed.add(os.getpid())
            signal.pause()
        return number

    answers = pool.run(MANY, do, limit=SHORT)
    assert answers == [None, None, None, *range(3, MANY)]
    for pid in killed.numbers():
        _pid, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_the_limit_is_that_of_a_job() -> None:
    """As many as there are at once hang: the others have their time after that."""
    killed = Notes()

    def do(number: int) -> int:
        if number < 16:
            killed.add(os.getpid())
            signal.pause()
        return number

    assert pool.run(20, do, limit=SHORT) == [None] * 16 + [16, 17, 18, 19]
    pids = killed.numbers()
    assert len(set(pids)) == 16
    for pid in pids:
        os.waitpid(pid, 0)


def test_what_it_has_started_ends_with_it() -> None:
    living = Notes()

    def look() -> None:
        living.add(os.getpid())
        signal.pause()

    def do(_number: int) -> None:
        living.add(os.getpid())
        enter.run_inside(look)

    assert pool.run(1, do, limit=SHORT) == [None]
    worker, inside = living.numbers()  # which waits for the end of both
    assert worker != inside
    os.waitpid(worker, 0)


def test_sigterm_ends_all_and_leaves_the_answers() -> None:
    """As when systemd stops who waits for them."""
    before = signal.getsignal(signal.SIGTERM)
    pids = Notes()

    def do(number: int) -> int:
        pids.add(os.getpid())
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        if number == 16:  # some have answered: there are no more at once
            os.kill(os.getppid(), signal.SIGTERM)
        if number >= 16:
            signal.pause()
        return number

    answers = pool.run(MANY, do, limit=float("inf"))
    assert signal.getsignal(signal.SIGTERM) == before
    assert answers[16:] == [None] * (MANY - 16)
    given = {number: answer for number, answer in enumerate(answers) if answer is not None}
    assert given
    assert [*given] == [*given.values()]
    for pid in {*pids.numbers()}:
        with contextlib.suppress(ChildProcessError):  # it had nothing to do, and was waited for
            os.waitpid(pid, 0)
