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

from .. import actions, host_paths, kinds
from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.properties import Properties
from ..errors import Refused
from ..mount.view import TargetView, open_host_proc
from ..namespace import create, enter, lock, network, pid_holder, pins, settings, sysctl
from ..namespace.target import Target
from . import namespace_immutable, namespace_members

if t.TYPE_CHECKING:
    from ..namespace.id_map import IdMaps


class NamespaceRequest(t.NamedTuple):
    """A named namespace as it should be: see the documentation of ns_namespace."""

    name: str
    properties: Properties
    persistent: bool = True
    # Whether one that cannot be changed into it may be removed first.
    recreate: bool = False
    # Whether the processes in it may be ended for that.
    force: bool = False
    # In seconds.
    lock_timeout: float = 60.0

    def checked(self) -> NamespaceRequest:
        """This, when it makes sense by itself. Raises Refused."""
        host_paths.checked_name(self.name)
        wanted = self.properties
        unknown = sorted(set(wanted.kinds) - set(kinds.KINDS))
        if unknown:
            raise Refused(
                f"unknown kinds of namespace: {', '.join(unknown)}",
                f"The kinds are {', '.join(kinds.NAMES)}.",
            )
        if not wanted.kinds:
            raise Refused("kinds is empty", f"The kinds are {', '.join(kinds.NAMES)}.")
        for option, value, kind in (
            ("hostname", wanted.hostname, "uts"),
            ("domainname", wanted.domainname, "uts"),
            ("id_map", wanted.id_map, "user"),
            ("time_offsets", wanted.time_offsets, "time"),
        ):
            if value and kind not in wanted.kinds:
                raise Refused(f"{option} needs the kind {kind}", f"Add {kind} to kinds.")
        for option, text in (("hostname", wanted.hostname), ("domainname", wanted.domainname)):
            if text is not None and not 0 < len(os.fsencode(text)) <= 64:
                raise Refused(f"{option} must have 1 to 64 bytes (sethostname(2)): {text!r}")
        sysctl.check(wanted.sysctl, wanted.kinds)
        return self


def _settings_of(wanted: Properties) -> list[settings.Setting]:
    """What of it can be set while it lives."""
    found = []
    if wanted.hostname is not None:
        found.append(settings.hostname(wanted.hostname))
    if wanted.domainname is not None:
        found.append(settings.domainname(wanted.domainname))
    if "net" in wanted.kinds:
        found.append(settings.loopback(up=wanted.loopback))
    return [*found, *(settings.sysctl(key, value) for key, value in wanted.sysctl.items())]


