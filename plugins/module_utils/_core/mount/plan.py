# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The plan: the ordered changes that turn the mounts that are there into the wanted ones.

Pure: data in, data out.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.layout import Layout, ancestors
from ..definition.steps import MountStep
from ..errors import Refused
from .changes import (
    Attach,
    Change,
    Reconfigure,
    Replace,
    SetFlags,
    SetPropagation,
    SetRoot,
    Unmount,
    Unstack,
)
from .compare import (
    LoopDevice,
    Observed,
    RootOf,
    Source,
    device_to_replace,
    differences,
    is_to_be_unstacked,
)
from .wanted import WantedMount
from .where import NAMED, Where


def plan(
    wanted: t.Sequence[WantedMount],
    observed: t.Sequence[Observed],
    *,
    layout: Layout,
    sources: t.Mapping[int, Source],
    recorded: t.Mapping[int, MountStep],
    surplus: t.Sequence[str] = (),
    may_be_missing: bool = False,
    covers: bool = False,
    where: Where = NAMED,
) -> list[Change]:
    """The actions for these mounts, in their order.

    ``sources`` and ``recorded`` are by index; a bind whose source is not known yet, because an
    earlier action makes it, is attached anew. ``surplus`` are paths to be unmounted since
    nobody asked for them, deepest first. With ``may_be_missing`` an earlier task would have
    made the sources that are not there. With ``covers`` a mount that would be replaced is
    covered by the new one. ``where`` is for people. Raises Refused when a mount can never be made.
    """
    actions: list[Change] = [Unmount(WantedMount(path, state="unmounted")) for path in surplus]
    # Where a mount comes or goes, what was seen below it holds no longer.
    renewed = set(surplus)
    names: dict[str, str] = {}
    for index, (mount, seen) in enumerate(zip(wanted, observed)):
        name = layout.now(mount.path)
        is_below_renewed = any(above in renewed for above in ancestors(name))
        if is_below_renewed:
            seen = Observed(exists=True)
        _check_name(mount.path, seen.name, names)
        source = sources.get(index)
        lacks_source = source is None and _lacks_source(mount, layout.now(mount.src), renewed)
        if mount.left_out or (lacks_source and mount.may_be_absent_inside):
            continue
        if lacks_source and not may_be_missing:
            raise Refused(
                f"src {mount.src} does not exist {where.there}",
                "Create it first, or use src_in: host if it is on the host.",
            )
        if mount.state == "mounted" and not is_below_renewed:
            _check_target(mount, seen, source, where)
        found = _plan_one(
            mount, seen, source, recorded.get(index), root=where if name == "/" else None
        )
        if covers:
            found = [Attach(mount) if isinstance(each, Replace) else each for each in found]
        if any(action.renews for action in found):
            renewed.add(name)
        actions += found
    return actions


def _plan_one(
    wanted: WantedMount,
    seen: Observed,
    source: Source | None,
    recorded: MountStep | None,
    *,
    root: Where | None,
) -> list[Change]:
    path, is_root = wanted.path, root is not None
    if wanted.state == "unmounted":
        if seen.mount is None:
            return []
        if is_root:
            raise Refused(f"{path} is the root of the target and cannot be unmounted")
        return [Unmount(wanted)]
    if wanted.state == "remounted" and seen.mount is None:
        raise Refused(
            f"nothing is mounted on {path}, so there is nothing to remount",
            "Use state: mounted.",
        )
    if seen.mount is None:
        _check_image(wanted, source, replaces_read_only=False)
        return [Attach(wanted)]
    found = differences(wanted, seen, source=source, recorded=recorded)
    if found.replace:
        device = device_to_replace(seen.mount, wanted, source)
        _check_device(wanted, device)
        _check_image(wanted, source, replaces_read_only=device is not None)
        if root is not None:
            raise Refused(
                f"{path} is {root.root} and differs in {', '.join(found.replace)}",
                root.new_root,
                recreate=root is NAMED,
            )
        return [Replace(wanted, found)]
    if (seen.is_shared or seen.is_hosts) and ("ro", None) in found.reconfigure:
        raise Refused(
            f"the file system on {path} is mounted on the host as well, which would not write to it any "
            "more",
            "Use ro=vfs, which is for this mount alone.",
        )
    actions: list[Change] = []
    if is_to_be_unstacked(wanted, seen, is_root=is_root):
        actions.append(Unstack(wanted))
    if found.reconfigure:
        actions.append(Reconfigure(wanted, found))
    if found.attributes is not None:
        actions.append(SetFlags(wanted, found))
    if found.propagation:
        actions.append(SetPropagation(wanted, found))
    if found.root != RootOf():
        actions.append(SetRoot(wanted, found))
    return actions


def _check_device(wanted: WantedMount, device: LoopDevice | None) -> None:
    if device is not None and not device.autoclear:
        raise Refused(
            f"{device.path}, which is mounted on {wanted.path}, can only be read: somebody else has "
            f"attached {wanted.src} to it so, and keeps it",
            f"Add ro to opts. Or unmount it and detach it (losetup --detach {device.path}), and run "
            "this again.",
        )


def _check_image(wanted: WantedMount, source: Source | None, *, replaces_read_only: bool) -> None:
    if not wanted.options.loop or source is None or not source.devices:
        return
    # For who mounts an image that is attached already.
    from . import loop_conflict

    loop_conflict.check(
        loop_conflict.overlapping(source.devices, source.part),
        source.part,
        wanted.src,
        may_be_read=wanted.options.reads_only or replaces_read_only,
    )


def _check_name(path: str, name: str, names: dict[str, str]) -> None:
    if name and names.setdefault(name, path) != path:
        raise Refused(
            f"{path} is {name}, and so is {names[name]}",
            "Mounts are never stacked: name each place once.",
        )


def _lacks_source(wanted: WantedMount, name: str, renewed: t.Collection[str]) -> bool:
    """Whether a source in the target that was not found does not come with this very plan."""
    needs_it = wanted.state == "mounted" and wanted.options.bind and wanted.src_in == "namespace"
    is_to_come = name in renewed or any(each in renewed for each in ancestors(name))
    return needs_it and not is_to_come


def _check_target(wanted: WantedMount, seen: Observed, source: Source | None, where: Where) -> None:
    if not seen.exists:
        if wanted.options.make_path is None:
            raise Refused(
                f"{wanted.path} does not exist {where.there}",
                "Create it, or add X-mount.mkdir to opts.",
            )
        return
    wants_directory = source.is_directory if source is not None else True
    if wanted.options.bind and source is None:
        return
    if wants_directory != seen.is_directory:
        kind = {True: "a directory", False: "not a directory"}
        raise Refused(
            f"{wanted.path} is {kind[seen.is_directory]}, but what is mounted on it is "
            f"{kind[wants_directory]}",
            "A directory is mounted on a directory, a file on a file (mount(2), ENOTDIR).",
        )
