# SPDX-License-Identifier: GPL-3.0-or-later
"""wrk(1), and what it says at its end of what it saw."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import typing as t

_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
# It asks until it is told to end, but no longer than that, in seconds.
_LONGEST = 300
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


class Wrk(t.NamedTuple):
    """What it saw. It says nothing of errors where there were none."""

    requests: int
    # By their kinds.
    failed: dict[str, int]
    # The slowest request, in milliseconds.
    slowest: float

    @classmethod
    def of(cls, text: str) -> Wrk:
        """From what it printed. Raises ValueError."""
        requests = re.search(r"(\d+) requests in", text)
        latency = re.search(r"Latency +\S+ +\S+ +([\d.]+)(us|ms|s|m) ", text)
        if requests is None or latency is None:
            raise ValueError(text)
        failed = {}
        errors = _ERRORS.search(text)
        if errors is not None:
            names = ("connect", "read", "write", "timeout")
            failed = {name: int(each) for name, each in zip(names, errors.groups()) if each != "0"}
        others = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        if others is not None:
            failed["other answers"] = int(others[1])
        return cls(int(requests[1]), failed, float(latency[1]) * _UNITS[latency[2]])


@contextlib.contextmanager
def asking(
    url: str, *, connections: int = 8, enter: t.Sequence[str] = ()
) -> t.Iterator[t.Callable[[], Wrk]]:
    """Have it ask, on a new connection for each request; what ends it, and gives what it saw.

    A kept connection may be closed by a server just when a request is on its way, which says nothing of gaps.
    ``enter`` are words that run a program elsewhere, as those of nsenter(1).
    """
    argv = [*enter, "wrk", "--threads=1", f"--connections={connections}", "--timeout=10s"]
    argv += [f"--duration={_LONGEST}s", "--header=Connection: close", url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:

        def stop() -> Wrk:
            if process.poll() is not None:
                raise RuntimeError(f"wrk ended by itself: {process.communicate()[0]}")
            process.send_signal(signal.SIGINT)
            return Wrk.of(process.communicate()[0])

        try:
            yield stop
        finally:
            process.kill()
