# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Having the host pass packets on, for a namespace and of it, and ending that: from what is there to what is wanted.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import hashlib
import time
import typing as t

from .. import host_paths
from ..actions import Action, run_all
from ..definition.link import Link
from ..definition.link_checks import is_v6
from ..errors import Refused, StepFailed
from ..namespace import sysctl
from ..storage import lock
from . import firewall, forward_ledger, forward_needs, listeners, observe, past_bridge, tool
from .firewall import Way
from .forward_ledger import Entry, Ledger

# In seconds: another run changes it only for a moment.
_PATIENCE = 60.0


def _setting(name: str, key: str, value: str) -> Action:
    explain = functools.partial(sysctl.explain, key=key, value=value)
    return Action(name, functools.partial(sysctl.write_anyhow, key, value), explain)


class _Work:
    """What is to be done for one namespace, and the record of it that is kept meanwhile."""

    def __init__(self, name: str, links: t.Sequence[Link], was: Ledger, net: int) -> None:
        self.name = name
        self._net = net
        self.ledger = was._replace(entries={**was.entries}, before={**was.before})
        self._host = observe.interfaces(net)
        defaults = observe.defaults(net) if links else set()
        ways = tuple(firewall.way_of(link, self._bridge_of(link)) for link in links)
        needs = forward_needs.of(ways, self._host, defaults, self.ledger.before)
        old = self.ledger.entries.pop(name, None)
        self._old = old or Entry()
        self._ports = dict(needs.ports)
        self._entry = Entry(
            ways, self._old.seal, tuple(needs.settings), needs.answers, tuple(self._ports)
        )
        if ways:
            self.ledger.entries[name] = self._entry
        self._missing: dict[str, str] = {}
        for key, value in needs.settings.items():
            there = forward_needs.value_of(key)
            if there != value:
                self._missing[key] = value
                self.ledger.before.setdefault(key, there)
        # Whether the record is not as it is to be.
        self.is_due = old != (self._entry if ways else None)

    def _bridge_of(self, link: Link) -> tuple[str, ...]:
        found = self._host.get(link.peer.bridge) if link.peer is not None else None
        return found.addresses if found is not None else ()

    def actions(self) -> list[Action]:
        """What is to be done, in an order in which nothing is open that should not be."""
        found = self._tables()
        for key, value in self._missing.items():
            found.append(_setting(f"set {key} to {value}", key, value))
        for dev in self._entry.answers:
            if not self._is_answering(dev):
                line = f"route add local ::1 dev {dev} table local proto static"
                found.append(Action(f"take answers for ::1 on {dev}", self._batch(line)))
        for port, bridge in self._ports.items():
            if not past_bridge.is_there(port, bridge, net=self._net):
                own = [
                    text.partition("/")[0] for text in self._host[bridge].addresses if is_v6(text)
                ]
                begin = functools.partial(past_bridge.begin, port, bridge, own, net=self._net)
                found.append(Action(f"have {port} hand answers for ::1 to {bridge}", begin))
        found += self._back()
        if not self._entry.ways and self._old.ways and self._listing(firewall.table_of(self.name)):
            found.append(self._removal(firewall.table_of(self.name)))
        if not firewall.gate_of(self.ledger.ways(), self._opened()) and self.ledger.gate:
            found.append(self._removal(firewall.GATE))
        return found

    @property
    def ways(self) -> tuple[Way, ...]:
        """How the host is to get to the namespace."""
        return self._entry.ways

    def _tables(self) -> list[Action]:
        found = []
        if self._entry.ways:
            rules = firewall.rules_of(self.name, self._entry.ways)
            found += self._written(firewall.table_of(self.name), rules, self._entry.seal)
        gate = firewall.gate_of(self.ledger.ways(), self._opened())
        return found + (self._written(firewall.GATE, gate, self.ledger.gate) if gate else [])

    def _written(self, table: str, rules: str, seal: str) -> list[Action]:
        if seal and seal == _seal(rules, self._listing(table)):
            return []

        def load() -> None:
            tool.change(["nft", "-f", "-"], net=self._net, given=rules)
            made = _seal(rules, self._listing(table))
            if table == firewall.GATE:
                self.ledger = self.ledger._replace(gate=made)
            else:
                self._entry = self._entry.replace(seal=made)
                self.ledger.entries[self.name] = self._entry

        return [Action(f"write the table inet {table}", load)]

    def _removal(self, table: str) -> Action:
        def remove() -> None:
            # It is no fault where somebody has removed it before.
            given = f"table inet {table}\ndelete table inet {table}\n"
            tool.change(["nft", "-f", "-"], net=self._net, given=given)
            if table == firewall.GATE:
                self.ledger = self.ledger._replace(gate="")

        return Action(f"remove the table inet {table}", remove)

    def _back(self) -> list[Action]:
        """What is as before again, since nobody needs it otherwise any more."""
        found = []
        for dev in self._old.answers:
            if dev not in self.ledger.answering() and self._is_answering(dev):
                line = f"route del local ::1 dev {dev} table local"
                found.append(Action(f"take no answers for ::1 on {dev}", self._batch(line)))
        for port in self._old.ports:
            if port not in self._ports and port in self._host:
                end = functools.partial(past_bridge.end, port, net=self._net)
                found.append(Action(f"have {port} hand on nothing more", end))
        # Backwards: while packets are passed on a route from a router is not to be lost.
        for key in reversed([*self.ledger.before]):
            if key in self.ledger.needed():
                continue
            value = self.ledger.before.pop(key)
            if forward_needs.is_gone(key) or forward_needs.is_general(key):
                continue
            if forward_needs.value_of(key) != value:
                found.append(_setting(f"set {key} back to {value}", key, value))
        return found

    def _opened(self) -> list[firewall.Opened]:
        still = {
            key: value for key, value in self.ledger.before.items() if key in self.ledger.needed()
        }
        return forward_needs.opened(still, self._host)

    def _listing(self, table: str) -> str:
        status, said, _complaints = tool.run(
            ["nft", "-j", "list", "table", "inet", table], net=self._net
        )
        return said if status == 0 else ""

    def _is_answering(self, dev: str) -> bool:
        line = f"route show table local ::1 dev {dev}"
        try:
            return bool(tool.answers([line], net=self._net, words=["-6"])[0])
        except tool.Failed:
            return False

    def _batch(self, line: str) -> t.Callable[[], None]:
        return functools.partial(tool.batch, [line], net=self._net, words=["-6"])


