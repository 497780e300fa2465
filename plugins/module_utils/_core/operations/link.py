# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_link does: bring interfaces of a target to what is wanted.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t

from .. import host_paths
from ..actions import Action, run_all
from ..definition import file as definitions
from ..definition import link_file
from ..definition.link import Link
from ..errors import Refused
from ..link import forward_needs
from ..link.observe import Interface
from ..link.plan import Wanted
from ..namespace import lock, pins
from ..namespace.target import Target
from ..storage import lock as locks
from . import link_actions, link_lines, namespace_links, whole


class LinkRequest(t.NamedTuple):
    """Interfaces as they should be: see the documentation of ns_link."""

    target: Target
    links: tuple[Link, ...]
    # The names of those that are to be absent.
    gone: tuple[str, ...] = ()
    # Whether those go that are not named.
    exclusive: bool = False
    # In seconds.
    lock_timeout: float = 60.0


class LinkResult(t.NamedTuple):
    """What was (or in check mode: would be) done, and the interfaces that were named, afterwards."""

    actions: list[str]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    links: list[dict[str, t.Any]]


def run(request: LinkRequest, *, check: bool) -> LinkResult:
    """Bring them there. Raises Refused before anything was changed, StepFailed, OSError."""
    name = request.target.namespace or ""
    links = link_actions.named(request.links, name)
    link_actions.check_of(links, namespace=name)
    request = request._replace(links=links)
    if request.exclusive and request.target.is_host:
        raise Refused("exclusive is for no host", "Name those that are to go, with state: absent.")
    both = {*request.gone} & {link.name for link in links}
    if both:
        raise Refused(f"{min(both)} is to be there, and absent", "List each interface once.")
    if name:
        return _of_named(request, name, check=check)
    if request.target.is_host:
        return _of_host(request, check=check)
    return _done(request, _wanted(request, ()), None, check=check)


def _of_named(request: LinkRequest, name: str, *, check: bool) -> LinkResult:
    with contextlib.ExitStack() as stack:
        if not check:
            if not request.target.exists():
                request.target.open()  # says that it does not exist
            stack.enter_context(lock.held(name, timeout=request.lock_timeout))
        definition = definitions.load(name)
        is_to_come = check and not request.target.exists()
        if not is_to_come:
            _check_net(name)
        old = definition.links if definition is not None else ()
        after = _after(request, old)
        link_actions.named(after, name)  # together they have to make sense as well
        record = None
        if definition is not None and after != old:
            record = _Record(
                name, functools.partial(namespace_links.record, name), request.links, old, after
            )
        result = _done(
            request,
            _wanted(request, old),
            record,
            check=check,
            is_to_come=is_to_come,
            together=lambda: namespace_links.of_whole(
                name, after, has_mounts="mnt" in pins.pinned(name)
            ),
        )
        if not check:
            whole.open_if_whole(name)
        return result


def _check_net(name: str) -> None:
    shared = pins.shared(name).get("net")
    if shared is not None:
        raise Refused(
            f"the network of {name} is that of {shared[0]}", f"Give {shared[0]} the interfaces."
        )


class _Record(t.NamedTuple):
    """What is to be recorded of the interfaces."""

    whose: str
    keep: t.Callable[[tuple[Link, ...]], None]
    wanted: tuple[Link, ...]
    old: tuple[Link, ...]
    after: tuple[Link, ...]

    @property
    def actions(self) -> tuple[list[Action], list[Action]]:
        """Before and after the change: a run that is killed in between leaves what names all that there is."""
        first = namespace_links.before(self.wanted, self.old)
        begin = (
            []
            if first in (self.old, self.after)
            else [
                Action(f"note the interfaces of {self.whose}", functools.partial(self.keep, first))
            ]
        )
        return begin, [
            Action(namespace_links.recording(self.whose), functools.partial(self.keep, self.after))
        ]


def _of_host(request: LinkRequest, *, check: bool) -> LinkResult:
    pins.check_rights()
    with _host_lock(request.lock_timeout) if not check else contextlib.nullcontext():
        old = link_file.of_host()
        after = _after(request, old)
        record = None
        if after != old:
            record = _Record("the host", link_file.keep_of_host, request.links, old, after)
        return _done(request, _wanted(request, old), record, check=check)


def _host_lock(timeout: float) -> t.ContextManager[None]:
    return locks.file(host_paths.HOST_LINKS_LOCK, deadline=time.monotonic() + timeout)


def bring_up_host(*, check: bool, timeout: float) -> list[str]:
    """Make the interfaces of the host that were made to be there after a reboot: what was done.

    ``timeout`` is in seconds. Raises Refused, StepFailed, OSError.
    """
    if not link_file.of_host():
        return []
    with _host_lock(timeout) if not check else contextlib.nullcontext():
        links = link_file.of_host()
        planned = link_actions.planned(Target(), Wanted(links, old=links), check_mode=check)
        return run_all(planned.actions, check=check)


def _after(request: LinkRequest, old: tuple[Link, ...]) -> tuple[Link, ...]:
    """What is recorded afterwards: those that are changed in their old places, the new ones last."""
    wanted = {link.name: link for link in request.links}
    kept = [
        wanted.pop(link.name, link)
        for link in old
        if link.name in wanted or not (request.exclusive or link.name in request.gone)
    ]
    return (*kept, *wanted.values())


def _wanted(request: LinkRequest, old: tuple[Link, ...]) -> Wanted:
    name = request.target.namespace
    alias = forward_needs.alias_of(name) if name else ""
    return Wanted(request.links, request.gone, request.exclusive, old, alias)


def _done(
    request: LinkRequest,
    wanted: Wanted,
    record: _Record | None,
    *,
    check: bool,
    is_to_come: bool = False,
    together: t.Callable[[], list[Action]] = list,
) -> LinkResult:
    planned = link_actions.planned(request.target, wanted, is_to_come=is_to_come, check_mode=check)
    begin, end = record.actions if record is not None else ([], [])
    done = run_all([*begin, *planned.actions, *together(), *end], check=check)
    before = planned.view.inside.interfaces
    seen = before if check or not done else link_actions.look(request.target).interfaces
    named = {*request.gone, *(link.name for link in request.links)}
    if request.exclusive:
        named |= {*before} - {"lo"}
    shown_after = {each: link_lines.of_found(seen[each]) for each in sorted(named) if each in seen}
    if check and done:
        shown_after = {
            link.name: link_lines.of_wanted(link, before.get(link.name)) for link in request.links
        }
    return LinkResult(
        done,
        {each: link_lines.of_found(before[each]) for each in sorted(named) if each in before},
        shown_after,
        [_facts(seen[link.name]) for link in request.links if link.name in seen],
    )


def _facts(found: Interface) -> dict[str, t.Any]:
    return {
        "name": found.name,
        "kind": found.kind,
        "up": found.up,
        "mac": found.mac,
        "mtu": found.mtu,
        "master": found.master,
        "addresses": [*found.addresses],
    }
