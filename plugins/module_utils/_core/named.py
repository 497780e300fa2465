# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The life of a named namespace: create, change, remove. What ns_namespace does.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import time
import typing as t

from . import definition as definitions
from . import credentials, holder, kinds, network, nsfs, pins, spawn, steps, sysctls
from .errors import Refused
from .id_maps import IdMaps
from .syscalls import mounts, namespaces, processes
from .targets import Handles

_PROPAGATION = {
    "private": mounts.MS_PRIVATE,
    "slave": mounts.MS_SLAVE,
    "shared": mounts.MS_SHARED,
}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A named namespace as it should be: see the documentation of ns_namespace."""

    name: str
    kinds: tuple[str, ...] = ("mnt",)
    propagation: str = "private"
    hostname: str | None = None
    domainname: str | None = None
    id_maps: IdMaps | None = None
    loopback: bool = True
    sysctl: tuple[tuple[str, str], ...] = ()
    time_offsets: tuple[tuple[str, int], ...] = ()
    persistent: bool = True

    def checked(self) -> Wanted:
        """This, when it makes sense by itself. Raises Refused."""
        pins.checked_name(self.name)
        unknown = sorted(set(self.kinds) - set(kinds.KINDS))
        if unknown:
            raise Refused(
                f"unknown kinds of namespace: {', '.join(unknown)}",
                f"The kinds are {', '.join(kinds.NAMES)}.",
            )
        if not self.kinds:
            raise Refused("kinds is empty", f"The kinds are {', '.join(kinds.NAMES)}.")
        for option, value, kind in (
            ("hostname", self.hostname, "uts"),
            ("domainname", self.domainname, "uts"),
            ("id_map", self.id_maps, "user"),
            ("time_offsets", self.time_offsets, "time"),
        ):
            if value and kind not in self.kinds:
                raise Refused(f"{option} needs the kind {kind}", f"Add {kind} to kinds.")
        for option, value in (("hostname", self.hostname), ("domainname", self.domainname)):
            if value is not None and not 0 < len(os.fsencode(value)) <= 64:
                raise Refused(f"{option} must have 1 to 64 bytes (sethostname(2)): {value!r}")
        sysctls.check([key for key, _value in self.sysctl], self.kinds)
        return self

    def properties(self) -> dict[str, t.Any]:
        """What the definition records of it."""
        found: dict[str, t.Any] = {"kinds": sorted(self.kinds), "propagation": self.propagation}
        if self.hostname is not None:
            found["hostname"] = self.hostname
        if self.domainname is not None:
            found["domainname"] = self.domainname
        if self.id_maps is not None:
            found["id_map"] = self.id_maps.as_data()
        if "net" in self.kinds:
            found["loopback"] = self.loopback
        if self.sysctl:
            found["sysctl"] = dict(self.sysctl)
        if self.time_offsets:
            found["time_offsets"] = dict(self.time_offsets)
        return found


@dataclasses.dataclass
class Outcome:
    """What was (or in check mode: would be) done, and the namespace afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    namespace: dict[str, t.Any]


class _Change(t.NamedTuple):
    name: str
    apply: t.Callable[[], t.Any]


def present(
    wanted: Wanted, *, check: bool, recreate: bool = False, force: bool = False, timeout: float
) -> Outcome:
    """Create the namespace, or change it into what is wanted. Raises Refused, StepFailed.

    ``recreate`` allows to remove one first that cannot be changed, ``force`` to end the
    processes in it for that. ``timeout`` is in seconds, for the lock.
    """
    wanted.checked()
    with contextlib.nullcontext() if check else pins.locked(wanted.name, timeout=timeout):
        before = _described(wanted.name)
        actions: list[str] = []
        fixed = _fixed_differences(wanted)
        if fixed and not recreate:
            raise Refused(
                f"namespace {wanted.name!r} differs in what cannot be changed while it lives: "
                + "; ".join(fixed),
                "Set recreate: true to remove it and create it anew.",
            )
        if fixed:
            actions += _remove(wanted.name, check=check, force=force)
        for change in _changes(wanted, anew=bool(fixed)):
            actions.append(change.name)
            if not check:
                steps.run(change.name, change.apply)
        after = dict(_wanted_description(wanted), **({} if actions else before))
        facts = describe(wanted.name)
        if check and actions:
            facts["persistent"] = wanted.persistent
        return Outcome(actions, before, after if actions else before, facts)


