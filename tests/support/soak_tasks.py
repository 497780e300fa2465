# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a soak test that are tasks, and nsctl."""

from __future__ import annotations

import dataclasses
import typing as t

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from soak_draw import BOOLS, KILLS, KINDS, PERSISTENT, RARELY, WHATS, mountable, mounted, on, when
from soak_host import NAMES, SERVICES
from soak_machine import Machine
from soak_model import Model
from soak_parts import ROOT, What


class Tasks(Machine):
    """Whatever the modules and nsctl do."""

    @initialize(each=st.lists(KINDS, min_size=3, max_size=len(NAMES)))
    def begin(self, each: list[frozenset[str]]) -> None:
        """Most of them are there, so that there is something to act on."""
        for name, kinds in zip(NAMES, each):
            wish = {"hostname": None, "loopback": True, "persistent": True}
            args = {"name": name, "kinds": sorted(kinds | {"mnt"})}
            self._task(
                name,
                "ns_namespace",
                args,
                lambda: Model().present(kinds=frozenset(args["kinds"]), **wish),  # noqa: B023
            )

    # --- ns_namespace

    @on(
        kinds=KINDS,
        hostname=st.sampled_from([None, "one", "two"]),
        loopback=BOOLS,
        persistent=RARELY.map(lambda rarely: not rarely),
        recreate=RARELY,
        force=BOOLS,
        kill_at=KILLS,
    )
    def present(
        self, chosen: tuple[str], kinds: frozenset[str], kill_at: int, **options: t.Any
    ) -> None:
        (name,) = chosen
        options["hostname"] = options["hostname"] if "uts" in kinds else None
        options["loopback"] = options["loopback"] or "net" not in kinds
        self._task(
            name,
            "ns_namespace",
            {"name": name, "kinds": sorted(kinds), **options},
            lambda: self.models[name].present(kinds=kinds, **options),
            kill_at=kill_at,
        )

    @on(when(lambda model: model.is_there), force=BOOLS, kill_at=KILLS)
    def absent(self, chosen: tuple[str, bool], force: bool, kill_at: int) -> None:
        name, _is_there = chosen
        self._task(
            name,
            "ns_namespace",
            {"name": name, "state": "absent", "force": force},
            lambda: self.models[name].absent(force=force),
            kill_at=kill_at,
        )

    # --- ns_mount

    @on(mountable, what=WHATS, persistent=PERSISTENT, kill_at=KILLS)
    def mount(
        self, chosen: tuple[str, str], what: What, persistent: bool | None, kill_at: int
    ) -> None:
        name, place = chosen
        self._task(
            name,
            "ns_mount",
            {"namespace": name, "persistent": persistent, **self.host.wanted(place, what)},
            lambda: self.models[name].mounted([(place, what)], persistent=persistent),
            kill_at=kill_at,
        )

    @on(
        when(lambda model: model.can_mount("root") and not model.pivoted),
        whats=st.lists(WHATS, min_size=3, max_size=3),
        exclusive=BOOLS,
        persistent=PERSISTENT,
        kill_at=KILLS,
    )
    def mount_at_once(
        self,
        chosen: tuple[str, bool],
        whats: list[What],
        exclusive: bool,
        persistent: bool | None,
        kill_at: int,
    ) -> None:
        """A tree of three, and with ``exclusive`` nothing else below it."""
        name, _can = chosen
        whats[:2] = [
            dataclasses.replace(what, ro=what.kind in ("overlay", "loop")) for what in whats[:2]
        ]
        wanted = list(zip((ROOT, "root/a", "root/a/in"), whats))
        below = {"exclusive_below": self.host.path(ROOT)} if exclusive else {}
        self._task(
            name,
            "ns_mount",
            {
                "namespace": name,
                "persistent": persistent,
                "mounts": [self.host.wanted(place, what) for place, what in wanted],
                **below,
            },
            lambda: self.models[name].mounted(
                wanted, persistent=persistent, exclusive_below=ROOT if exclusive else ""
            ),
            kill_at=kill_at,
        )

    @on(mounted, ro=BOOLS, kill_at=KILLS)
    def remount(self, chosen: tuple[str, str], ro: bool, kill_at: int) -> None:
        name, place = chosen
        if self.models[name].live[place].kind in ("overlay", "loop"):
            ro = True
        args = {"path": self.host.path(place), "opts": "ro" if ro else "rw", "state": "remounted"}
        self._task(
            name,
            "ns_mount",
            {"namespace": name, **args},
            lambda: self.models[name].remounted(place, ro=ro),
            kill_at=kill_at,
        )

    @on(mounted, kill_at=KILLS)
    def unmount(self, chosen: tuple[str, str], kill_at: int) -> None:
        name, place = chosen
        self._task(
            name,
            "ns_mount",
            {"namespace": name, "path": self.host.path(place), "state": "unmounted"},
            lambda: self.models[name].unmounted(place),
            kill_at=kill_at,
        )

    # --- ns_pivot_root

    @on(when(lambda model: model.can_pivot), keeps=BOOLS, kill_at=KILLS)
    def pivot(self, chosen: tuple[str, bool], keeps: bool, kill_at: int) -> None:
        name, _can = chosen
        model = self.models[name]
        keeps = keeps and ROOT in model.live and model.live[ROOT].kind not in ("tmpfs", "foreign")
        put_old = {"put_old": self.host.path("root/old")} if keeps else {}
        self._task(
            name,
            "ns_pivot_root",
            {"namespace": name, "new_root": self.host.path(ROOT), **put_old},
            lambda: model.pivoted_to_root(keeps=keeps),
            kill_at=kill_at,
        )

    # --- ns_service

    @on(
        when(lambda model: model.is_open and model.has_program),
        service=st.sampled_from(SERVICES),
        state=st.sampled_from(["started", "started", "stopped", "restarted", "reloaded", "absent"]),
        program=st.sampled_from([0, 0, 1, None]),
        kill_at=KILLS,
    )
    def service(
        self, chosen: tuple[str, bool], service: str, state: str, program: int | None, kill_at: int
    ) -> None:
        name, _is_open = chosen
        args: dict[str, t.Any] = {"name": service, "namespace": name, "state": state}
        if program is not None:
            args["argv"] = self.host.argv(name, service, program)
        self._task(
            name,
            "ns_service",
            {**args, "supervisor": "none", "reload": {"signal": "CONT"}},
            lambda: self.models[name].service(service, state, program),
            acts_always=state in ("restarted", "reloaded"),
            kill_at=kill_at,
        )

    # --- ns_rootfs

    @rule(
        name=st.sampled_from(NAMES),
        source=st.sampled_from(["directory", "archive"]),
        number=st.sampled_from([0, 1, None]),
        kill_at=KILLS,
    )
    def rootfs(self, name: str, source: str, number: int | None, kill_at: int) -> None:
        """A root on the host for each name; number None is none."""
        path = self.host.home / "roots" / name
        args: dict[str, t.Any] = {"path": str(path), "state": "absent"}
        if number is not None:
            args = {"path": str(path), source: self.host.source_of_root(source, number)}
        wanted = None if number is None else (source, number)
        self._is_settled = False
        self.roots[name] = self.host.run(
            "ns_rootfs",
            args,
            before=self.roots[name],
            promise=lambda: wanted,
            kill_at=kill_at,
        )
        there = {} if wanted is None else {name: f"src{number}"}
        assert self.host.roots(name) == there
        self._is_settled = True

    # --- programs that end

    @rule(kinds=KINDS)
    def unshare_run(self, kinds: frozenset[str]) -> None:
        mount = {**self.host.wanted("out", What("tmpfs")), "opts": "size=1m"}
        mounts = {"mounts": [mount]} if "mnt" in kinds else {}
        self.host.run_program("ns_unshare_run", {"kinds": sorted(kinds), **mounts})

    @on(when(lambda model: model.is_whole and model.has_program))
    def setns_run(self, chosen: tuple[str, bool]) -> None:
        self.host.run_program("ns_setns_run", {"namespace": chosen[0]})

    @on(when(lambda model: not model.pinned))
    def setns_run_nowhere(self, chosen: tuple[str, bool]) -> None:
        self.host.run_program("ns_setns_run", {"namespace": chosen[0]}, fails=True)

    # --- nsctl

    @on(
        lambda model: (
            ["up"] * model.is_defined + ["down"] * (bool(model.pinned) and model.persistent)
        ),
        force=BOOLS,
    )
    def up_or_down(self, chosen: tuple[str, str], force: bool) -> None:
        name, verb = chosen
        self._is_settled = False
        self.host.counts.add(f"nsctl {verb}")
        model = self.models[name]
        if verb == "up":
            self.host.nsctl("up", name)
            self._settle(name, model.up())
            return
        refuses = bool(model.running) and not force
        self.host.nsctl("down", name, *(["--force"] if force else []), fails=refuses)
        self._settle(name, model if refuses else model.down(force=force))
