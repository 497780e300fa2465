# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl top: what named namespaces and their services use.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import sys
import time
import typing as t

from ..facts import summary, usage
from ..operations import namespace_state, restore
from ..printable import Shown
from . import say, say_data
from .arguments import JSON, Given, Option, Verb, WrongUsage, seconds
from .columns import columns

VERB = Verb(
    "top",
    "what named namespaces and their services use",
    operands="[NAME...]",
    text="""\
Prints a line for each name and each of its services, those that use most time
of processors first: how many processes live there, how much memory and how
much time of processors they use, and how often systemd has started a service
again. Of a service its cgroup tells, also of what has ended; of what else
lives inside the processes do, and memory that they share counts for each.

CPU is the time since they began; with --interval it is how much of one
processor they have used since the last time, in percent.
""",
    options=(
        Option(
            "interval",
            "SECONDS",
            "Look again each so many seconds, until interrupted. A terminal is\ncleared each time.",
        ),
        JSON,
    ),
    form="""\
A list of dictionaries, with --interval one a line each time: name, processes
(how many), memory (bytes), cpu (seconds), restarts, and services, a list of the
same (restarts is null where nobody starts it again).
""",
    exits="0 when printed, 1 where a name is unknown, 2 for wrong usage.",
)

_TITLES = ("NAME", "PROCESSES", "MEMORY", "CPU", "RESTARTS")
_CLEAR = "\x1b[H\x1b[2J"
_UNITS = ("B", "K", "M", "G", "T")


def run(_verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, OSError."""
    interval = seconds(given.last("interval") or "0")
    if "interval" in given.values and not interval:
        raise WrongUsage("an interval takes some time")
    for name in given.operands:
        if not summary.is_known(name):
            raise restore.unknown(name)
    before: dict[tuple[str, str], float] = {}
    with contextlib.suppress(KeyboardInterrupt):  # how one ends it that looks again
        while True:
            found = usage.of_many(given.operands or namespace_state.known_names())
            if "json" in given.switches:
                say_data(found)
            elif found:
                clear = [Shown(_CLEAR)] if interval and sys.stdout.isatty() else []
                say(*clear, *_shown(found, before, interval))
            if not interval:
                break
            before = {row[:2]: row[2]["cpu"] for row in _rows(found)}
            sys.stdout.flush()
            time.sleep(interval)
    return 0


def _rows(found: t.Iterable[dict[str, t.Any]]) -> t.Iterator[tuple[str, str, dict[str, t.Any]]]:
    """Of each and its services the name, the service or nothing, and what it uses."""
    for each in sorted(found, key=lambda one: -one["cpu"]):
        yield each["name"], "", each
        for service in sorted(each["services"], key=lambda one: -one["cpu"]):
            yield each["name"], service["name"], service


def _shown(
    found: t.Sequence[dict[str, t.Any]], before: t.Mapping[tuple[str, str], float], interval: float
) -> list[Shown]:
    rows: list[tuple[str, ...]] = [_TITLES]
    for name, service, used in _rows(found):
        was = before.get((name, service))
        cpu = _time(used["cpu"])
        if was is not None:
            cpu = f"{max(0.0, used['cpu'] - was) / interval * 100:.1f}%"
        restarts = "-" if used["restarts"] is None else str(used["restarts"])
        title = f"  {service}" if service else name
        rows.append((title, str(used["processes"]), _size(used["memory"]), cpu, restarts))
    return columns(rows, has_titles=True)


def _size(number: float) -> str:
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return (
        f"{number:.0f}{_UNITS[unit]}" if number >= 10 or not unit else f"{number:.1f}{_UNITS[unit]}"
    )


def _time(number: float) -> str:
    if number < 60:
        return f"{number:.2f}s"
    minutes, rest = divmod(int(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
