# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_namespace does to have a named namespace: create it, or change it.

Its removal is in namespace_removal.py.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from .. import host_paths, kinds
from ..actions import Action, Step, run_all, undo
from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.properties import Properties
from ..errors import Refused
from ..install import instance
from ..namespace import gate, network, pid_holder, pins, settings, sysctl
from ..namespace.target import Target
from . import (
    namespace_immutable,
    namespace_members,
    namespace_removal,
    namespace_share,
    namespace_state,
    whole,
)
from .namespace_state import NamespaceResult

if t.TYPE_CHECKING:
    from ..definition.link import Link


class NamespaceRequest(t.NamedTuple):
    """A named namespace as it should be: see the documentation of ns_namespace."""

    name: str
    properties: Properties
    persistent: bool = True
    # The interfaces that it has; None leaves those that are recorded.
    links: tuple[Link, ...] | None = None
    # Whether one that cannot be changed into it may be removed first.
    recreate: bool = False
    # Whether the processes in it may be ended for that.
    force: bool = False
    # In seconds.
    lock_timeout: float = 60.0
    # In check mode the names that share of it, and would do so no more when it is its turn.
    going: frozenset[str] = frozenset()
    # The interfaces of one of the name that is removed first.
    leaving: tuple[Link, ...] = ()

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
        if self.links and "net" not in wanted.kinds:
            raise Refused("links need the kind net", "Add net to kinds.")
        sysctl.check(wanted.sysctl, wanted.kinds)
        namespace_share.check(self.name, wanted)
        return self

    def check_owners(self, coming: t.Mapping[str, NamespaceRequest] | None = None) -> None:
        """Raises Refused where those of which it shares kinds do not have them. ``coming`` are made before it."""
        if self.properties.share:
            namespace_share.check_owners(
                self.name,
                self.properties,
                persistent=self.persistent,
                coming={
                    name: namespace_share.Owner(each.properties, each.persistent)
                    for name, each in (coming or {}).items()
                },
            )


def settings_of(wanted: Properties) -> list[settings.Setting]:
    """What of it can be set while it lives."""
    found = []
    if wanted.hostname is not None:
        found.append(settings.hostname(wanted.hostname))
    if wanted.domainname is not None:
        found.append(settings.domainname(wanted.domainname))
    if "net" in wanted.kinds:
        found.append(settings.loopback(up=wanted.loopback))
    return [*found, *(settings.parameter(key, value) for key, value in wanted.sysctl.items())]


def present(request: NamespaceRequest, *, check: bool) -> NamespaceResult:
    """Create the namespace, or change it into what is wanted, and say all of it. Raises Refused, StepFailed."""
    request = request.checked()
    request.check_owners()
    result = brought(request, check=check)
    facts = namespace_state.describe_fully(request.name)
    if check and result.actions:
        facts["persistent"] = request.persistent
    return result._replace(namespace=facts)


def brought(request: NamespaceRequest, *, check: bool) -> NamespaceResult:
    """The same without a look at others: those of which it shares kinds, who shares of it, who lives in it."""
    request = request.checked()
    name = request.name
    with namespace_state.locked(name, check=check, timeout=request.lock_timeout):
        definition = definitions.load(name)
        before = namespace_state.described(name, definition)
        is_new = not namespace_state.is_there(name)
        removal = _removal_before(request, definition)
        kept = None if removal else definition
        if removal and definition is not None:
            request = request._replace(leaving=definition.links)
        changes = removal + _building(request, kept, anew=bool(removal), check=check)
        with _undone_on_failure(name, is_new=is_new, was=kept):
            done = run_all(changes, check=check)
            if not check:
                with Step(f"open namespace {name}"):
                    whole.open_if_whole(name)
        after = before
        if changes:
            was = definition.properties if definition is not None else None
            after = {**request.properties.shown(was), "persistent": request.persistent}
        unread = [error.reason for error in namespace_members.damaged_notes(name)]
        incomplete = gate.is_closed(name) if not check else _would_be_incomplete(request, kept)
        return NamespaceResult(done, before, after, {}, unread, incomplete)


def _would_be_incomplete(request: NamespaceRequest, kept: Definition | None) -> bool:
    has_steps = kept is not None and request.persistent and bool(kept.steps)
    return has_steps and ("mnt" not in pins.pinned(request.name) or gate.is_closed(request.name))


@contextlib.contextmanager
def _undone_on_failure(name: str, *, is_new: bool, was: Definition | None) -> t.Iterator[None]:
    """What cannot be made is not to be recorded: at boot it could not be made either."""
    pinned, shared = pins.files(name), pins.shared(name)
    try:
        yield
    except BaseException as error:
        parts: list[t.Callable[[], None]] = []
        if is_new:
            parts = namespace_state.discarding(name)
        elif was is not None:
            parts = [
                *_dropping_new(name, pinned),
                *namespace_share.restoring(name, shared),
                functools.partial(_restore, was, pinned),
            ]
        undo(error, [*parts, functools.partial(whole.open_if_whole, name)])
        raise


def _dropping_new(name: str, pinned: t.Mapping[str, int]) -> t.Iterator[t.Callable[[], None]]:
    """What takes away the kinds that were not ``pinned``, by their ids."""
    for kind, number in pins.files(name).items():
        if pinned.get(kind) != number:
            yield functools.partial(_drop, name, kind)


def _restore(was: Definition, pinned: t.Mapping[str, int]) -> None:
    made = definitions.load(was.name)
    if made is not None and pins.files(was.name).get("mnt") not in (None, pinned.get("mnt")):
        # What a mount namespace lacks that was made before something else failed.
        was = was.replace(pivoted=made.pivoted, volatile=(), missing=made.missing)
    instance.keep(was)