def absent(name: str, *, check: bool, force: bool = False, timeout: float) -> Outcome:
    """Remove the namespace: pins, definition, and everything kept with them.

    Raises Refused while processes live inside, unless ``force`` says to end them.
    """
    pins.checked_name(name)
    if not _is_there(name):
        return Outcome([], {}, {}, describe(name))
    with contextlib.nullcontext() if check else pins.locked(name, timeout=timeout):
        before = _described(name)
        actions = _remove(name, check=check, force=force)
        return Outcome(actions, before, {}, describe(name))


def down(name: str, *, check: bool, force: bool = False, timeout: float) -> list[str]:
    """Take the namespace down; its definition stays, so that it can come back. Say what was done.

    Raises Refused where nothing would bring it back, and as absent() does.
    """
    pins.checked_name(name)
    if not os.path.isdir(pins.directory(name)):
        return []
    with contextlib.nullcontext() if check else pins.locked(name, timeout=timeout):
        if pins.pinned(name) and not definitions.has_record(name):
            raise Refused(
                f"namespace {name!r} is not persistent: there is no definition to bring it back",
                "Remove it with linux.namespaces.ns_namespace, state: absent.",
            )
        return _remove(name, check=check, force=force, keep_definition=True)


def _is_there(name: str) -> bool:
    return os.path.isdir(pins.directory(name)) or definitions.has_record(name)


def describe(name: str) -> dict[str, t.Any]:
    """The named namespace as results show it."""
    definition = definitions.load(name)
    pinned = pins.pinned(name)
    return {
        "name": name,
        "kinds": {
            kind: {"id": number, "path": pins.path(name, kind)} for kind, number in pinned.items()
        },
        "processes": [
            {"pid": process.pid, "command": process.command, "uid": process.uid}
            for process in processes_inside(name, pinned)
        ],
        "persistent": definition.persistent if definition is not None else False,
        "root": _root_of(definition),
    }


def _root_of(definition: definitions.Definition | None) -> str:
    if definition is None or not definition.pivoted:
        return "/"
    return str(definition.pivoted[-1]["new_root"])


def processes_inside(name: str, pinned: t.Mapping[str, int]) -> list[nsfs.ProcessFacts]:
    """The processes that live in one of these namespaces, but for the holder."""
    own = nsfs.ids_of_process("self", pinned)
    wanted = {kind: number for kind, number in pinned.items() if own.get(kind) != number}
    holder_pid = holder.pid_of(name)
    found = []
    for pid in nsfs.all_pids() if wanted else []:
        ids = nsfs.ids_of_process(pid, wanted)
        if pid != holder_pid and any(ids.get(kind) == wanted[kind] for kind in wanted):
            facts = nsfs.process_facts(pid)
            if facts is not None and facts.state != "Z":
                found.append(facts)
    return found


def _fixed_differences(wanted: Wanted) -> list[str]:
    """What the kernel lets nobody change about a namespace that lives."""
    pinned = pins.pinned(wanted.name)
    definition = definitions.load(wanted.name)
    if not pinned or definition is None:
        return []
    found = []
    if "user" in wanted.kinds and "user" not in pinned:
        found.append("its namespaces belong to no user namespace of their own")
    if "user" in pinned and "user" not in wanted.kinds:
        found.append("its namespaces belong to its user namespace")
    old, new = definition.properties, wanted.properties()
    for key, kind in (("id_map", "user"), ("time_offsets", "time"), ("propagation", "mnt")):
        if kind in pinned and kind in wanted.kinds and old.get(key) != new.get(key):
            found.append(f"{key} is {old.get(key)!r}, not {new.get(key)!r}")
    return found


