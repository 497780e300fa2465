# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carrying out the plan of ns_mount: sources on the host first, then everything inside.

Everything that explains a failure is imported here, before the target is entered: nothing is
imported inside.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t

from .. import actions, redact
from ..definition.layout import Layout
from ..errors import Refused, StepFailed
from ..namespace import enter
from ..namespace.target import Handles
from ..syscalls import files, mounts
from ..syscalls.kernel_log import KernelLog
from . import attach, build, compare_options, idmap, ids, observe, peers
from .changes import Change
from .compare import Observed
from .explain import mount as explain
from .host_view import HostView
from .table import Mount, Table, paths_by_device
from .view import TargetView
from .wanted import WantedMount
from .where import NAMED, Where

# A path, and the id of the mount that was mounted on it.
Attached = tuple[str, int]


class Applied(t.NamedTuple):
    """What came of a plan."""

    # What is at the place of each wanted mount.
    observed: list[Observed]
    # What was mounted where nothing was, for take_back().
    attached: list[Attached]
    # The ids of all mounts in the target.
    there: frozenset[int]


def apply(
    planned: t.Sequence[Change],
    wanted: t.Sequence[WantedMount],
    handles: Handles,
    *,
    host_proc: int,
    layout: Layout,
    host_mounts: t.Sequence[Mount],
    before: t.Sequence[Observed],
    where: Where = NAMED,
) -> Applied:
    """Carry out the plan for the ``wanted`` mounts; say what is there then.

    ``handles`` are the target's namespaces, ``host_mounts`` is the host's mount table, ``before`` what
    was at each place. What was mounted is taken back where a later change fails. Raises StepFailed.
    """

    def run(action: Change, work: t.Callable[[], t.Any], view: TargetView | None) -> t.Any:
        log.skip()
        look = functools.partial(explain.mount, view=view, wanted=action.wanted, log=log)
        return actions.run(action.name, work, explain=look)

    def change() -> Applied:
        view = TargetView(host_proc, layout, where)
        mounter = attach.Mounter(view, trees, host_mounts)
        try:
            return change_by(mounter, view)
        except BaseException as error:
            actions.undo(error, _taking_back(view, mounter.attached, host_mounts))
            raise

    def change_by(mounter: attach.Mounter, view: TargetView) -> Applied:
        for action in planned:
            if action.needs_source:
                run(action, functools.partial(mounter.prepare, action.wanted), view)
        for action in planned:
            run(action, functools.partial(action.apply, mounter), view)
        gone = {mount.path for mount in wanted if mount.state == "unmounted"}
        # What was below it is looked for where it is now: nowhere.
        view.layout = view.layout._replace(mounted=view.layout.mounted - gone)
        table = Table(view.mounts())
        devices = paths_by_device(host_mounts) if handles.kinds else {}
        now = [observe.observe(view, mount, table, host_devices=devices) for mount in wanted]
        _check_changed(planned, wanted, before, now)
        return Applied(now, mounter.attached, frozenset(table.by_id))

    with build.room_for(len(planned)), KernelLog() as log:
        by_id = {mount.id: mount for mount in host_mounts}
        trees = _built_on_host(planned, HostView(host_proc), by_id, run)
        if "user" in handles.kinds:
            # Who joins that has no rights over the host's peer groups (user_namespaces(7)).
            trees = {path: tree.kept_whole() for path, tree in trees.items()}
        try:
            found: Applied = enter.run_inside(change, joins=handles)
            return found
        finally:
            for tree in trees.values():
                tree.close()


def _check_changed(
    planned: t.Sequence[Change],
    wanted: t.Sequence[WantedMount],
    before: t.Sequence[Observed],
    now: t.Sequence[Observed],
) -> None:
    """Raises StepFailed where the kernel took an option, and let it be as it was."""
    changed = {change.wanted: change for change in planned if change.found.reconfigure}
    for mount, old, new in zip(wanted, before, now):
        change = changed.get(mount)
        if change is None or change.replaces or old.mount is None or new.mount is None:
            continue
        words = compare_options.not_taken(change.found.reconfigure, old.mount, new.mount)
        if words:
            refused = Refused(
                f"the kernel took {', '.join(words)}, and still shows "
                f"{','.join(redact.words(new.mount.options))}",
                "What a file system takes only when it is mounted needs it unmounted first (state: "
                "unmounted), everywhere.",
            )
            raise StepFailed(change.name, refused, refused.reason, refused.hint)


def take_back(
    attached: t.Sequence[Attached], host_mounts: t.Sequence[Mount], view: TargetView
) -> None:
    """Unmount what apply() has mounted where nothing was. Raises KernelError, Refused."""
    for part in _taking_back(view, attached, host_mounts):
        part()


def _taking_back(
    view: TargetView, attached: t.Sequence[Attached], host_mounts: t.Sequence[Mount]
) -> t.Iterator[t.Callable[[], None]]:
    for path, mount_id in reversed(attached):
        yield functools.partial(_take_back, view, path, mount_id, host_mounts)


def _take_back(view: TargetView, path: str, mount_id: int, host_mounts: t.Sequence[Mount]) -> None:
    with view.opened(path) as fd:
        if files.place_of(fd).mount_id == mount_id:
            with peers.parted(view, path, host_mounts):
                mounts.umount(view.name(fd), flags=mounts.MNT_DETACH)


def _built_on_host(
    planned: t.Sequence[Change],
    host: HostView,
    by_id: t.Mapping[int, Mount],
    run: t.Callable[[Change, t.Callable[[], t.Any], None], t.Any],
) -> dict[str, build.Tree]:
    """The mounts whose source is on the host, detached: they are carried into the target."""
    trees: dict[str, build.Tree] = {}
    try:
        for action in planned:
            if action.needs_source and action.wanted.needs_host:
                work = functools.partial(_built, action, host, by_id)
                trees[action.path] = run(action, work, None)
    except BaseException:
        for tree in trees.values():
            tree.close()
        raise
    return trees


def _built(action: Change, host: HostView, by_id: t.Mapping[int, Mount]) -> build.Tree:
    wanted = action.wanted
    with contextlib.ExitStack() as stack:
        asked = wanted.options.idmap
        userns = stack.enter_context(idmap.opened(asked)) if asked else -1
        if not wanted.options.bind:
            ids.check_numbers(wanted)
            return build.build(wanted, host, userns=userns, replaces=action.replaces)
        fd = stack.enter_context(observe.source_on_host(wanted.src))
        return build.clone(fd, wanted, source=observe.source_of(fd, by_id), userns=userns)
