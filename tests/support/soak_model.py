# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules promise of a named namespace: a model of it, without a kernel.

A Model is what one name should be (the definition) and what there is of it (live). Each method is
a task, or something that happens: it answers the model afterwards, or raises Refusal where the
task must fail and change nothing. A task is to report a change exactly when the model changes.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from soak_parts import ABOVE, AROUND_HOLDER, OUT, PIVOT, PLACES, ROOT, Refusal, Service, Step, What


@dataclasses.dataclass
class Model:
    """One name. It is not changed: each method answers another one."""

    # --- the definition
    is_defined: bool = False
    persistent: bool = False
    kinds: frozenset[str] = frozenset()
    hostname: str | None = None
    loopback: bool = True
    # Those that last come first.
    steps: tuple[Step, ...] = ()
    # --- what there is
    pinned: frozenset[str] = frozenset()
    # Which kinds the holder of the pid namespace lives in; None where it is dead.
    holder_in: frozenset[str] | None = None
    # None: that of the host.
    hostname_now: str | None = None
    lo_is_up: bool = False
    in_ip_netns: bool = False
    live: dict[str, What] = dataclasses.field(default_factory=dict)
    # Whether it was pivoted, and how: "", "gone", or "kept", of the old root.
    pivoted: str = ""
    services: dict[str, Service] = dataclasses.field(default_factory=dict)
    # The services whose output is kept.
    logs: frozenset[str] = frozenset()

    def _copy(self, **changes: t.Any) -> Model:
        return dataclasses.replace(copy.deepcopy(self), **changes)

    # --- asking

    @property
    def is_there(self) -> bool:
        """Whether anything is kept for the name."""
        return self.is_defined or bool(self.pinned) or bool(self.logs)

    @property
    def is_whole(self) -> bool:
        """Whether all its namespaces live."""
        alive = self.holder_in is not None or "pid" not in self.pinned
        return self.is_defined and self.pinned == self.kinds and alive

    @property
    def running(self) -> int:
        """How many programs of its services run."""
        return sum(service.runs for service in self.services.values())

    @property
    def has_program(self) -> bool:
        """Whether a service finds its program inside."""
        return not self.pivoted or self.live[ROOT].kind != "tmpfs"

    @property
    def damages(self) -> set[str]:
        """What somebody can do to its namespaces: unpin one of a kind, and other things."""
        found = set(self.pinned - {"net", "pid"})
        found |= {"hostname"} if "uts" in self.pinned else set()
        found |= {"lo"} if "net" in self.pinned else set()
        found |= {"ip netns del"} if self.in_ip_netns else set()
        return found | ({"holder"} if self.holder_in is not None else set())

    @property
    def is_open(self) -> bool:
        """Whether tasks can be run inside."""
        return self.is_whole and "mnt" in self.pinned

    @property
    def can_pivot(self) -> bool:
        """Whether a task may ask for it: not where the root is somebody's own."""
        return self.is_open and (ROOT not in self.live or self.live[ROOT].kind != "foreign")

    def can_mount(self, place: str) -> bool:
        """Whether a task may mount there and means the same after a reboot.

        Who mounts below what is to be mounted itself has it covered then.
        """
        if not self.is_open or not self.reaches(place):
            return False
        if place not in self.live:
            known = {*self.live, *(step.place for step in self.steps)}
            if any(self.is_below(each, place) for each in known):
                return False
        above = ABOVE[place]
        if not above:
            return True
        on = self.live.get(above)
        if on is None:
            return self.step_at(above) is None and self.can_mount(above)
        # The place has to be there, or to be made.
        return not (on.kind in ("tmpfs", "foreign") and on.ro)

    def step_at(self, place: str) -> Step | None:
        return next((step for step in self.steps if step.place == place), None)

    def is_below(self, place: str, above: str) -> bool:
        while place:
            place = ABOVE.get(place, "")
            if place == above:
                return True
        return False

    def reaches(self, place: str) -> bool:
        """Whether a path of a task names the place."""
        return not (self.pivoted and place == OUT)

    def rows(self) -> dict[str, str]:
        """The state of each place, as `nsctl show` has it."""
        found = {}
        for step in self.steps:
            if isinstance(step.what, What) and self.reaches(step.place):
                has = self.live.get(step.place)
                if has is None:
                    found[step.place] = "missing"
                else:
                    differs = not has.is_made_of(step.what) or has.changed_into(step.what) != has
                    found[step.place] = "differs" if differs else "ok"
        return {**dict.fromkeys(self.live, "surplus"), **found}

    # --- ns_namespace and nsctl

    def present(
        self,
        *,
        kinds: frozenset[str],
        hostname: str | None,
        loopback: bool,
        persistent: bool,
        recreate: bool = False,
        force: bool = False,
    ) -> Model:
        made = self._copy()
        stuck: frozenset[str] = frozenset()
        if "pid" in kinds and self.holder_in is not None:
            stuck = (self.pinned - kinds) & self.holder_in
        if stuck and not recreate:
            raise Refusal("the holder lives in what is dropped")
        if stuck:
            if self.running and not force:
                raise Refusal("processes")
            made = Model()
        if not made.is_defined:
            made.services = {}
        made.is_defined, made.kinds, made.persistent = True, kinds, persistent
        made.hostname, made.loopback = hostname, loopback
        if not persistent:
            made.steps = tuple(dataclasses.replace(step, lasts=False) for step in made.steps)
        return made._built()

    def _built(self) -> Model:
        """With all the kinds that it should have, and no others."""
        made = self._copy()
        has = made.pinned - ({"pid"} if made.holder_in is None else set())
        missing = made.kinds - has
        if "mnt" in missing | (has - made.kinds):
            made.live, made.pivoted = {}, ""
        if "uts" in missing or "uts" not in made.kinds:
            made.hostname_now = None
        if "net" in missing or "net" not in made.kinds:
            made.lo_is_up = False
        if "pid" in missing:
            made.holder_in = missing | (has & AROUND_HOLDER)
            made._end_services_of_pid_namespace()
        if "pid" not in made.kinds:
            if made.holder_in is not None:
                made._end_services_of_pid_namespace()
            made.holder_in = None
        made.pinned = made.kinds
        made.hostname_now = made.hostname or made.hostname_now
        if "net" in made.kinds:
            made.lo_is_up = made.loopback
        made.in_ip_netns = "net" in made.kinds
        if "mnt" in missing:
            made.steps = tuple(step for step in made.steps if step.lasts)
            made._take_steps()
        return made

    def _end_services_of_pid_namespace(self) -> None:
        self.services = {
            name: dataclasses.replace(service, runs=service.runs and not service.in_pid)
            for name, service in self.services.items()
        }

    def _take_steps(self) -> None:
        """Make it what its steps say."""
        for step in self.steps:
            if isinstance(step.what, What):
                if self.reaches(step.place):
                    self._mount(step.place, step.what)
            elif not self.pivoted:
                self._pivot(keeps=step.what)

    def absent(self, *, force: bool = False) -> Model:
        if self.running and not force:
            raise Refusal("processes")
        return Model()

    def up(self) -> Model:
        if not self.is_defined:
            raise Refusal("unknown")
        made = self._built()
        made._take_steps()
        return made

    def down(self, *, force: bool = False) -> Model:
        if not self.pinned:
            return self._copy()
        if not self.persistent or (self.running and not force):
            raise Refusal("not persistent, or processes")
        return self.rebooted()

    def rebooted(self) -> Model:
        if not self.persistent:
            return Model(logs=self.logs)
        return Model(
            is_defined=True,
            persistent=True,
            kinds=self.kinds,
            hostname=self.hostname,
            loopback=self.loopback,
            steps=tuple(step for step in self.steps if step.lasts),
            logs=self.logs,
        )

    # --- ns_mount

    def mounted(
        self,
        wanted: t.Sequence[tuple[str, What]],
        *,
        persistent: bool | None = None,
        exclusive_below: str = "",
    ) -> Model:
        made = self._copy()
        places = [place for place, _what in wanted]
        if exclusive_below:
            for place in PLACES:
                if made.is_below(place, exclusive_below) and place not in places:
                    made._unmount(place)
                    made._forget(place)
        lasts = self.persistent and persistent is not False
        for place, what in wanted:
            made._mount(place, what)
            made._record(Step(place, what, lasts))
        return made

    def _mount(self, place: str, what: What) -> None:
        has = self.live.get(place)
        if has is not None and has.is_made_of(what):
            self.live[place] = has.changed_into(what)
            return
        if has is not None:
            if place == ROOT and self.pivoted:
                raise Refusal("the root cannot be replaced")
            self._unmount(place)
        self.live[place] = what.fresh(on=self.live.get(ABOVE[place]))

    def _unmount(self, place: str) -> None:
        self.live = {
            each: what
            for each, what in self.live.items()
            if each != place and not self.is_below(each, place)
        }

    def _record(self, step: Step) -> None:
        old = self.step_at(step.place)
        if old is not None and old.lasts == step.lasts:
            self.steps = tuple(step if each is old else each for each in self.steps)
            return
        self._forget(step.place)
        lasting = [each for each in self.steps if each.lasts]
        others = [each for each in self.steps if not each.lasts]
        (lasting if step.lasts else others).append(step)
        self.steps = (*lasting, *others)

    def _forget(self, place: str) -> None:
        self.steps = tuple(step for step in self.steps if step.place != place)

    def remounted(self, place: str, *, ro: bool) -> Model:
        if place not in self.live:
            raise Refusal("nothing is mounted there")
        made = self._copy()
        made.live[place] = dataclasses.replace(made.live[place], ro=ro)
        return made

    def unmounted(self, place: str) -> Model:
        if place == ROOT and self.pivoted:
            raise Refusal("it is the root")
        made = self._copy()
        made._unmount(place)
        if made.step_at(place) is not None:
            for each in PLACES:
                if each == place or self.is_below(each, place):
                    made._forget(each)
        return made

    # --- ns_pivot_root

    def pivoted_to_root(self, *, keeps: bool) -> Model:
        if not self.pivoted:
            if ROOT not in self.live or self.live[ROOT].propagation == "shared":
                raise Refusal("it cannot become the root")
        elif keeps and self.pivoted == "gone":
            raise Refusal("the old root is gone")
        made = self._copy()
        made._pivot(keeps=keeps)
        made._record(Step(PIVOT, keeps, self.persistent))
        return made

    def _pivot(self, *, keeps: bool) -> None:
        self.pivoted = "kept" if keeps else "gone"
        self.live.pop(OUT, None)

    # --- ns_service

    def service(self, name: str, state: str, program: int | None) -> Model:
        made = self._copy()
        known = self.services.get(name)
        if state == "absent":
            made.services.pop(name, None)
            made.logs -= {name}
        elif state == "stopped":
            if known is not None:
                made.services[name] = dataclasses.replace(known, runs=False)
        else:
            if program is None and known is None:
                raise Refusal("nobody says what the program is")
            if not self.has_program:
                raise Refusal("the program is not there")
            number = program if program is not None else known.program if known else 0
            lives_on = known is not None and known.runs and known.program == number
            if lives_on and state != "restarted":
                return made
            made.services[name] = Service(number, in_pid="pid" in self.pinned)
            made.logs |= {name}
        return made

    # --- what people do by hand, and what happens

    def unmounted_by_hand(self, place: str) -> Model:
        made = self._copy()
        made._unmount(place)
        return made

    def mounted_by_hand(self, place: str) -> Model:
        made = self._copy()
        made._unmount(place)
        made.live[place] = What("foreign").fresh(on=made.live.get(ABOVE[place]))
        return made

    def flag_set_by_hand(self, place: str, *, ro: bool) -> Model:
        return self.remounted(place, ro=ro)

    def hostname_set_by_hand(self, name: str) -> Model:
        return self._copy(hostname_now=name)

    def lo_set_down_by_hand(self) -> Model:
        return self._copy(lo_is_up=False)

    def deleted_from_ip_netns(self) -> Model:
        # What it has there is a link to the pin: ip-netns(8) unmounts where that leads.
        return self._copy(in_ip_netns=False, pinned=self.pinned - {"net"})

    def service_killed(self, name: str) -> Model:
        made = self._copy()
        made.services[name] = dataclasses.replace(made.services[name], runs=False)
        return made

    def holder_killed(self) -> Model:
        made = self._copy(holder_in=None)
        made._end_services_of_pid_namespace()
        return made

    def unpinned_by_hand(self, kind: str) -> Model:
        made = self._copy(pinned=self.pinned - {kind})
        if kind == "mnt":
            made.live, made.pivoted = {}, ""
        return made