def _changes(wanted: Wanted, *, anew: bool) -> list[_Change]:
    name = wanted.name
    pinned = {} if anew else pins.pinned(name)
    changes = []
    if "pid" in pinned and holder.pid_of(name) is None:
        # Nothing can be born in a pid namespace whose init has ended (pid_namespaces(7)).
        del pinned["pid"]
    missing = [kind for kind in kinds.KINDS if kind in wanted.kinds and kind not in pinned]
    surplus = [kind for kind in pinned if kind not in wanted.kinds]
    if missing:
        changes.append(
            _Change(
                f"create {', '.join(sorted(missing))}", lambda: _create(wanted, missing, pinned)
            )
        )
    for kind in surplus:
        changes.append(_Change(f"drop {kind}", functools.partial(_drop, name, kind)))
    kept = [kind for kind in pinned if kind in wanted.kinds]
    if kept:
        changes += _live_changes(wanted, kept)
    if "net" in wanted.kinds and ("net" in missing or not network.is_published(name)):
        network.check_publishable(name)
        changes.append(_Change(f"show {name} to ip netns", lambda: network.publish(name)))
    after = _definition_after(wanted)
    if definitions.load(name) != after or (anew and wanted.persistent):
        verb = "record" if wanted.persistent else "note"
        changes.append(_Change(f"{verb} namespace {name}", lambda: _record(wanted)))
    return changes


def _definition_after(wanted: Wanted) -> definitions.Definition:
    old = definitions.load(wanted.name)
    if old is None:
        old = definitions.Definition(wanted.name)
    steps_now = old.steps if wanted.persistent else []
    volatile = old.volatile if wanted.persistent or not old.persistent else old.all_steps
    return dataclasses.replace(
        old,
        properties=wanted.properties(),
        persistent=wanted.persistent,
        steps=steps_now,
        volatile=volatile,
    )


def _record(wanted: Wanted) -> None:
    definitions.save(_definition_after(wanted))


def _live_changes(wanted: Wanted, kept: t.Sequence[str]) -> list[_Change]:
    """Changes of names and kernel parameters of namespaces that live."""
    parameters = [(key, value) for key, value in wanted.sysctl if sysctls.kind_of(key) in kept]

    def look() -> dict[str, t.Any]:
        seen: dict[str, t.Any] = {}
        if "uts" in kept:
            system = os.uname()
            seen["hostname"] = system.nodename
            seen["domainname"] = sysctls.read("kernel.domainname")
        if "net" in kept:
            seen["loopback"] = network.is_loopback_up()
        for key, _value in parameters:
            seen[key] = sysctls.read(key)
        return seen

    with _open(wanted.name, kept) as handles:
        seen = spawn.call(look, joins=handles)

    def inside(function: t.Callable[[], None]) -> t.Callable[[], None]:
        def apply() -> None:
            with _open(wanted.name, kept) as handles:
                spawn.call(function, joins=handles)

        return apply

    changes = []
    if wanted.hostname is not None and seen.get("hostname", wanted.hostname) != wanted.hostname:
        text = wanted.hostname
        changes.append(
            _Change(f"set hostname {text}", inside(lambda: namespaces.sethostname(text)))
        )
    if wanted.domainname is not None and seen.get("domainname", "") != wanted.domainname:
        domain = wanted.domainname
        changes.append(
            _Change(f"set domainname {domain}", inside(lambda: namespaces.setdomainname(domain)))
        )
    if wanted.loopback and seen.get("loopback") is False:
        changes.append(_Change("set lo up", inside(lambda: network.set_loopback(up=True))))
    if not wanted.loopback and seen.get("loopback"):
        changes.append(_Change("set lo down", inside(lambda: network.set_loopback(up=False))))
    for key, value in parameters:
        if seen.get(key) != sysctls.normalised(value):
            changes.append(
                _Change(
                    f"set {key} to {value}",
                    inside(functools.partial(sysctls.write, key, value)),
                )
            )
    return changes


def _open(name: str, names: t.Iterable[str]) -> Handles:
    return Handles(
        {kind: os.open(pins.path(name, kind), os.O_RDONLY | os.O_CLOEXEC) for kind in names}
    )


