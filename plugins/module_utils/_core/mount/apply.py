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
import os
import typing as t

from .. import actions
from ..definition.layout import Layout
from ..namespace import enter
from ..namespace.target import Handles
from . import attach, build, idmap, observe
from .changes import Change
from .explain import mount as explain
from .host_view import HostView
from .table import Mount, Table
from .view import TargetView
from .wanted import WantedMount


def apply(
    planned: t.Sequence[Change],
    wanted: t.Sequence[WantedMount],
    handles: Handles,
    *,
    host_proc: int,
    layout: Layout,
    host_mounts: t.Sequence[Mount],
) -> list[Mount]:
    """Carry out the plan for the ``wanted`` mounts; return those of them that are there then.

    ``handles`` are the target's namespaces, ``host_mounts`` is the host's mount table. Raises
    StepFailed.
    """

    def change() -> list[Mount]:
        view = TargetView(host_proc, layout)
        mounter = attach.Mounter(view, trees)
        for action in planned:
            if action.needs_source:
                _run(action, functools.partial(mounter.prepare, action.wanted), view)
        for action in planned:
            _run(action, functools.partial(action.apply, mounter), view)
        table = Table(view.mounts())
        seen = [observe.observe(view, mount, table, host_devices=()).mount for mount in wanted]
        return [mount for mount in seen if mount is not None]

    with build.room_for(len(planned)):
        by_id = {mount.id: mount for mount in host_mounts}
        trees = _built_on_host(planned, HostView(host_proc), by_id)
        try:
            found: list[Mount] = enter.run_inside(change, joins=handles)
            return found
        finally:
            for tree in trees.values():
                os.close(tree.fd)


def _run(action: Change, work: t.Callable[[], t.Any], view: TargetView | None) -> t.Any:
    look = functools.partial(explain.mount, view=view, wanted=action.wanted)
    return actions.run(action.name, work, explain=look)


def _built_on_host(
    planned: t.Sequence[Change], host: HostView, by_id: t.Mapping[int, Mount]
) -> dict[str, build.Tree]:
    """The mounts whose source is on the host, detached: they are carried into the target."""
    trees: dict[str, build.Tree] = {}
    try:
        for action in planned:
            if action.needs_source and action.wanted.needs_host:
                work = functools.partial(_built, action.wanted, host, by_id)
                trees[action.path] = _run(action, work, None)
    except BaseException:
        for tree in trees.values():
            os.close(tree.fd)
        raise
    return trees


def _built(wanted: WantedMount, host: HostView, by_id: t.Mapping[int, Mount]) -> build.Tree:
    with contextlib.ExitStack() as stack:
        asked = wanted.options.idmap
        userns = stack.enter_context(idmap.opened(asked)) if asked else -1
        if not wanted.options.bind:
            return build.build(wanted, host, userns=userns)
        fd = stack.enter_context(observe.source_on_host(wanted.src))
        return build.clone(fd, wanted, source=observe.source_of(fd, by_id), userns=userns)
