# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What to do so that nothing holds a path any more, in order.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import shlex
import typing as t

from .. import host_paths
from ..mount.table import Mount
from .holders import Found, Holder
from .holders_mounts import Holding, inside, title
from .holders_spaces import Space

# More are summed up.
_MOST = 8
_LAZY = (
    "umount --lazy only takes it out of sight: what is open goes on, and the device, the image or"
    " the directory stays in use until the last of these processes ends. It comes last, if at all."
)


class Steps(t.NamedTuple):
    """A sentence for each thing to do, the first first."""

    # For the mount that was asked about; for what is no mount of the host, all.
    here: list[str]
    # So that nobody has the file system of that mount any more.
    elsewhere: list[str]


def of(found: Found) -> Steps:
    """What to do; nothing where nothing holds it."""
    own = found.itself
    if own is None:
        return Steps(_cut(_all(found, found.holdings, found.processes)), [])
    uses = {each.pid: {use.mount for use in each.uses} for each in found.processes}
    users = [each for each in found.processes if own.mount.id in uses[each.pid]]
    here = [*_processes(users), *_before(found), *_of_tree(own)] if found.is_held else []
    if found.is_busy and users:
        here.append(_LAZY)
    others = [each for each in found.holdings if each is not own]
    rest = [each for each in found.processes if each not in users]
    elsewhere = [each for each in _all(found, others, rest) if each not in here]
    return Steps(_cut(here), _cut(elsewhere))


def _all(
    found: Found, holdings: t.Sequence[Holding], processes: t.Sequence[Holder]
) -> t.Iterator[str]:
    yield from _processes(processes)
    yield from (_of_upper(space, mount, "below") for space, mount in found.below)
    for hold in found.kernel:
        if hold.kind in ("overlay", "device"):
            yield hold.remedy
    yield from _before(found)
    for each in sorted(holdings, key=lambda each: each.space.is_host):
        if not each.follows:
            yield from _of_tree(each)
    yield from (each.remedy for each in found.kernel if each.comes_last)


def _before(found: Found) -> t.Iterator[str]:
    """What the kernel has open in it keeps the mount as well."""
    for hold in found.kernel:
        if hold.kind in ("swap", "loop") and not hold.comes_last:
            yield hold.remedy


def _of_tree(each: Holding) -> t.Iterator[str]:
    yield from (_of_upper(each.space, upper, "on") for upper in reversed(each.on_top))
    yield _of_holding(each)


def _cut(steps: t.Iterable[str]) -> list[str]:
    every = list(dict.fromkeys(steps))
    more = len(every) - 3 * _MOST
    return [*every[: 3 * _MOST], f"and {more} more like these"] if more > 1 else every


def _processes(holders: t.Sequence[Holder]) -> t.Iterator[str]:
    units: dict[str, list[Holder]] = {}
    for each in holders:
        units.setdefault(each.unit if each.unit.endswith(".service") else "", []).append(each)
    alone = units.pop("", [])
    for unit, members in units.items():
        yield f"stop {_service(unit)}: {_pids(members)}"
    if alone:
        yield f"end, or have them let go of it: {_pids(alone)}"


def _service(unit: str) -> str:
    command = f"systemctl stop {shlex.quote(unit)}"
    parts = unit[: -len(".service")].split(":")
    if len(parts) == 3 and parts[0] == "linux-namespaces":
        return (
            f"the service {parts[2]} of namespace {parts[1]} ({command}, or ns_service with"
            " state=stopped)"
        )
    return f"the service {unit} ({command})"


def _pids(holders: t.Sequence[Holder]) -> str:
    shown = ", ".join(f"{each.pid} ({each.short})" for each in holders[:_MOST])
    more = len(holders) - _MOST
    return f"{shown} and {more} more" if more > 0 else shown


def _of_upper(space: Space, mount: Mount, where: str) -> str:
    above, name = os.path.split(os.path.dirname(mount.path))
    if mount.fstype == "nsfs" and above == host_paths.BASE and host_paths.is_name(name):
        return f"take namespace {name} down, which is pinned {where} it: nsctl down {name}"
    what = f"unmount {mount.path} {inside(space)}, which lies {where} it"
    return f"{what}: {_command(space, mount.path)}"


def _of_holding(each: Holding) -> str:
    command = _command(each.space, each.mount.path)
    step = f"unmount {each.mount.path} {inside(each.space)}: {command}"
    if each.mount.path == "/":
        step = f"take {title(each.space)} down: / is its root"
        return f"{step}: nsctl down {each.space.name}" if each.space.name else step
    if ", as its definition says" in each.origin:
        step += " (or ns_mount with state=unmounted, so that `nsctl up` does not mount it again)"
    return step


def _command(space: Space, path: str) -> str:
    words = f"umount {shlex.quote(path)}"
    if space.is_host:
        return words
    is_open = any(pin.startswith(f"{host_paths.BASE}/{space.name}/") for pin in space.pins)
    if space.name and is_open:
        return f"nsctl exec {space.name} -- {words}"
    if space.pid:
        return f"nsenter --target {space.pid} --mount -- {words}"
    pin = space.pins[0] if space.pins else f"/proc/PID/ns/mnt of {space.id}"
    return f"nsenter --mount={shlex.quote(pin)} -- {words}"
