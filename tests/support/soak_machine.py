# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine of a soak test, without its rules: it takes a step, looks, and clears away."""

from __future__ import annotations

import typing as t

from census import Census, census, differences
from cgroups_seen import noted_for
from hypothesis.stateful import RuleBasedStateMachine
from results import RunModule
from run_modules import living
from soak_host import NAMES, Host
from soak_look import compare, compare_list
from soak_model import Model
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pid_holder
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import cgroup, watch


class Machine(RuleBasedStateMachine):
    """Bind it to a host with bound_to()."""

    host: Host
    run_module: RunModule

    def __init__(self) -> None:
        super().__init__()
        self.models = {name: Model() for name in NAMES}
        # What each root on the host is made of.
        self.roots: dict[str, tuple[str, int] | None] = dict.fromkeys(NAMES)
        self._before = self._census()
        self._holders: set[watch.Running] = set()
        # The names of the cgroups that were seen: they are drawn by lot, and noted while they are there.
        self._cgroups: set[str] = set()
        self._is_settled = True

    def _census(self) -> Census:
        return census(home=str(self.host.home))

    def teardown(self) -> None:
        """All names go, and with them all that was made."""
        for name in NAMES:
            args = {"name": name, "state": "absent", "force": True}
            gone = self.run_module("ns_namespace", args)
            assert not gone.get("failed"), gone
            args = {"path": str(self.host.home / "roots" / name), "state": "absent"}
            gone = self.run_module("ns_rootfs", args)
            assert not gone.get("failed"), gone
        if self._is_settled:
            # It has let go of its namespaces, and may take a moment to be gone.
            assert wait_until(lambda: not any(map(watch.is_alive, self._holders)), seconds=5)
            assert not living(self.host.marker)
            assert wait_until(lambda: self._cgroups_left() == [], seconds=5), self._cgroups_left()
            assert self.host.roots("") == {}
            assert wait_until(lambda: self._census() == self._before, seconds=5), differences(
                self._before, self._census()
            )

    def _cgroups_left(self) -> list[str]:
        return [place for name in self._cgroups for place in cgroup.directories(name)]

    def _task(
        self,
        name: str,
        module: str,
        args: dict[str, t.Any],
        promise: t.Callable[[], Model],
        **how: t.Any,
    ) -> None:
        self._is_settled = False
        self._settle(
            name, self.host.run(module, args, before=self.models[name], promise=promise, **how)
        )

    def _by_hand(self, what: str, name: str, model: Model) -> None:
        self.host.counts.add(f"by hand: {what}")
        self._settle(name, model)

    def _settle(self, name: str, model: Model) -> None:
        """Take the model for what is there, and look whether it is."""
        self._is_settled = False
        self.models[name] = model
        holder = pid_holder.pid_of(name)
        if holder is not None:
            self._holders.add(watch.identify(holder))
        self._cgroups |= noted_for(name)
        compare(self.host, self.run_module, name, model)
        compare_list(self.host, self.models)
        self._is_settled = True