def _seal(rules: str, listing: str) -> str:
    return hashlib.sha256(f"{rules}\0{listing}".encode()).hexdigest() if listing else ""


def planned(name: str, links: t.Iterable[Link], net: int) -> list[str]:
    """The names of what is to be done so that the host passes on what these interfaces say, and no more.

    ``net`` is the open file of the host's network namespace. Raises Refused, tool.Failed, OSError.
    """
    forwarded = _forwarded(links)
    was = forward_ledger.read()
    if not forwarded and name not in was.entries:
        return []
    if forwarded:
        tool.path_of("nft")
    work = _Work(name, forwarded, was, net)
    listeners.check(name, work.ways, was, net=net)
    return [action.name for action in work.actions()] or (
        [f"record how the host gets to {name}"] if work.is_due else []
    )


def carry_out(name: str, links: t.Iterable[Link], net: int) -> None:
    """Do it, as the host is by then. Raises Refused, StepFailed, OSError."""
    deadline = time.monotonic() + _PATIENCE
    with lock.file(host_paths.FORWARDING_LOCK, deadline=deadline):
        was = forward_ledger.read()
        work = _Work(name, _forwarded(links), was, net)
        actions = work.actions()
        # First what was before, and what it is for: whoever comes after a killed run has it from here.
        forward_ledger.write(
            Ledger(
                {**was.entries, **work.ledger.entries},
                {**was.before, **work.ledger.before},
                was.gate,
            )
        )
        for action in actions:
            try:
                run_all([action], check=False)
            except tool.Failed as error:
                reason = f"it says: {error.complaints}"
                raise StepFailed(action.name, Refused(reason), reason) from error
        forward_ledger.write(work.ledger)


def _forwarded(links: t.Iterable[Link]) -> list[Link]:
    return [link for link in links if link.is_forwarded]
