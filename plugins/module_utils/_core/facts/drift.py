# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a named namespace differs from its definition: mounts wanted and observed, side by side.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import host_paths
from ..definition.layout import Layout, is_below
from ..definition.model import Definition
from ..definition.steps import MountStep, PivotStep
from ..errors import Refused, StepFailed, in_words
from ..mount import resolve, table
from ..mount.table import Mount
from ..mount.view import TargetView
from ..mount.wanted import WantedMount
from ..namespace import pins
from ..namespace.target import Target
from ..operations import as_defined, inside, restore
from ..operations.mount import MountRequest, run
from ..operations.mount_result import MountResult
from ..syscalls import files

AS_WANTED = "ok"
MISSING = "missing"
DIFFERS = "differs"
SURPLUS = "surplus"
LEFT_OUT = "left out"
_NOT_ASKED = "noauto: it is mounted by the task that names it"


# The devices, and what of them, that the host has mounted somewhere.
_OnHost = t.Collection[tuple[str, str]]


class Row(t.NamedTuple):
    """One place in the namespace."""

    # AS_WANTED, MISSING, DIFFERS, SURPLUS, or LEFT_OUT: nothing is mounted, as nofail and noauto let it.
    state: str
    # Its name now.
    path: str
    # None for a mount that nobody asked for.
    wanted: WantedMount | None = None
    # None where nothing is mounted.
    observed: Mount | None = None
    # What would mend it.
    remark: str = ""


def as_data(row: Row) -> dict[str, t.Any]:
    """The row as results show it."""
    return {
        "state": row.state,
        "path": row.path,
        "wanted": row.wanted.step().shown().to_data() if row.wanted is not None else None,
        "observed": table.as_data(row.observed) if row.observed is not None else None,
        "remark": row.remark,
    }


class Drift(t.NamedTuple):
    """How a namespace differs from its definition."""

    mounts: list[Row]
    # The steps that `nsctl up` would take.
    changes: list[str]
    # The new root of the last pivot that was made, "/" without one.
    root: str


def of_many(every: t.Sequence[Definition]) -> list[Drift | None]:
    """How these differ from their definitions, where it is for certain that they do not; None: of() has to look.

    They are entered one after the other, by one process. Raises KernelError, OSError.
    """
    host = {(mount.device, mount.root) for mount in table.read()}
    return [
        _as_defined(look, host) if look is not None else None for look in as_defined.looks(every)
    ]


def _as_defined(look: as_defined.Look, host: _OnHost) -> Drift | None:
    if None in look.observed:  # what was left out is told with the reason
        return None
    layout = Layout(pivoted=look.pivoted)
    rows = [
        Row(AS_WANTED, layout.now(wanted.path), wanted, mount)
        for wanted, mount in zip(look.wanted, look.observed)
    ]
    found = surplus(look.mounts, rows, host, is_pivoted=bool(look.pivoted))
    if found and not look.pivoted:  # which may have come from the host
        return None
    return Drift(rows + found, [], look.pivoted[-1] if look.pivoted else "/")


def of(definition: Definition) -> Drift:
    """Compare the namespace with its definition. Raises KernelError, OSError."""
    view = inside.look(definition)
    pivoted = view.pivoted if view is not None else ()
    layout = Layout(pivoted=pivoted)
    within, beyond = _mount_steps(definition, pivoted)
    if view is None:
        within, beyond = [], within + beyond
    compared: dict[tuple[t.Any, ...], Row] = {}

    def tell(steps: t.Sequence[MountStep], result: MountResult) -> None:
        rows = _rows(tuple(map(WantedMount.of, steps)), result, layout)
        compared.update(zip((step.key() for step in steps), rows))

    changes = _changes(definition, tell)
    # Those that nobody mounts unless asked, and what could not be looked at together.
    left = [step for step in within if step.key() not in compared]
    compared.update(zip((step.key() for step in left), _compared(definition.name, left, layout)))
    rows = [compared[step.key()] for step in within]
    rows += [Row(MISSING, step.path, WantedMount.of(step)) for step in beyond]
    if view is not None:
        kept_roots = [
            layout.now(step.put_old)
            for step in definition.all_steps
            if isinstance(step, PivotStep) and step.put_old
        ]
        found = surplus(
            view.mounts,
            rows,
            {(mount.device, mount.root) for mount in table.read()},
            kept_roots=kept_roots,
            is_pivoted=bool(pivoted),
        )
        rows += found if pivoted else _without_inherited(definition, found)
    return Drift(rows, changes, pivoted[-1] if pivoted else "/")


