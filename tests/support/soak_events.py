# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a soak test that happen to the modules: what people do by hand, reboots."""

from __future__ import annotations

import os
import pathlib

import soak_drift as drift
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from reboots import reboot
from results import RunModule
from run_modules import living
from soak_draw import BOOLS, DAMAGES, changeable_by_hand, on
from soak_host import Host
from soak_tasks import Tasks


class Everything(Tasks):
    """Tasks, with that between."""

    # --- what people do by hand

    @on(changeable_by_hand, how=st.sampled_from(["umount", "mount", "ro", "rw"]))
    def mounts_change(self, chosen: tuple[str, str], how: str) -> None:
        name, place = chosen
        model = self.models[name]
        if how == "umount":
            drift.unmount(self.host, name, model, place)
            after = model.unmounted_by_hand(place)
        elif how == "mount":
            drift.mount(self.host, name, model, place)
            after = model.mounted_by_hand(place)
        else:
            ro = how == "ro" or model.live[place].kind in ("overlay", "loop")
            drift.set_flag(self.host, name, model, place, ro=ro)
            after = model.flag_set_by_hand(place, ro=ro)
        self._by_hand(how, name, after)

    @on(lambda model: [how for how in DAMAGES if how in model.damages])
    def namespaces_change(self, chosen: tuple[str, str]) -> None:
        name, how = chosen
        model = self.models[name]
        if how == "hostname":
            drift.set_hostname(name)
            after = model.hostname_set_by_hand(drift.HOSTNAME)
        elif how == "lo":
            drift.set_lo_down(name)
            after = model.lo_set_down_by_hand()
        elif how == "ip netns del":
            drift.delete_from_ip_netns(name)
            after = model.deleted_from_ip_netns()
        elif how == "holder":
            drift.kill_holder(name)
            after = model.holder_killed()
        else:
            drift.unpin(name, how)
            after = model.unpinned_by_hand(how)
        self._by_hand(f"damage {how}", name, after)

    @on(lambda model: sorted(name for name, each in model.services.items() if each.runs))
    def service_dies(self, chosen: tuple[str, str]) -> None:
        name, service = chosen
        model = self.models[name]
        drift.kill_program(self.host.argv(name, service, model.services[service].program))
        self._by_hand("kill a service", name, model.service_killed(service))

    @precondition(lambda self: any(model.pinned for model in self.models.values()))
    @rule(everything_comes_up=BOOLS)
    def reboot(self, everything_comes_up: bool) -> None:
        self.host.counts.add("reboot")
        self._is_settled = False
        drift.kill(*living(self.host.marker))
        if os.path.isdir("/run/linux-namespaces"):
            reboot()
        for name, model in self.models.items():
            after = model.rebooted()
            self.models[name] = after.up() if everything_comes_up and after.is_defined else after
        if everything_comes_up:
            self.host.nsctl("up", "--all")
        for name, model in self.models.items():
            self._settle(name, model)


def bound_to(run_module: RunModule, home: pathlib.Path) -> type[Everything]:
    """The machine, acting on a host by ``run_module``, with its sources in ``home``."""

    class Bound(Everything):
        pass

    Bound.host = Host(run_module, home)
    Bound.run_module = staticmethod(run_module)  # type: ignore[assignment]
    return Bound
