# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Removing a named namespace, or taking it down until its definition brings it back.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from .. import host_paths
from ..actions import Action, run_all
from ..definition import file as definitions
from ..definition import service_file
from ..definition.model import Definition
from ..errors import Refused
from ..install import instance
from ..namespace import pins
from ..process import kill
from ..rootfs.sources import cache
from . import namespace_members, namespace_share, namespace_state
from .namespace_state import NamespaceResult


def absent(
    name: str,
    *,
    check: bool,
    force: bool = False,
    lock_timeout: float = 60.0,
    going: t.Collection[str] = (),
    services_end: bool = False,
) -> NamespaceResult:
    """Remove the namespace: pins, definition, services, and everything kept with them.

    A definition or a note of a service that cannot be read is no obstacle: what is lost by that
    is told in the result.
    In check mode those are no obstacle that share a kind of it and are ``going`` before it, nor its own
    services where these end before it (``services_end``).
    Raises Refused while processes live inside, unless ``force`` says to end them, and while others share a
    kind of it.
    """
    host_paths.checked_name(name)
    is_kept = namespace_state.is_there(name) or bool(service_file.names(name))
    if not is_kept and (check or not os.path.isdir(host_paths.BASE)):
        _clear_cache(check=check)
        return NamespaceResult([], {}, {}, namespace_state.describe_fully(name), [])
    if not check:
        instance.interrupt(name)
    with (
        _ready_to_kill(force),
        namespace_state.locked(  # which also clears away what is left
            name, check=check, timeout=lock_timeout
        ),
    ):
        definition, damage = namespace_state.loaded_or_not(name)
        before = namespace_state.described(name, definition)
        changes = []
        if namespace_state.is_there(name):
            archives, unsure = kept_alone(name, definition)
            namespace_share.check_nobody_shares(name, going=going if check else ())
            ending = _ending({name, *going}) if check and services_end else set()
            changes = removal(name, archives=archives, force=force, ending=ending)
            damage += [*unsure, *_unknown_services(name)]
        done = run_all([*removal_of_services(name), *changes], check=check)
        _clear_cache(check=check)
        facts = namespace_state.describe(name)
        # That nobody shares of it was seen, or it would be there: to look at all others takes as long again.
        facts["shared_by"] = namespace_share.sharers(name) if check else []
        return NamespaceResult(done, before, {}, facts, damage)


def _ending(names: t.Iterable[str]) -> set[int]:
    """The processes of their services: those of one may live in what it shares of another."""
    return {pid for name in names for pid in namespace_members.of_services(name)}


def _clear_cache(*, check: bool) -> None:
    """Remove what runs that were killed have left among the archives that are kept."""
    if not check and os.path.isdir(cache.DIRECTORY):
        # 12 ms to compile, for a host where none is kept.
        from ..rootfs import record

        record.clear_away()


def down(
    name: str,
    *,
    check: bool,
    force: bool = False,
    timeout: float,
    going: t.Collection[str] = (),
    services_end: bool = False,
) -> list[str]:
    """Take the namespace down; its definition stays, so that it can come back. Say what was done.

    Raises Refused where nothing would bring it back, and as absent() does.
    """
    host_paths.checked_name(name)
    if host_paths.BY_UNIT in os.environ and not definitions.has_record(name):
        return []  # it is the unit's business no more
    done: list[str] = []
    others = going if check else ()
    if host_paths.is_kept(name):
        if force and not check:
            check_notes(name)
            namespace_share.check_nobody_shares(name, only_living=True)
            instance.stop(name)  # services end as they want to end
        with _ready_to_kill(force), namespace_state.locked(name, check=check, timeout=timeout):
            if pins.pinned(name) and not definitions.has_record(name):
                raise Refused(
                    f"namespace {name!r} is not persistent: there is no definition to bring it back",
                    "Remove it with linux.namespaces.ns_namespace, state: absent.",
                )
            check_notes(name)
            if pins.pinned(name):
                namespace_share.check_nobody_shares(name, going=others, only_living=True)
            ending = _ending({name, *going}) if check and services_end else set()
            changes = removal(name, force=force, keep_definition=True, ending=ending)
            done = run_all(changes, check=check)
    if not check:
        # Without the lock, which its own ExecStop takes. A later start so brings it up again.
        instance.stop(name)
    return done


def _ready_to_kill(force: bool) -> t.ContextManager[None]:
    """Who is to end processes that want all of the CPU is not to wait for it with them."""
    return kill.before_all_others() if force else contextlib.nullcontext()


def check_notes(name: str) -> None:
    """Raises Refused where the note of a service is damaged: its program may run unseen."""
    for error in namespace_members.damaged_notes(name):
        raise error


def removal_of_services(name: str) -> list[Action]:
    """The changes that remove what systemd has of its services; it would start them again.

    In one that is made anew they would so live before it has its mounts and its root.
    """
    found = service_file.names(name)
    if not found:
        return []
    # 9 ms to compile, for who has no such service.
    from ..service import systemd

    return [
        Action(f"remove service {each}", functools.partial(systemd.discard, name, each))
        for each in found
    ]


def _unknown_services(name: str) -> list[str]:
    return [
        f"{error.reason}; a program of that service which has all namespaces to itself runs on"
        for error in namespace_members.damaged_notes(name)
    ]


def removal(
    name: str,
    *,
    archives: t.Iterable[str] = (),
    force: bool,
    keep_definition: bool = False,
    ending: t.Container[int] = (),
) -> list[Action]:
    """The changes that remove it, and the ``archives`` that were kept for it alone.

    Raises Refused while processes live inside, without ``force``, other than those that are ``ending``.
    """
    living = [each for each in namespace_members.of(name) if each.pid not in ending]
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
            Action(f"kill {len(living)} processes", lambda: namespace_members.kill_all(name))
        )
    if namespace_state.has_links(name):
        changes.append(
            Action(f"remove the interfaces of {name}", lambda: namespace_state.end_links(name))
        )
    if namespace_state.has_forwarding():
        # For who has any.
        from . import link_actions

        changes += link_actions.passing_on(name, ())
    if not keep_definition and namespace_state.has_names(name):
        changes.append(
            Action(f"remove the names of {name}", lambda: namespace_state.end_names(name))
        )
    if keep_definition:
        changes.append(
            Action(f"take down namespace {name}", lambda: namespace_state.take_down(name))
        )
        return changes
    if definitions.has_record(name):
        changes.append(Action(f"forget the definition of {name}", lambda: definitions.forget(name)))
    for archive in archives:
        # After the definition: what is on disk names what is there. See _clear_cache() for a killed run.
        changes.append(Action(f"remove {archive}", functools.partial(cache.forget, archive)))
    changes.append(Action(f"remove namespace {name}", lambda: namespace_state.discard(name)))
    return changes


def kept_alone(name: str, definition: Definition | None) -> tuple[list[str], list[str]]:
    """The archives that are kept for the roots of this definition and of no other.

    With it why that cannot be told, where it cannot: then they stay.
    """
    if definition is None or not definitions.archives_of(definition):
        return [], []
    kept = {path for path in definitions.archives_of(definition) if cache.is_kept(path)}
    try:
        for other in definitions.names():
            if other != name and (found := definitions.load(other)) is not None:
                kept -= definitions.archives_of(found)
    except Refused as error:
        return [], [f"{error.reason}, and may need {', '.join(sorted(kept))}, which so stays"]
    return sorted(kept), []
