# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is kept of the host's forwarding until it ends, in /run: for which namespaces what was changed, and how
it was before.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .. import host_paths
from ..definition.data import Fields, unreadable
from ..definition.part import Part
from ..errors import Refused
from ..storage import atomic, json_file
from .firewall import Way


@dataclasses.dataclass(frozen=True)
class Entry(Part):
    """What a namespace has of the host."""

    ways: tuple[Way, ...] = dataclasses.field(default=(), metadata={"of": Way})
    # Of its table, as it was written and as nft shows it; empty until it is.
    seal: str = ""
    # The names of kernel parameters.
    settings: tuple[str, ...] = ()
    # The interfaces on which answers for ::1 are taken.
    answers: tuple[str, ...] = ()
    # The ports of bridges that hand on what is for the host.
    ports: tuple[str, ...] = ()


class Ledger(t.NamedTuple):
    """All that was changed."""

    # By the name of the namespace.
    entries: dict[str, Entry]
    # The values of kernel parameters before.
    before: dict[str, str]
    # That of the table of all of them.
    gate: str = ""

    def needed(self) -> set[str]:
        """The kernel parameters that namespaces need."""
        return {key for entry in self.entries.values() for key in entry.settings}

    def answering(self) -> set[str]:
        """The interfaces on which namespaces need answers for ::1."""
        return {dev for entry in self.entries.values() for dev in entry.answers}

    def ways(self) -> list[Way]:
        """Those of all namespaces."""
        return [way for name in sorted(self.entries) for way in self.entries[name].ways]


def read() -> Ledger:
    """What is kept. Raises Refused."""
    path = host_paths.FORWARDING
    try:
        found = json_file.read(path)
        if found is None:
            return Ledger({}, {})
        fields = Fields(found, "the file")
        entries = {
            name: Entry.from_data(each, f"namespace {name}")
            for name, each in fields.take("namespaces", dict).items()
        }
        before = {key: str(value) for key, value in fields.take("before", dict).items()}
        gate = fields.text("gate", "")
        fields.done()
        return Ledger(entries, before, gate)
    except ValueError as error:
        raise Refused(
            f"{path} is damaged: {error}",
            "Remove it: what it says is known again after the next run for each namespace.",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def write(ledger: Ledger) -> None:
    """Keep it; the lock is held. Raises OSError."""
    if not ledger.entries and not ledger.before:
        atomic.remove(host_paths.FORWARDING)
        return
    data = {
        "namespaces": {name: entry.to_data() for name, entry in ledger.entries.items()},
        "before": ledger.before,
        "gate": ledger.gate,
    }
    json_file.write(host_paths.FORWARDING, data)