def _create(wanted: Wanted, missing: t.Sequence[str], pinned: t.Mapping[str, int]) -> None:
    """Create the missing kinds and pin them.

    A pin appears only when its namespace is set up, so a killed run leaves some of them whole
    and the others missing, for the next run to create.
    """
    name = wanted.name
    pins.prepare(name)
    for kind in missing:
        pins.unpin(name, kind)
    if "mnt" in missing:
        _forget_its_past(name)
    if "pid" in missing:
        holder.end(name)

    def setup() -> None:
        if "user" in missing:
            credentials.become_root()
        if "mnt" in missing:
            if wanted.propagation != "unchanged":
                flags = mounts.MS_REC | _PROPAGATION[wanted.propagation]
                mounts.mount("none", "/", flags=flags)
            pins.forget_in_copy(shared=wanted.propagation in ("shared", "unchanged"))
        if "uts" in missing and wanted.hostname is not None:
            namespaces.sethostname(wanted.hostname)
        if "uts" in missing and wanted.domainname is not None:
            namespaces.setdomainname(wanted.domainname)
        if "net" in missing and wanted.loopback:
            network.set_loopback(up=True)
        for key, value in wanted.sysctl:
            if sysctls.kind_of(key) in missing:
                sysctls.write(key, value)

    def map_ids(pid: int) -> None:
        if "user" in missing and wanted.id_maps is not None:
            wanted.id_maps.write(pid)

    offsets = "".join(f"{clock} {seconds} 0\n" for clock, seconds in wanted.time_offsets)
    with (
        _open(name, [kind for kind in ("user",) if kind in pinned]) as handles,
        spawn.held(
            setup,
            joins=handles if handles.names else None,
            creates=missing,
            time_offsets=offsets,
            prepare=map_ids,
            afterwards=holder.become if "pid" in missing else None,
        ) as pid,
    ):
        # The user namespace first: what a later run adds is to belong to it.
        for kind in missing:
            if kind == "pid":
                holder.note(name, pid)
            steps.run(f"pin {kind}", functools.partial(pins.pin, name, kind, pid))


def _forget_its_past(name: str) -> None:
    """What ends with a mount namespace: its pivots, and the steps that are not recorded."""
    definition = definitions.load(name)
    if definition is not None and (definition.pivoted or definition.volatile):
        definitions.save(dataclasses.replace(definition, pivoted=[], volatile=[]))


def _drop(name: str, kind: str) -> None:
    if kind == "net":
        network.unpublish(name)
    if kind == "pid":
        holder.end(name)
    pins.unpin(name, kind)


def _remove(name: str, *, check: bool, force: bool, keep_definition: bool = False) -> list[str]:
    living = processes_inside(name, pins.pinned(name))
    if living and not force:
        listed = ", ".join(f"{process.pid} ({process.command})" for process in living[:10])
        more = f" and {len(living) - 10} more" if len(living) > 10 else ""
        raise Refused(
            f"processes live in namespace {name!r}: {listed}{more}",
            "Stop them, or set force: true to have them killed.",
            processes=[{"pid": each.pid, "command": each.command} for each in living],
        )
    changes = []
    if living:
        changes.append(_Change(f"kill {len(living)} processes", lambda: _kill_all(name)))
    if definitions.has_record(name) and not keep_definition:
        changes.append(
            _Change(f"forget the definition of {name}", lambda: definitions.forget(name))
        )
    if os.path.isdir(pins.directory(name)):
        changes.append(_Change(f"remove namespace {name}", lambda: _discard(name)))
    for change in changes:
        if not check:
            steps.run(change.name, change.apply)
    return [change.name for change in changes]


def _discard(name: str) -> None:
    network.unpublish(name)
    holder.end(name)
    pins.discard(name)


def _kill_all(name: str, *, patience: float = 10.0) -> None:
    """Kill until none is left: what is killed may have children that are not."""
    deadline = time.monotonic() + patience
    while True:
        living = processes_inside(name, pins.pinned(name))
        if not living:
            return
        for process in living:
            with contextlib.suppress(OSError):
                pidfd = processes.pidfd_open(process.pid)
                try:
                    now = nsfs.process_facts(process.pid)
                    if now is not None and now.start == process.start:
                        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
                finally:
                    os.close(pidfd)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of namespace {name!r} do not end: {living}")
        time.sleep(0.01)


def _described(name: str) -> dict[str, t.Any]:
    """For the diff: the state in a few lines."""
    if not _is_there(name):
        return {}
    definition = definitions.load(name)
    found: dict[str, t.Any] = dict(definition.properties if definition is not None else {})
    found["kinds"] = sorted(pins.pinned(name))
    found["persistent"] = definition.persistent if definition is not None else False
    return found


def _wanted_description(wanted: Wanted) -> dict[str, t.Any]:
    return dict(wanted.properties(), persistent=wanted.persistent)