def _removal_before(request: NamespaceRequest, definition: Definition | None) -> list[Action]:
    """What has to be removed first. Raises Refused where that was not allowed."""
    name = request.name
    pinned = pins.pinned(name)
    differing = namespace_immutable.differences(name, request.properties, pinned, definition)
    if differing and not request.recreate:
        raise Refused(
            f"namespace {name!r} differs in what cannot be changed while it lives: "
            + "; ".join(differing),
            "Set recreate: true to remove it and create it anew.",
            recreate=True,
        )
    # A removal forgets the definition first: what has none is to be removed to the end.
    is_half_removed = bool(pinned) and definition is None
    if not differing and definition is not None:
        return []
    services = namespace_removal.removal_of_services(name)
    if not differing and not is_half_removed:
        return services
    namespace_removal.check_notes(name)
    archives, _unsure = namespace_removal.kept_alone(name, definition)
    removal = namespace_removal.removal(name, archives=archives, force=request.force)
    return [*services, *removal]


def changes(
    request: NamespaceRequest, definition: Definition, *, but_settings: bool
) -> list[Action]:
    """What is left to do of one that is there; without a look at its settings. Raises Refused."""
    removal = _removal_before(request, definition)
    if removal:
        request = request._replace(leaving=definition.links)
    building = _building(request, definition, anew=False, but_settings=but_settings, check=True)
    return removal + building


def _building(
    request: NamespaceRequest,
    definition: Definition | None,
    *,
    anew: bool,
    check: bool,
    but_settings: bool = False,
) -> list[Action]:
    """The changes of what is there, or ``anew`` of nothing. Raises Refused."""
    name, wanted = request.name, request.properties
    there = pins.files(name)
    gone = {*there, *(definition.properties.kinds if definition else ())} - {*wanted.kinds}
    if gone:
        namespace_share.check_nobody_shares(name, kinds=gone, going=request.going)
    pinned = {} if anew else {kind: number for kind, number in there.items() if number}
    planned = []
    if definition != _definition_after(request, definition):
        verb = "record" if request.persistent else "note"
        planned.append(Action(f"{verb} namespace {name}", lambda: _record(request)))
    if "pid" in pinned and "pid" in wanted.kinds and pid_holder.pid_of(name) is None:
        # Nothing can be born in a pid namespace whose init has ended (pid_namespaces(7)).
        del pinned["pid"]
    missing = [kind for kind in kinds.KINDS if kind in wanted.kinds and kind not in pinned]
    if "user" in missing and pinned:
        # The others belong to it, or differences() would tell: only its pin is gone.
        missing.remove("user")
        planned.append(Action("pin user", lambda: namespace_immutable.pin_owner(name, min(pinned))))
    if missing:
        # 3 ms to compile, with what it loads, for a namespace that has all its kinds.
        from . import namespace_create

        settable = [each for each in settings_of(wanted) if each.kind in missing]
        planned.append(namespace_create.creation(name, wanted, missing, pinned, settable))
    for kind in () if anew else there:
        if kind not in wanted.kinds:
            planned.append(Action(f"drop {kind}", functools.partial(_drop, name, kind)))
    kept = [] if but_settings else [each for each in settings_of(wanted) if each.kind in pinned]
    opened = functools.partial(Target(namespace=name).open, closed_too=True)
    planned += namespace_share.changes(name, wanted.share)
    for setting in settings.missing(kept, opened):
        planned.append(Action(setting.name, functools.partial(settings.make, setting, opened)))
    if "net" in wanted.kinds and (anew or not network.is_published(name)):
        network.check_publishable(name)
        planned.append(Action(f"show {name} to ip netns", lambda: network.publish(name)))
    old = definition.links if definition is not None else ()
    links = old if request.links is None else request.links
    if (links or old) and "net" in wanted.kinds:
        # 30 ms to compile, with what it loads, for what most do not have.
        from . import namespace_links

        planned += namespace_links.planned(
            name,
            links,
            old,
            kinds=wanted.kinds,
            missing=missing,
            check=check,
            leaving=request.leaving,
        )
    if "mnt" in wanted.kinds and "net" in wanted.share and os.path.isdir(host_paths.NETNS_FILES):
        from . import link_names  # see above

        owner = wanted.share["net"]
        planned += link_names.of_shared(name, owner, is_to_come="mnt" in missing)
    return planned


def _definition_after(request: NamespaceRequest, old: Definition | None) -> Definition:
    if old is None:
        old = Definition(request.name)
    lasts = request.persistent
    links = old.links
    if request.links is not None and request.links != links:
        from . import namespace_links  # see above

        links = namespace_links.before(request.links, links)
    return old.replace(
        links=links if "net" in request.properties.kinds else (),
        properties=request.properties,
        persistent=lasts,
        steps=old.steps if lasts else (),
        volatile=old.volatile if lasts or not old.persistent else old.all_steps,
    )


def _record(request: NamespaceRequest) -> None:
    # Before there is a namespace: what a killed run leaves can be told by it.
    pins.prepare(request.name)
    after = _definition_after(request, definitions.load(request.name))
    if "net" not in pins.pinned(request.name):
        after = after.awaiting_links()
    instance.keep(after)


def _drop(name: str, kind: str) -> None:
    gate.close(name)  # nobody is to find the file without its namespace
    if kind == "net":
        namespace_state.end_links(name)
        namespace_state.end_forwarding(name)
        namespace_state.end_names(name)
        network.unpublish(name)
    if kind == "pid":
        pid_holder.end(name)
    pins.unpin(name, kind)