class NamespaceResult(t.NamedTuple):
    """What was (or in check mode: would be) done, and the namespace afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    namespace: dict[str, t.Any]
    # What could not be read of what was removed, and what that means.
    warnings: list[str]


class _Change(t.NamedTuple):
    name: str
    apply: t.Callable[[], t.Any]
    explain: actions.Explain | None = None


def present(request: NamespaceRequest, *, check: bool) -> NamespaceResult:
    """Create the namespace, or change it into what is wanted. Raises Refused, StepFailed."""
    request = request.checked()
    name = request.name
    with _locked(name, check=check, timeout=request.lock_timeout):
        definition = definitions.load(name)
        before = _described(name, definition)
        is_new = not _is_there(name)
        removal = _removal_before(request, definition)
        kept = None if removal else definition
        changes = removal + _building(request, kept, anew=bool(removal))
        if not check:
            with _undone_on_failure(name, is_new=is_new, was=kept):
                _apply(changes)
        after = before
        if changes:
            after = {**request.properties.to_data(), "persistent": request.persistent}
        facts = describe(name)
        if check and changes:
            facts["persistent"] = request.persistent
        return NamespaceResult([change.name for change in changes], before, after, facts, [])


@contextlib.contextmanager
def _undone_on_failure(name: str, *, is_new: bool, was: Definition | None) -> t.Iterator[None]:
    """What cannot be made is not to be recorded: at boot it could not be made either."""
    try:
        yield
    except BaseException:
        if is_new:
            _discard(name)
        elif was is not None:
            definitions.save(was)
        raise


def absent(
    name: str, *, check: bool, force: bool = False, lock_timeout: float = 60.0
) -> NamespaceResult:
    """Remove the namespace: pins, definition, and everything kept with them.

    A definition that cannot be read is no obstacle: what is lost by that is told in the result.
    Raises Refused while processes live inside, unless ``force`` says to end them.
    """
    host_paths.checked_name(name)
    if not _is_there(name) and (check or not os.path.isdir(host_paths.BASE)):
        return NamespaceResult([], {}, {}, describe(name), [])
    with _locked(name, check=check, timeout=lock_timeout):  # which also clears away what is left
        definition, damage = _loaded_or_not(name)
        before = _described(name, definition)
        changes = []
        if _is_there(name):
            archives, unsure = _kept_alone(name, definition)
            changes = _removal(name, archives=archives, force=force)
            damage += unsure
        if not check:
            _apply(changes)
        return NamespaceResult(
            [change.name for change in changes], before, {}, describe(name), damage
        )


def _loaded_or_not(name: str) -> tuple[Definition | None, list[str]]:
    """The definition, or None with why it cannot be read."""
    try:
        return definitions.load(name), []
    except Refused as error:
        return None, [f"{error.reason}; archives that were kept for its roots stay"]


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
    lock.check_rights()
    return contextlib.nullcontext() if check else lock.held(name, timeout=timeout)


def _apply(changes: t.Iterable[_Change]) -> None:
    for change in changes:
        actions.run(change.name, change.apply, explain=change.explain)


def _is_there(name: str) -> bool:
    """Whether anything is kept for the name, be it what a killed run left."""
    return (
        os.path.isdir(host_paths.directory(name))
        or definitions.has_files(name)
        or pins.has_logs(name)
    )


def describe(name: str) -> dict[str, t.Any]:
    """The named namespace as results show it."""
    definition, _damage = _loaded_or_not(name)
    pinned = pins.pinned(name)
    return {
        "name": name,
        "kinds": {
            kind: {"id": number, "path": pins.path(name, kind)} for kind, number in pinned.items()
        },
        "processes": namespace_members.as_data(namespace_members.of(name)),
        "persistent": definition.persistent if definition is not None else False,
        "root": _root_of(definition, pinned),
    }


def _root_of(definition: Definition | None, pinned: t.Container[str]) -> str:
    """The new root that it was pivoted to last."""
    if definition is None or not definition.pivoted or "mnt" not in pinned:
        return "/"
    layout = definition.layout
    host_proc = open_host_proc()
    try:
        with Target(namespace=definition.name).open(["mnt"]) as handles:
            # Only inside it shows whether a pivot that was noted was made as well.
            pivoted: tuple[str, ...] = enter.call(
                lambda: TargetView(host_proc, layout).layout.pivoted, joins=handles
            )
            return pivoted[-1] if pivoted else "/"
    finally:
        os.close(host_proc)


def _removal_before(request: NamespaceRequest, definition: Definition | None) -> list[_Change]:
    """What has to be removed first. Raises Refused where that was not allowed."""
    name = request.name
    pinned = pins.pinned(name)
    if pinned and definition is None:
        # A removal forgets the definition first: it was begun, and is to be finished.
        return _removal(name, force=request.force)
    differing = namespace_immutable.differences(name, request.properties, pinned, definition)
    if differing and not request.recreate:
        raise Refused(
            f"namespace {name!r} differs in what cannot be changed while it lives: "
            + "; ".join(differing),
            "Set recreate: true to remove it and create it anew.",
        )
    if not differing:
        return []
    archives, _unsure = _kept_alone(name, definition)
    return _removal(name, archives=archives, force=request.force)


def _building(
    request: NamespaceRequest, definition: Definition | None, *, anew: bool
) -> list[_Change]:
    """The changes of what is there, or ``anew`` of nothing. Raises Refused."""
    name, wanted = request.name, request.properties
    pinned = {} if anew else pins.pinned(name)
    changes = []
    if definition != _definition_after(request, definition):
        verb = "record" if request.persistent else "note"
        changes.append(_Change(f"{verb} namespace {name}", lambda: _record(request)))
    if "pid" in pinned and "pid" in wanted.kinds and pid_holder.pid_of(name) is None:
        # Nothing can be born in a pid namespace whose init has ended (pid_namespaces(7)).
        del pinned["pid"]
    missing = [kind for kind in kinds.KINDS if kind in wanted.kinds and kind not in pinned]
    if "user" in missing and pinned:
        # The others belong to it, or differences() would tell: only its pin is gone.
        missing.remove("user")
        changes.append(
            _Change("pin user", lambda: namespace_immutable.pin_owner(name, min(pinned)))
        )
    if missing:
        settable = [each for each in _settings_of(wanted) if each.kind in missing]
        making = create.Making(
            kinds=missing,
            propagation=wanted.propagation,
            id_maps=_id_maps_of(wanted),
            time_offsets=tuple(wanted.time_offsets.items()) if "time" in missing else (),
            settings=settable,
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
    kept = [each for each in _settings_of(wanted) if each.kind in pinned]
    opened = Target(namespace=name).open
    for setting in settings.missing(kept, opened):
        changes.append(_Change(setting.name, functools.partial(settings.make, setting, opened)))
    if "net" in wanted.kinds and (anew or not network.is_published(name)):
        network.check_publishable(name)
        changes.append(_Change(f"show {name} to ip netns", lambda: network.publish(name)))
    return changes


def _id_maps_of(wanted: Properties) -> IdMaps | None:
    if wanted.id_map is None:
        return None
    from ..namespace import id_map  # a lot for what most do not have

    return id_map.parse(wanted.id_map, id_map.Caller.of_this_process())


def _definition_after(request: NamespaceRequest, old: Definition | None) -> Definition:
    if old is None:
        old = Definition(request.name)
    lasts = request.persistent
    return dataclasses.replace(
        old,
        properties=request.properties,
        persistent=lasts,
        steps=old.steps if lasts else (),
        volatile=old.volatile if lasts or not old.persistent else old.all_steps,
    )


def _record(request: NamespaceRequest) -> None:
    # Before there is a namespace: what a killed run leaves can be told by it.
    pins.prepare(request.name)
    definitions.save(_definition_after(request, definitions.load(request.name)))


def _create(name: str, making: create.Making, pinned: t.Collection[str]) -> None:
    pins.prepare(name)
    definition = definitions.load(name)
    if definition is not None and "mnt" in making.kinds:
        # With a mount namespace end its pivots, and the steps that are not recorded.
        definitions.save(dataclasses.replace(definition, pivoted=(), volatile=()))
    create.create(name, making, pinned=pinned)


def _drop(name: str, kind: str) -> None:
    if kind == "net":
        network.unpublish(name)
    if kind == "pid":
        pid_holder.end(name)
    pins.unpin(name, kind)


def _removal(
    name: str,
    *,
    archives: t.Iterable[str] = (),
    force: bool,
    keep_definition: bool = False,
) -> list[_Change]:
    """The changes that remove it, and the ``archives`` that were kept for it alone.

    Raises Refused while processes live inside, without ``force``.
    """
    living = namespace_members.of(name)
    if living and not force:
        listed = ", ".join(f"{process.pid} ({process.command})" for process in living[:10])
        more = f" and {len(living) - 10} more" if len(living) > 10 else ""
        raise Refused(
            f"processes live in namespace {name!r}: {listed}{more}",
            "Stop them, or have them killed: force: true, or `nsctl down --force`.",
            processes=namespace_members.as_data(living),
        )
    changes = []
    if living:
        changes.append(
            _Change(f"kill {len(living)} processes", lambda: namespace_members.kill_all(name))
        )
    if keep_definition:
        changes.append(_Change(f"take down namespace {name}", lambda: _take_down(name)))
        return changes
    for archive in archives:
        # Before the definition goes, so that a killed removal still knows of them.
        changes.append(_Change(f"remove {archive}", functools.partial(_forget_kept, archive)))
    if definitions.has_record(name):
        changes.append(
            _Change(f"forget the definition of {name}", lambda: definitions.forget(name))
        )
    changes.append(_Change(f"remove namespace {name}", lambda: _discard(name)))
    return changes


def _kept_alone(name: str, definition: Definition | None) -> tuple[list[str], list[str]]:
    """The archives that are kept for the roots of this definition and of no other.

    With it why that cannot be told, where it cannot: then they stay.
    """
    if definition is None or not definitions.archives_of(definition):
        return [], []
    from ..rootfs import cache  # which is much, and seldom needed

    kept = {path for path in definitions.archives_of(definition) if cache.is_kept(path)}
    try:
        for other in definitions.names():
            if other != name and (found := definitions.load(other)) is not None:
                kept -= definitions.archives_of(found)
    except Refused as error:
        return [], [f"{error.reason}, and may need {', '.join(sorted(kept))}, which so stays"]
    return sorted(kept), []


def _forget_kept(archive: str) -> None:
    from ..rootfs import cache

    cache.forget(archive)


def _explain_birth(error: OSError, *, creates: t.Collection[str]) -> tuple[str, str]:
    from ..namespace import explain as explain_namespaces

    return explain_namespaces.birth(error, joins=None, creates=creates)


def _take_down(name: str) -> None:
    definitions.forget_state(name)
    network.unpublish(name)
    pid_holder.end(name)
    pins.discard(name)


def _discard(name: str) -> None:
    definitions.forget(name)  # also what a killed run was writing
    _take_down(name)
    pins.discard_logs(name)


def _described(name: str, definition: Definition | None) -> dict[str, t.Any]:
    """For the diff: the state in a few lines."""
    if not _is_there(name):
        return {}
    found = definition.properties.to_data() if definition is not None else {}
    found["kinds"] = sorted(pins.pinned(name))
    found["persistent"] = definition.persistent if definition is not None else False
    return found
