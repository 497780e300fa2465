# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of a soak test draw: options, and names with something to act on."""

from __future__ import annotations

import typing as t

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from soak_host import NAMES
from soak_model import Model
from soak_parts import PLACES, ROOT, What

BOOLS = st.booleans()
RARELY = st.integers(0, 4).map(lambda number: number == 4)
_VARIANTS = st.integers(0, 1)
KINDS = st.builds(
    lambda some, mnt: frozenset(some) | ({"mnt"} if mnt or not some else set()),
    st.sets(st.sampled_from(["cgroup", "ipc", "net", "pid", "uts"]), max_size=3),
    st.integers(0, 5).map(bool),
)
# Most tasks run to their end.
KILLS = st.integers(0, 5).flatmap(lambda number: st.integers(1, 60) if number == 5 else st.just(0))
# A bind that is shared has the host for its peer, and so shows what is mounted elsewhere.
_PROPAGATIONS_OF_BINDS = st.sampled_from(["", "", "private", "slave", "unbindable"])
_PROPAGATIONS = st.sampled_from(["shared"]) | _PROPAGATIONS_OF_BINDS
WHATS = st.one_of(
    st.builds(What, st.just("tmpfs"), _VARIANTS, RARELY, _PROPAGATIONS),
    st.builds(What, st.just("bind"), _VARIANTS, RARELY, _PROPAGATIONS_OF_BINDS),
    st.builds(What, st.sampled_from(["overlay", "loop"]), _VARIANTS, st.just(True), _PROPAGATIONS),
)
DAMAGES = ("hostname", "lo", "ip netns del", "holder", "cgroup", "ipc", "mnt", "uts")
PERSISTENT = st.sampled_from([None, None, None, False])
_Holds = t.Callable[[Model], bool]
_Rule = t.Callable[..., None]


def on(
    *parts: t.Callable[[Model], t.Iterable[t.Any]], **options: t.Any
) -> t.Callable[[_Rule], t.Any]:
    """A rule on one of the names that have what is asked for: the name and one of each of that."""

    def found(machine: t.Any) -> list[tuple[t.Any, ...]]:
        every = []
        for name in NAMES:
            chosen: list[tuple[t.Any, ...]] = [(name,)]
            for part in parts:
                chosen = [(*each, more) for each in chosen for more in part(machine.models[name])]
            every += chosen
        return every

    chosen = st.runner().flatmap(lambda machine: st.sampled_from(found(machine)))

    def decorated(function: _Rule) -> t.Any:
        return precondition(lambda machine: bool(found(machine)))(
            rule(chosen=chosen, **options)(function)
        )

    return decorated


def when(holds: _Holds) -> t.Callable[[Model], t.Iterable[t.Any]]:
    return lambda model: [True] if holds(model) else []


def mountable(model: Model) -> list[str]:
    return [place for place in PLACES if model.can_mount(place)]


def mounted(model: Model) -> list[str]:
    return [place for place in PLACES if place in model.live and model.is_open]


def changeable_by_hand(model: Model) -> list[str]:
    return [
        place
        for place in mounted(model)
        if model.live[place].kind != "foreign" and not (place == ROOT and model.pivoted)
    ]
