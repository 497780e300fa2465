# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is kept of a named namespace: whether anything is, how results show it, and its end.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from .. import host_paths
from ..definition import file as definitions
from ..definition import generations
from ..definition.model import Definition
from ..errors import Refused
from ..namespace import cgroups, exchange, lock, network, pid_holder, pins
from ..namespace.target import Target
from . import namespace_members, namespace_share


class NamespaceResult(t.NamedTuple):
    """What was (or in check mode: would be) done, and the namespace afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    namespace: dict[str, t.Any]
    # What could not be read of what was removed, and what that means.
    warnings: list[str]
    # Whether steps of its definition are still to be taken in it: see restore.complete().
    incomplete: bool = False


def locked(name: str, *, check: bool, timeout: float) -> t.ContextManager[None]:
    """The lock of the name, but in check mode. Raises Refused for a caller that is not root."""
    pins.check_rights()
    return contextlib.nullcontext() if check else lock.held(name, timeout=timeout)


def is_there(name: str) -> bool:
    """Whether anything is kept for the name, be it what a killed run left."""
    return host_paths.is_kept(name) or definitions.has_files(name) or pins.has_logs(name)


def known_names() -> list[str]:
    """The names of all namespaces that live or have a definition, sorted."""
    return sorted({*definitions.names(), *pins.names()})


def loaded_or_not(name: str) -> tuple[Definition | None, list[str]]:
    """The definition, or None with why it cannot be read."""
    try:
        return definitions.load(name), []
    except Refused as error:
        return None, [f"{error.reason}; archives that were kept for its roots stay"]


def describe(name: str, root: str = "") -> dict[str, t.Any]:
    """The named namespace as results show it; ``root`` is its root where that is known already."""
    definition, _damage = loaded_or_not(name)
    pinned = pins.pinned(name)
    return {
        "name": name,
        "kinds": {**kinds_as_data(name, pinned), **shared_as_data(name)},
        "processes": namespace_members.as_data(namespace_members.of(name)),
        "persistent": definition.persistent if definition is not None else False,
        "root": root or _root_of(definition, pinned),
    }


def describe_fully(name: str) -> dict[str, t.Any]:
    """The same with who shares of it, for which those of all others are looked at."""
    return {**describe(name), "shared_by": namespace_share.sharers(name)}


def kinds_as_data(name: str, pinned: t.Mapping[str, int]) -> dict[str, t.Any]:
    """The kinds that are pinned under the name, with their ids, as results show them."""
    return {
        kind: {"id": number, "path": pins.path_now(name, kind)} for kind, number in pinned.items()
    }


def shared_as_data(name: str) -> dict[str, t.Any]:
    """The same of the kinds that are shared with another name."""
    return {
        kind: {"id": number, "path": pins.shared_path(name, kind, other), "shared_with": other}
        for kind, (other, number) in pins.shared(name).items()
        if number
    }


def _root_of(definition: Definition | None, pinned: t.Container[str]) -> str:
    """The new root that it was pivoted to last."""
    if definition is None or not definition.pivoted or "mnt" not in pinned:
        return "/"
    # 3 ms to compile, for what was never pivoted.
    from . import session

    target = Target(namespace=definition.name)
    with session.opened(target, check=True, lock_timeout=0) as opened:
        # Only inside it shows whether a pivot that was noted was made as well.
        pivoted: tuple[str, ...] = opened.call(lambda view: view.layout.pivoted)
        return pivoted[-1] if pivoted else "/"


def described(name: str, definition: Definition | None) -> dict[str, t.Any]:
    """For the diff: the state in a few lines."""
    if not is_there(name):
        return {}
    found = definition.properties.shown() if definition is not None else {}
    found["kinds"] = sorted(pins.pinned(name))
    found.pop("share", None)
    share = {kind: other for kind, (other, number) in pins.shared(name).items() if number}
    found.update({"share": share} if share else {})
    found["persistent"] = definition.persistent if definition is not None else False
    return found


def take_down(name: str) -> None:
    """Remove what a reboot would. Raises KernelError, OSError."""
    for part in _taking_down():
        part(name)


def _taking_down() -> tuple[t.Callable[[str], None], ...]:
    # Last of all what is missing of it.
    return (
        network.unpublish,
        exchange.discard,
        pid_holder.end,
        cgroups.end,
        _discard_sockets,
        _forget_meanings,
        pins.discard,
    )


def has_links(name: str) -> bool:
    """Whether interfaces of it live, or may: nobody knows which, where its definition is damaged."""
    definition, damage = loaded_or_not(name)
    is_known = definition is not None and bool(definition.links)
    return (is_known or bool(damage)) and "net" in pins.pinned(name)


def end_links(name: str) -> None:
    """End the interfaces that it has on record, or might have. Raises StepFailed, OSError."""
    if not has_links(name):
        return
    # For what most do not have.
    from ..link import end

    definition, _damage = loaded_or_not(name)
    end.of_namespace(name, definition.links if definition is not None else ())


def has_forwarding() -> bool:
    """Whether the host passes packets on for any namespace."""
    return os.path.lexists(host_paths.FORWARDING)


def end_forwarding(name: str) -> None:
    """Have the host pass on nothing more for it, nor of it. Raises Refused, StepFailed, OSError."""
    if has_forwarding():
        # For what most do not have.
        from . import link_actions

        for action in link_actions.passing_on(name, ()):
            action.apply()


def has_names(name: str) -> bool:
    """Whether it has files below /etc/netns that are ours."""
    if not os.path.isdir(f"{host_paths.NETNS_FILES}/{name}"):
        return False
    from . import link_names  # for what most do not have

    return link_names.has_any(name)


def end_names(name: str) -> None:
    """Remove those files. Raises OSError."""
    if has_names(name):
        from . import link_names  # see above

        link_names.remove_all(name)


def _discard_sockets(name: str) -> None:
    """Remove those of its services that are files, of which the host has the directory."""
    if os.path.lexists(host_paths.SOCKETS):
        # For a host that has any.
        from ..service import socket_files

        socket_files.discard(name)


def _forget_meanings(name: str) -> None:
    if os.path.lexists(host_paths.MEANINGS):
        # For a host that has any.
        from ..mount import meanings

        meanings.forget(pins.files(name).get("mnt", 0))


def discard(name: str) -> None:
    """Remove all that is kept for the name. Raises OSError."""
    for part in discarding(name):
        part()


def discarding(name: str) -> list[t.Callable[[], None]]:
    """What removes all that is kept for the name, part by part. Each raises OSError."""
    parts = (
        end_links,  # while it is known which are its own
        end_forwarding,
        end_names,
        definitions.forget,  # also what a killed run was writing
        definitions.forget_state,
        generations.forget,
        *_taking_down(),
        pins.discard_logs,
        _discard_places,
    )
    return [functools.partial(part, name) for part in parts]


def _discard_places(name: str) -> None:
    """Remove the directories that credentials of its services were mounted on, in the host's /run."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for each in os.listdir(host_paths.CREDENTIALS):
            if each.startswith(f"{name}:"):
                with contextlib.suppress(OSError):  # somebody else has something there
                    os.rmdir(f"{host_paths.CREDENTIALS}/{each}")
        with contextlib.suppress(OSError):  # others have credentials
            os.rmdir(host_paths.CREDENTIALS)
