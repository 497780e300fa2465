# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The plan: the ordered changes that turn the mounts that are there into the wanted ones.

Pure: data in, data out. attach.py carries it out.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.layout import Layout, ancestors, is_below
from ..definition.steps import MountStep
from ..errors import Refused
from . import options
from .compare import Differences, Observed, Source, differences
from .wanted import WantedMount


class Action(t.NamedTuple):
    """One change. ``name`` is for people; ``position`` tells which wanted mount it is about.

    ``position`` is -1 for a mount that nobody asked for, below ``exclusive_below``.
    """

    name: str
    verb: str
    path: str
    position: int = -1
    differences: Differences = Differences()

    @property
    def needs_source(self) -> bool:
        """Whether a new mount is built for it."""
        return self.verb in ("attach", "replace")


def plan(
    wanted: t.Sequence[WantedMount],
    observed: t.Sequence[Observed],
    *,
    layout: Layout,
    sources: t.Mapping[int, Source],
    recorded: t.Mapping[int, MountStep],
    surplus: t.Sequence[str] = (),
    may_be_missing: bool = False,
) -> list[Action]:
    """The actions for these mounts, in their order.

    ``sources`` and ``recorded`` are by index; a bind whose source is not known yet, because an
    earlier action makes it, is attached anew. ``surplus`` are paths to be unmounted since
    nobody asked for them, deepest first. With ``may_be_missing`` an earlier task would have
    made the sources that are not there. Raises Refused when a mount can never be made.
    """
    actions = [Action(f"unmount {path}", "unmount", path) for path in surplus]
    # Where a mount comes or goes, what was seen below it holds no longer.
    renewed = set(surplus)
    names: dict[str, str] = {}
    for index, (mount, seen) in enumerate(zip(wanted, observed)):
        name = layout.now(mount.path)
        is_below_renewed = any(above in renewed for above in ancestors(name))
        if is_below_renewed:
            seen = Observed(exists=True)
        _check_name(mount.path, seen.name, names)
        if not may_be_missing and index not in sources:
            _check_source(mount, layout.now(mount.src), renewed)
        steps = _plan_one(
            index,
            mount,
            seen,
            is_root=name == "/",
            may_check=not is_below_renewed,
            source=sources.get(index),
            recorded=recorded.get(index),
        )
        if any(step.needs_source or step.verb == "unmount" for step in steps):
            renewed.add(name)
        actions += steps
    return actions


def _plan_one(
    index: int,
    wanted: WantedMount,
    seen: Observed,
    *,
    is_root: bool,
    may_check: bool,
    source: Source | None,
    recorded: MountStep | None,
) -> list[Action]:
    path = wanted.path
    if wanted.state == "unmounted":
        if seen.mount is None:
            return []
        if is_root:
            raise Refused(f"{path} is the root of the target and cannot be unmounted")
        return [Action(f"unmount {path}", "unmount", path, index)]
    if wanted.state == "remounted" and seen.mount is None:
        raise Refused(
            f"nothing is mounted on {path}, so there is nothing to remount",
            "Use state: mounted.",
        )
    if may_check and wanted.state == "mounted":
        _check_target(wanted, seen, source)
    found = differences(wanted, seen, source=source, recorded=recorded)
    actions = []
    if found.replace:
        verb = "attach" if seen.mount is None else "replace"
        if verb == "replace" and is_root:
            raise Refused(
                f"{path} is the root of the namespace and differs in {', '.join(found.replace)}",
                "The root cannot be replaced under a running namespace: remove the namespace "
                "and run the play again.",
                recreate=True,
            )
        reasons = "" if verb == "attach" else f" (differs: {', '.join(found.replace)})"
        what = "mount" if verb == "attach" else "replace with"
        actions.append(Action(f"{what} {_title(wanted)} on {path}{reasons}", verb, path, index))
        return actions
    if seen.stacked and not is_root:
        actions.append(Action(f"unstack the mounts on {path}", "unstack", path, index))
    if found.reconfigure:
        words = ",".join(
            key if value is None else f"{key}={value}" for key, value in found.reconfigure
        )
        name = f"change options of {path}: {words}"
        actions.append(Action(name, "reconfigure", path, index, found))
    if found.attributes is not None:
        name = f"set flags of {path}: {','.join(options.words_of(found.attributes))}"
        actions.append(Action(name, "set flags", path, index, found))
    if found.propagation:
        name = f"make {path} {found.propagation}"
        actions.append(Action(name, "set propagation", path, index, found))
    return actions


def _check_name(path: str, name: str, names: dict[str, str]) -> None:
    if name and names.setdefault(name, path) != path:
        raise Refused(
            f"{path} is {name}, and so is {names[name]}",
            "Mounts are never stacked: name each place once.",
        )


def _check_source(wanted: WantedMount, name: str, renewed: t.Collection[str]) -> None:
    needs_it = wanted.state == "mounted" and wanted.options.bind and wanted.src_in == "namespace"
    if needs_it and name not in renewed and not any(each in renewed for each in ancestors(name)):
        raise Refused(
            f"src {wanted.src} does not exist in the target",
            "Create it first, or use src_in: host if it is on the host.",
        )


def _check_target(wanted: WantedMount, seen: Observed, source: Source | None) -> None:
    if not seen.exists:
        if wanted.options.make_path is None:
            raise Refused(
                f"{wanted.path} does not exist in the target",
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


def _title(wanted: WantedMount) -> str:
    if wanted.options.bind:
        return f"{'rbind' if wanted.options.bind_recursive else 'bind'} of {wanted.src}"
    return wanted.fstype


def surplus_below(
    paths: t.Iterable[str], above: str, wanted: t.Sequence[WantedMount], layout: Layout
) -> list[str]:
    """Which of the mounted ``paths`` lie below ``above`` and were not asked for, deepest first."""
    top = layout.now(above)
    kept = {layout.now(mount.path) for mount in wanted if mount.state != "unmounted"}
    found = {path for path in paths if path != top and is_below(path, top) and path not in kept}
    return sorted(found, key=lambda path: (-path.count("/"), path))
