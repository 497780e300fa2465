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
import resource
import typing as t

from .. import actions as steps
from ..definition.layout import Layout
from ..namespace import enter
from ..namespace.target import Handles
from . import attach, build, explain, observe
from . import idmap as idmapped
from . import table as mount_table
from .plan import Action
from .view import TargetView
from .wanted import WantedMount


def apply(
    actions: t.Sequence[Action],
    wanted: t.Sequence[WantedMount],
    handles: Handles,
    *,
    host_proc: int,
    layout: Layout,
    host_mounts: t.Sequence[mount_table.Mount],
) -> list[mount_table.Mount]:
    """Carry out the planned ``actions`` for the ``wanted`` mounts; return what is there then.

    ``handles`` are the target's namespaces, ``host_mounts`` is the host's mount table. Raises
    StepFailed.
    """
    trees = _build_on_host(wanted, actions, host_mounts)

    def change() -> list[mount_table.Mount]:
        inside = TargetView(host_proc, layout)
        applier = attach.Applier(inside, wanted, trees)
        steps_to_take = [(action, applier.prepare) for action in actions if action.needs_source]
        steps_to_take += [(action, applier.apply) for action in actions]
        for action, step in steps_to_take:
            mount = wanted[action.position] if action.position >= 0 else None
            steps.run(
                action.name,
                functools.partial(step, action),
                explain=functools.partial(explain.mount, inside=inside, wanted=mount),
            )
        table = observe.Table(inside.mounts())
        seen = [observe.observe(inside, mount, table, host_devices=()).mount for mount in wanted]
        return [mount for mount in seen if mount is not None]

    try:
        found: list[mount_table.Mount] = enter.call(change, joins=handles)
        return found
    finally:
        for tree in trees.values():
            os.close(tree.fd)


def _build_on_host(
    wanted: t.Sequence[WantedMount],
    actions: t.Sequence[Action],
    host_mounts: t.Sequence[mount_table.Mount],
) -> dict[int, build.Tree]:
    """The mounts whose source is on the host, detached: they are carried into the target."""
    by_id = {mount.id: mount for mount in host_mounts}
    trees: dict[int, build.Tree] = {}
    _allow_descriptors(len(actions))
    try:
        for action in actions:
            if not action.needs_source or not wanted[action.position].needs_host:
                continue
            mount = wanted[action.position]
            trees[action.position] = steps.run(
                action.name,
                functools.partial(_build_one, mount, by_id),
                explain=functools.partial(explain.mount, inside=None, wanted=mount),
            )
    except BaseException:
        for tree in trees.values():
            os.close(tree.fd)
        raise
    return trees


def _build_one(wanted: WantedMount, by_id: dict[int, mount_table.Mount]) -> build.Tree:
    with contextlib.ExitStack() as stack:
        idmap = wanted.options.idmap
        userns = stack.enter_context(idmapped.opened(idmap)) if idmap else -1
        if not wanted.options.bind:
            return build.build(wanted, userns=userns)
        fd = os.open(wanted.src, os.O_PATH | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return build.clone(fd, wanted, source=observe.source_of(fd, by_id), userns=userns)


def _allow_descriptors(number: int) -> None:
    """Each detached mount is an open file: make room for as many as there are actions."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
