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
import typing as t

from . import (
    creation,
    fixed,
    holder,
    host_paths,
    kinds,
    network,
    pins,
    residents,
    settings,
    spawn,
    steps,
    sysctls,
)
from . import definition as definitions
from .errors import Refused
from .inside import Inside, open_host_proc

if t.TYPE_CHECKING:
    from .id_maps import IdMaps


class Wanted(t.NamedTuple):
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
        host_paths.checked_name(self.name)
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

    def settings(self) -> list[settings.Setting]:
        """What of it can be set while it lives."""
        found = []
        if self.hostname is not None:
            found.append(settings.hostname(self.hostname))
        if self.domainname is not None:
            found.append(settings.domainname(self.domainname))
        if "net" in self.kinds:
            found.append(settings.loopback(up=self.loopback))
        return [*found, *(settings.sysctl(key, value) for key, value in self.sysctl)]

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


class Outcome(t.NamedTuple):
    """What was (or in check mode: would be) done, and the namespace afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    namespace: dict[str, t.Any]


class _Change(t.NamedTuple):
    name: str
    apply: t.Callable[[], t.Any]
    explain: steps.Explain | None = None


def present(
    wanted: Wanted, *, check: bool, recreate: bool = False, force: bool = False, timeout: float
) -> Outcome:
    """Create the namespace, or change it into what is wanted. Raises Refused, StepFailed.

    ``recreate`` allows to remove one first that cannot be changed, ``force`` to end the
    processes in it for that. ``timeout`` is in seconds, for the lock.
    """
    wanted.checked()
    name = wanted.name
    with _locked(name, check=check, timeout=timeout):
        definition = definitions.load(name)
        before = _described(name, definition)
        is_new = not _is_there(name)
        removal = _removal_before(wanted, definition, recreate=recreate, force=force)
        changes = removal + _building(wanted, None if removal else definition, anew=bool(removal))
        if not check:
            with _undone_on_failure(name, is_new=is_new, was=None if removal else definition):
                _apply(changes)
        after = dict(wanted.properties(), persistent=wanted.persistent) if changes else before
        facts = describe(name)
        if check and changes:
            facts["persistent"] = wanted.persistent
        return Outcome([change.name for change in changes], before, after, facts)


@contextlib.contextmanager
def _undone_on_failure(
    name: str, *, is_new: bool, was: definitions.Definition | None
) -> t.Iterator[None]:
    """What cannot be made is not to be recorded: at boot it could not be made either."""
    try:
        yield
    except BaseException:
        if is_new:
            _discard(name)
        elif was is not None:
            definitions.save(was)
        raise


def absent(name: str, *, check: bool, force: bool = False, timeout: float) -> Outcome:
    """Remove the namespace: pins, definition, and everything kept with them.

    Raises Refused while processes live inside, unless ``force`` says to end them.
    """
    host_paths.checked_name(name)
    if not _is_there(name) and (check or not os.path.isdir(host_paths.BASE)):
        return Outcome([], {}, {}, describe(name))
    with _locked(name, check=check, timeout=timeout):  # which also clears away what nobody needs
        before = _described(name, definitions.load(name))
        changes = _removal(name, force=force) if _is_there(name) else []
        if not check:
            _apply(changes)
        return Outcome([change.name for change in changes], before, {}, describe(name))


def down(name: str, *, check: bool, force: bool = False, timeout: float) -> list[str]:
    """Take the namespace down; its definition stays, so that it can come back. Say what was done.

    Raises Refused where nothing would bring it back, and as absent() does.
    """
    host_paths.checked_name(name)
    if not os.path.isdir(host_paths.directory(name)):
        return []
    with _locked(name, check=check, timeout=timeout):
        if pins.pinned(name) and not definitions.has_record(name):
            raise Refused(
                f"namespace {name!r} is not persistent: there is no definition to bring it back",
                "Remove it with linux.namespaces.ns_namespace, state: absent.",
            )
        changes = _removal(name, force=force, keep_definition=True)
        if not check:
            _apply(changes)
        return [change.name for change in changes]


def _locked(name: str, *, check: bool, timeout: float) -> t.ContextManager[None]:
    pins.check_rights()
    return contextlib.nullcontext() if check else pins.locked(name, timeout=timeout)


def _apply(changes: t.Iterable[_Change]) -> None:
    for change in changes:
        steps.run(change.name, change.apply, explain=change.explain)


def _is_there(name: str) -> bool:
    """Whether anything is kept for the name, be it what a killed run left."""
    return (
        os.path.isdir(host_paths.directory(name))
        or definitions.has_files(name)
        or pins.has_logs(name)
    )


def describe(name: str) -> dict[str, t.Any]:
    """The named namespace as results show it."""
    definition = definitions.load(name)
    pinned = pins.pinned(name)
    return {
        "name": name,
        "kinds": {
            kind: {"id": number, "path": pins.path(name, kind)} for kind, number in pinned.items()
        },
        "processes": residents.as_data(residents.of(name)),
        "persistent": definition.persistent if definition is not None else False,
        "root": _root_of(definition, pinned),
    }


def _root_of(definition: definitions.Definition | None, pinned: t.Container[str]) -> str:
    """The new root that it was pivoted to last."""
    if definition is None or not definition.pivoted or "mnt" not in pinned:
        return "/"
    layout = definition.layout
    host_proc = open_host_proc()
    try:
        with creation.open_pins(definition.name, ["mnt"]) as handles:
            # Only inside it shows whether a pivot that was noted was made as well.
            pivoted: tuple[str, ...] = spawn.call(
                lambda: Inside(host_proc, layout).layout.pivoted, joins=handles
            )
            return pivoted[-1] if pivoted else "/"
    finally:
        os.close(host_proc)


def _removal_before(
    wanted: Wanted, definition: definitions.Definition | None, *, recreate: bool, force: bool
) -> list[_Change]:
    """What has to be removed first. Raises Refused where that was not allowed."""
    name = wanted.name
    pinned = pins.pinned(name)
    if pinned and (definition is None or not definition.properties):
        # A removal forgets the definition first: it was begun, and is to be finished.
        return _removal(name, force=force)
    differing = fixed.differences(name, wanted.properties(), pinned, definition)
    if differing and not recreate:
        raise Refused(
            f"namespace {name!r} differs in what cannot be changed while it lives: "
            + "; ".join(differing),
            "Set recreate: true to remove it and create it anew.",
        )
    return _removal(name, force=force) if differing else []


def _building(
    wanted: Wanted, definition: definitions.Definition | None, *, anew: bool
) -> list[_Change]:
    """The changes of what is there, or ``anew`` of nothing. Raises Refused."""
    name = wanted.name
    pinned = {} if anew else pins.pinned(name)
    changes = []
    if definition != _definition_after(wanted, definition):
        verb = "record" if wanted.persistent else "note"
        changes.append(_Change(f"{verb} namespace {name}", lambda: _record(wanted)))
    if "pid" in pinned and "pid" in wanted.kinds and holder.pid_of(name) is None:
        # Nothing can be born in a pid namespace whose init has ended (pid_namespaces(7)).
        del pinned["pid"]
    missing = [kind for kind in kinds.KINDS if kind in wanted.kinds and kind not in pinned]
    if "user" in missing and pinned:
        # The others belong to it, or fixed.differences() would tell: only its pin is gone.
        missing.remove("user")
        changes.append(_Change("pin user", lambda: fixed.pin_owner(name, min(pinned))))
    if missing:
        making = creation.Making(
            missing,
            wanted.propagation,
            wanted.id_maps,
            wanted.time_offsets if "time" in missing else (),
            [each for each in wanted.settings() if each.kind in missing],
        )
        changes.append(
            _Change(
                f"create {', '.join(sorted(missing))}",
                lambda: _create(name, making, pinned),
                functools.partial(_explain_birth, creates=missing),
            )
        )
    for kind in pinned:
        if kind not in wanted.kinds:
            changes.append(_Change(f"drop {kind}", functools.partial(_drop, name, kind)))
    kept = [each for each in wanted.settings() if each.kind in pinned]
    opened = functools.partial(creation.open_pins, name)
    for setting in settings.missing(kept, opened):
        changes.append(_Change(setting.name, functools.partial(settings.make, setting, opened)))
    if "net" in wanted.kinds and (anew or not network.is_published(name)):
        network.check_publishable(name)
        changes.append(_Change(f"show {name} to ip netns", lambda: network.publish(name)))
    return changes


def _definition_after(wanted: Wanted, old: definitions.Definition | None) -> definitions.Definition:
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
    # Before there is a namespace: what a killed run leaves can be told by it.
    pins.prepare(wanted.name)
    definitions.save(_definition_after(wanted, definitions.load(wanted.name)))


def _create(name: str, making: creation.Making, pinned: t.Collection[str]) -> None:
    pins.prepare(name)
    definition = definitions.load(name)
    if definition is not None and "mnt" in making.kinds:
        # With a mount namespace end its pivots, and the steps that are not recorded.
        definitions.save(dataclasses.replace(definition, pivoted=[], volatile=[]))
    creation.create(name, making, pinned=pinned)


def _drop(name: str, kind: str) -> None:
    if kind == "net":
        network.unpublish(name)
    if kind == "pid":
        holder.end(name)
    pins.unpin(name, kind)


def _removal(name: str, *, force: bool, keep_definition: bool = False) -> list[_Change]:
    """The changes that remove it. Raises Refused while processes live inside, without ``force``."""
    living = residents.of(name)
    if living and not force:
        listed = ", ".join(f"{process.pid} ({process.command})" for process in living[:10])
        more = f" and {len(living) - 10} more" if len(living) > 10 else ""
        raise Refused(
            f"processes live in namespace {name!r}: {listed}{more}",
            "Stop them, or have them killed: force: true, or `nsctl down --force`.",
            processes=residents.as_data(living),
        )
    changes = []
    if living:
        changes.append(_Change(f"kill {len(living)} processes", lambda: residents.kill_all(name)))
    if keep_definition:
        changes.append(_Change(f"take down namespace {name}", lambda: _take_down(name)))
        return changes
    for archive in _kept_alone(name):
        # Before the definition goes, so that a killed removal still knows of them.
        changes.append(_Change(f"remove {archive}", functools.partial(_forget_kept, archive)))
    if definitions.has_record(name):
        changes.append(
            _Change(f"forget the definition of {name}", lambda: definitions.forget(name))
        )
    changes.append(_Change(f"remove namespace {name}", lambda: _discard(name)))
    return changes


def _kept_alone(name: str) -> list[str]:
    """The archives that are kept for the roots of this definition, and of no other."""
    from .rootfs import kept  # which is much, and seldom needed

    others = (other for other in definitions.names() if other != name)
    alone = definitions.archives([name]) - definitions.archives(others)
    return sorted(path for path in alone if kept.is_kept(path))


def _forget_kept(archive: str) -> None:
    from .rootfs import kept

    kept.forget(archive)


def _explain_birth(error: OSError, *, creates: t.Collection[str]) -> tuple[str, str]:
    from . import explain_namespaces

    return explain_namespaces.birth(error, joins=None, creates=creates)


def _take_down(name: str) -> None:
    definitions.forget_state(name)
    network.unpublish(name)
    holder.end(name)
    pins.discard(name)


def _discard(name: str) -> None:
    definitions.forget(name)  # also what a killed run was writing
    _take_down(name)
    pins.discard_logs(name)


def _described(name: str, definition: definitions.Definition | None) -> dict[str, t.Any]:
    """For the diff: the state in a few lines."""
    if not _is_there(name):
        return {}
    found: dict[str, t.Any] = dict(definition.properties if definition is not None else {})
    found["kinds"] = sorted(pins.pinned(name))
    found["persistent"] = definition.persistent if definition is not None else False
    return found