def _mount_steps(
    definition: Definition, pivoted: t.Collection[str]
) -> tuple[list[MountStep], list[MountStep]]:
    """The mounts that can be looked at, and those that wait for a pivot that was not made."""
    within: list[MountStep] = []
    beyond: list[MountStep] = []
    found = within
    for step in definition.within_reach(pivoted):
        if isinstance(step, PivotStep) and step.new_root not in pivoted:
            found = beyond
        if isinstance(step, MountStep):
            found.append(step)
    return within, beyond


def _compared(name: str, recorded: t.Sequence[MountStep], layout: Layout) -> list[Row]:
    wanted = tuple(WantedMount.of(step).checked() for step in recorded)
    if not wanted:
        return []
    try:
        result = run(MountRequest(Target(namespace=name), wanted), check=True)
    except Refused as error:
        if len(wanted) == 1:
            path = layout.now(wanted[0].path)
            state = LEFT_OUT if wanted[0].only_if_asked else MISSING
            return [Row(state, path, wanted[0], remark=in_words(error))]
        return [row for step in recorded for row in _compared(name, [step], layout)]
    return _rows(wanted, result, layout)


def _rows(wanted: t.Sequence[WantedMount], result: MountResult, layout: Layout) -> list[Row]:
    rows = []
    for each, found, seen in zip(wanted, result.wanted, result.observed):
        changes = [change.name for change in result.planned if change.wanted == found]
        state = DIFFERS if changes else AS_WANTED
        remark = "; ".join(changes)
        if seen.mount is None:
            state = LEFT_OUT if each.only_if_asked or not changes else MISSING
            remark = _NOT_ASKED if each.only_if_asked else found.left_out or remark
        rows.append(Row(state, layout.now(each.path), each, seen.mount, remark))
    return rows


def surplus(
    mounts: t.Sequence[Mount],
    rows: t.Sequence[Row],
    on_host: _OnHost,
    *,
    kept_roots: t.Sequence[str] = (),
    is_pivoted: bool,
) -> list[Row]:
    """The mounts that nobody asked for. Pure.

    A namespace begins as a copy of the host's: what the host has as well came with it, unless
    it lies below a mount of the definition, or the namespace was pivoted since. Neither does
    a recursive bind's source count, nor the old root where it was kept.
    """
    expected = {row.observed.id for row in rows if row.observed is not None}
    places = [row.path for row in rows if row.wanted is not None and row.path != "/"]
    bound = [row.path for row in rows if row.wanted and row.wanted.options.bind_recursive]
    found = []
    for mount in table.reachable(mounts):
        if mount.id in expected or mount.path == "/":
            continue
        if any(is_below(mount.path, kept) for kept in kept_roots):
            continue
        if f"{os.path.basename(host_paths.SOCKETS)}/" in mount.root:  # a socket of a service
            continue
        may_be_hosts = _is_below_any(mount.path, bound) or not (
            is_pivoted or _is_below_any(mount.path, places)
        )
        if may_be_hosts and (mount.device, mount.root) in on_host:
            continue
        found.append(Row(SURPLUS, mount.path, observed=mount))
    return found


def _without_inherited(definition: Definition, rows: list[Row]) -> list[Row]:
    """Without those that came from the host, which has unmounted its own since.

    They are older than the pin, by an id that grows with each mount: from Linux 6.8 on.
    """
    if not rows:
        return rows
    pin = os.open(pins.path_now(definition.name, "mnt"), os.O_PATH | os.O_CLOEXEC)
    try:
        newest = files.unique_mount_id(pin)
    finally:
        os.close(pin)

    def look(view: TargetView) -> list[bool]:
        return [_is_older(view, row.observed, newest) for row in rows]

    older = inside.called_inside(definition.name, look)
    return [row for row, is_older in zip(rows, older) if not is_older]


def _is_older(view: TargetView, mount: Mount | None, newest: int) -> bool:
    if mount is None:
        return False
    with contextlib.suppress(OSError), resolve.opened_in(view.root, mount.path) as fd:
        number = files.unique_mount_id(fd)
        is_unique = number != mount.id and files.place_of(fd).mount_id == mount.id
        return is_unique and number < newest
    return False


def _is_below_any(path: str, above: t.Iterable[str]) -> bool:
    return any(is_below(path, each) for each in above)


def _changes(definition: Definition, tell: restore.Compared) -> list[str]:
    try:
        return restore.plan(definition, check=True, timeout=0, tell=tell)
    except (Refused, StepFailed) as error:
        return [in_words(error)]
