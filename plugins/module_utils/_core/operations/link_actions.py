# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing the interfaces of a network namespace to what is wanted: what ns_link and ns_namespace share.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ..actions import Action
from ..definition.link import Link, Peer, Wireguard
from ..definition.link_checks import LONGEST_NAME, check_together, parted
from ..errors import Refused, StepFailed
from ..link import check, forward, observe, plan, tool, ways_in, wireguard
from ..link.plan import View, Wanted
from ..link.site import HOST, INSIDE, Change, Site
from ..namespace.target import Target

# What the host has, while many namespaces are made: see host_seen().
_kept: list[observe.Seen] = []


class Planned(t.NamedTuple):
    """What is to be done, and what there was."""

    actions: list[Action]
    view: View


def named(links: t.Iterable[Link], namespace: str) -> tuple[Link, ...]:
    """The interfaces with the names of their peers, those that were given none as well. Raises Refused."""
    found = []
    for link in links:
        if link.kind == "veth" and (link.peer is None or not link.peer.name):
            name = f"ve-{namespace}"
            if not namespace or len(name) > LONGEST_NAME:
                raise Refused(
                    f"the peer of {link.name} has no name",
                    f"Give peer: name, of up to {LONGEST_NAME} characters.",
                )
            link = link.replace(peer=(link.peer or Peer()).replace(name=name))
        found.append(link)
    check_together(found)
    return tuple(found)


def check_of(links: t.Iterable[Link], *, namespace: str) -> None:
    """Raises Refused for what makes no sense in the named namespace."""
    for link in links:
        if namespace and link.owner == namespace:
            raise Refused(
                f"{link.name} is to have its peer in its own namespace",
                "Name another, or the host.",
            )
        if (link.is_forwarded or link.dns is not None) and not namespace:
            what = "publish" if link.publish else "masquerade" if link.masquerade else "dns"
            raise Refused(f"{what} is for an interface of a named namespace", "Name it: namespace.")


def passing_on(name: str, links: t.Iterable[Link]) -> list[Action]:
    """How the host comes to pass on what all the interfaces of the named namespace say.

    Raises Refused where it cannot, OSError.
    """
    with Site(Target()) as site, looking():
        names = forward.planned(name, links, site.net(HOST))

    def apply() -> None:
        with Site(Target()) as place:
            forward.carry_out(name, links, place.net(HOST))

    return [Action(names[0], apply, parts=names)] if names else []


def planned(
    target: Target, wanted: Wanted, *, is_to_come: bool = False, check_mode: bool = False
) -> Planned:
    """How its interfaces become what is wanted. ``is_to_come`` it is made just before.

    Raises Refused where they cannot, KernelError, OSError.
    """
    with Site(target) as site, looking():
        changes, tunnels, view = _changes(
            site, wanted, is_to_come=is_to_come, check_mode=check_mode
        )
    actions = []
    if changes:
        names = [*dict.fromkeys(change.name for change in changes)]

        def apply() -> None:
            with Site(target) as place:
                place.carry_out(changes)

        actions.append(Action(names[0], apply, parts=names))
    return Planned(actions + tunnels, view)


@contextlib.contextmanager
def host_seen() -> t.Iterator[None]:
    """A block in which new namespaces find the host as it is now, as long as nothing stands against them then.

    Each would look at all of it otherwise, once it is to be made and once it is, and that grows with how many there
    are. Raises Refused, KernelError, OSError.
    """
    with Site(Target()) as site, looking():
        _kept.append(observe.Seen(observe.interfaces(site.net(HOST))))
    try:
        yield
    finally:
        _kept.clear()


def _changes(
    site: Site, wanted: Wanted, *, is_to_come: bool, check_mode: bool
) -> tuple[list[Change], list[Action], View]:
    """The changes of interfaces, then of tunnels, and what there is. Raises Refused, tool.Failed, OSError."""
    if is_to_come and _kept:
        view = _look(site, wanted, is_to_come=True, check_mode=check_mode, host=_kept[-1])
        with contextlib.suppress(Refused):  # others may have made room meanwhile
            return (*_steps(site, wanted, view, is_host=False), view)
    view = _look(site, wanted, is_to_come=is_to_come, check_mode=check_mode)
    is_host = not is_to_come and site.is_host
    return (*_steps(site, wanted, view, is_host=is_host), view)


