# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Doing many jobs in a few processes at once. Their answers travel as JSON.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import contextlib
import json
import math
import os
import selectors
import signal
import time
import typing as t

from .. import actions
from ..syscalls import processes

# More than there are processors: who waits for a disk or for systemd leaves one to others.
_A_PROCESSOR = 2
_MOST = 16
# With a limit, so that a few that hang leave some to others.
_LEAST_WITH_LIMIT = 8
# epoll_wait(2) takes no longer than some days.
_LONGEST_WAIT = 3600.0


def run(
    jobs: int, do: t.Callable[[int], t.Any], *, limit: float | None = None
) -> list[t.Any | None]:
    """What ``do`` answers for each number below ``jobs``, in that order.

    None where its process ended before it had answered, or somebody killed it; another one does the
    next job. A job that raises is one that ends its process, which ``do`` sees to. Who waits for this
    ends with all of them.

    With a ``limit`` for each job, in seconds, the process of one that takes longer is killed. It is
    not waited for: one that hangs in the kernel does not even end when it is killed. SIGTERM then
    ends all of them, and this with the answers that there are; so call it in the main thread.
    """
    with begun(jobs, do, limit=limit) as answers:
        return answers()


@contextlib.contextmanager
def begun(
    jobs: int, do: t.Callable[[int], t.Any], *, limit: float | None = None
) -> t.Iterator[t.Callable[[], list[t.Any | None]]]:
    """The same, for who has something else to do until then: what is yielded waits for the answers."""
    answers: list[t.Any | None] = [None] * jobs
    waiting = collections.deque(range(jobs))
    at_once = _A_PROCESSOR * len(os.sched_getaffinity(0))
    at_once = min(_MOST, at_once if limit is None else max(at_once, _LEAST_WITH_LIMIT))
    with contextlib.ExitStack() as stack:
        told = -1 if limit is None else stack.enter_context(_told_of_sigterm())
        pool = stack.enter_context(_Pool(do, math.inf if limit is None else limit, told))

        def give() -> None:
            while waiting and len(pool.busy) < at_once:
                pool.give(waiting.popleft())

        def wait() -> list[t.Any | None]:
            while not pool.is_over and (waiting or pool.busy):
                for job, answer in pool.answered():
                    answers[job] = answer
                give()
            return answers

        give()
        yield wait


@contextlib.contextmanager
def _told_of_sigterm() -> t.Iterator[int]:
    """A descriptor that can be read once this process got SIGTERM, of which it does not end."""
    told, tell = os.pipe()

    def note(*_about: object) -> None:
        os.write(tell, b"\n")

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
        os.close(told)
        os.close(tell)


class _Pool:
    """The processes. When the block ends, so do they."""

    def __init__(self, do: t.Callable[[int], t.Any], limit: float, told: int) -> None:
        self._do = do
        self._limit = limit
        # Whoever writes there wants this to end; -1: nobody does.
        self._told = told
        self.is_over = False
        # By the descriptor that their answers come from.
        self.busy: dict[int, _Worker] = {}
        self._idle: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        if told >= 0:
            self._selector.register(told, selectors.EVENT_READ)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_about: object) -> None:
        self._selector.close()
        for worker in self.busy.values():
            worker.kill()
        for worker in self._idle:
            worker.end()

    def give(self, job: int) -> None:
        """Have somebody do the job, for whom there is a new process if need be."""
        worker = self._idle.pop() if self._idle else _Worker(self._do, [*self.busy.values()])
        self.busy[worker.answers] = worker
        self._selector.register(worker.answers, selectors.EVENT_READ)
        worker.give(job, time.monotonic() + self._limit)

    def answered(self) -> t.Iterator[tuple[int, t.Any | None]]:
        """Wait for somebody; the jobs that came to an end, and the answers."""
        nearest = min(worker.deadline for worker in self.busy.values()) - time.monotonic()
        events = self._selector.select(min(max(0.0, nearest), _LONGEST_WAIT))
        ready = {key.fd for key, _events in events}
        self.is_over = self._told in ready
        for answers, worker in [*self.busy.items()]:
            if answers in ready:
                if not worker.receive():
                    continue
            elif time.monotonic() < worker.deadline:
                continue
            self._selector.unregister(answers)
            del self.busy[answers]
            if worker.has_answered:
                self._idle.append(worker)
            elif worker.has_ended:
                worker.end()
            else:
                worker.kill()
            yield worker.job, worker.answer()


class _Worker:
    """A process that does one job after the other."""

    def __init__(self, do: t.Callable[[int], t.Any], others: t.Sequence[_Worker]) -> None:
        its_jobs, self._jobs = os.pipe()
        self.answers, its_answers = os.pipe()
        self.job = -1
        # By time.monotonic().
        self.deadline = math.inf
        # What it has said of its job so far: a line, in the end.
        self._said = b""
        self.has_answered = self.has_ended = False
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            os.close(its_jobs)
            os.close(its_answers)
            return
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for each in (self, *others):  # which end when nobody could give them a job any more
                os.close(each._jobs)
                os.close(each.answers)
            processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
            actions.note_worker()
            if os.getppid() == parent:
                _work(its_jobs, its_answers, do)
                status = 0
        finally:
            os._exit(status)

    def give(self, job: int, deadline: float) -> None:
        """Have it do the job; it is free for one."""
        self.job, self.deadline = job, deadline
        self._said, self.has_answered = b"", False
        with contextlib.suppress(BrokenPipeError):  # it has ended: so says what is read of it
            os.write(self._jobs, b"%d\n" % job)

    def receive(self) -> bool:
        """Read on; whether it is done with its job, or has ended."""
        chunk = os.read(self.answers, 65536)
        self._said += chunk
        self.has_answered, self.has_ended = chunk.endswith(b"\n"), not chunk
        return self.has_answered or self.has_ended

    def answer(self) -> t.Any | None:
        """What it answered; None where it did not."""
        return json.loads(self._said) if self.has_answered else None

    def end(self) -> None:
        """Wait for its end, when it has nothing to do."""
        self._close()
        os.waitpid(self._pid, 0)

    def kill(self) -> None:
        """Kill it, and with it what is to end when it does."""
        os.kill(self._pid, signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        os.close(self._jobs)
        os.close(self.answers)


def _work(jobs: int, answers: int, do: t.Callable[[int], t.Any]) -> None:
    with open(jobs, encoding="ascii") as listed:
        for job in listed:
            message = json.dumps(do(int(job))).encode() + b"\n"
            while message:
                message = message[os.write(answers, message) :]