def compared(target: Target, links: tuple[Link, ...]) -> tuple[observe.Seen, set[str]]:
    """What there is, and the names of those of the interfaces that are there and would be changed.

    One that cannot be made what it is to be is among them. Raises Refused, KernelError, OSError.
    """
    wanted = Wanted(links, old=links)
    found = set()
    with Site(target) as site, looking():
        view = _look(site, wanted, is_to_come=False, check_mode=True)
        for link in links:
            if link.name not in view.inside.interfaces:
                continue
            try:
                changes, tunnels = _steps(
                    site, wanted._replace(links=(link,)), view, is_host=site.is_host
                )
                is_same = not changes and not tunnels
            except Refused:
                is_same = False
            if not is_same:
                found.add(link.name)
        return view.inside, found


@contextlib.contextmanager
def looking() -> t.Iterator[None]:
    """A with statement in which networks are looked at. Raises Refused where that fails."""
    try:
        yield
    except tool.Failed as error:
        raise Refused(f"the network cannot be looked at: {error.complaints}") from error


def _steps(
    site: Site, wanted: Wanted, view: View, *, is_host: bool
) -> tuple[list[Change], list[Action]]:
    """The changes of interfaces, and then of tunnels. Raises Refused where they cannot be, tool.Failed."""
    check.check(
        wanted,
        view,
        is_host=is_host,
        ways_in=lambda: ways_in.of_host(site.net(HOST)),
        holders={} if is_host else _holders(wanted, view),
    )
    changes = plan.changes(wanted, view)
    _check_kinds(wanted, view)
    return changes, _tunnels(wanted, view, site)


def look(target: Target) -> observe.Seen:
    """What there is in the network namespace. Raises Refused, KernelError, OSError."""
    with Site(target) as site, looking():
        return observe.everything(site.net(INSIDE), rules=True)


def _look(
    site: Site,
    wanted: Wanted,
    *,
    is_to_come: bool,
    check_mode: bool,
    host: observe.Seen | None = None,
) -> View:
    inside = observe.NOTHING
    if not is_to_come:
        inside = observe.everything(site.net(INSIDE), rules=wanted.needs_rules)
    outside = {}
    coming = set()
    new = [address for address in _addresses(wanted) if not inside.holder_of(address)]
    places = plan.outer_names([*wanted.links, *wanted.old])
    for place, names in {**({HOST: []} if new else {}), **places}.items():
        if place == HOST:
            there = inside if not is_to_come and site.is_host else host
            outside[place] = there or observe.named(site.net(HOST), names, new)
        elif not check_mode or Target(namespace=place).exists():
            outside[place] = observe.named(site.net(place), names)
        else:
            coming.add(place)  # an earlier task would have made it
    return View(inside, outside, frozenset(coming))


def _addresses(wanted: Wanted) -> list[str]:
    return [parted(text)[0] for link in wanted.links for text in link.addresses]


def _holders(wanted: Wanted, view: View) -> dict[str, str]:
    """The interfaces of the host that have addresses which are new inside."""
    new = [address for address in _addresses(wanted) if not view.inside.holder_of(address)]
    found = {address: view.at(HOST).holder_of(address) for address in new}
    return {address: name for address, name in found.items() if name}


def _check_kinds(wanted: Wanted, view: View) -> None:
    missing = check.missing_kinds(wanted.links, view.inside)
    if missing:
        raise Refused(
            f"this kernel has no interfaces of the kind {missing[0]}",
            f"Load its module (`modprobe {missing[0]}`), or take a kernel that has it.",
        )


def _tunnels(wanted: Wanted, view: View, site: Site) -> list[Action]:
    actions = []
    for link in wanted.links:
        if link.wireguard is None:
            continue
        tool.path_of("wg")
        keys = wireguard.keys_of(link.wireguard)
        found = view.inside.interfaces.get(link.name)
        is_there = found is not None and plan.is_same(link, found, view)
        if is_there and wireguard.is_set(link.name, link.wireguard, keys, net=site.net(INSIDE)):
            continue
        setting = functools.partial(_set_up, site.target, link.name, link.wireguard, keys)
        actions.append(Action(_setting_up(link.name), setting))
    return actions


def _setting_up(name: str) -> str:
    return f"set keys and peers of {name}"


def _set_up(target: Target, name: str, tunnel: Wireguard, keys: wireguard.Keys) -> None:
    with Site(target) as site:
        try:
            wireguard.set_up(name, tunnel, keys, net=site.net(INSIDE))
        except tool.Failed as error:
            reason = f"wg says: {error.complaints}"
            raise StepFailed(_setting_up(name), Refused(reason), reason) from error
