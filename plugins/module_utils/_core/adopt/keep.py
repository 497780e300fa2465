# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Keeping the very namespaces that were adopted, under their new name.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os

from .. import actions
from ..definition.layout import PivotNote
from ..definition.model import Definition
from ..definition.steps import PivotStep, Step
from ..errors import Refused
from ..install import instance
from ..namespace import lock, network, pins
from ..namespace.target import Handles
from ..operations import inside, namespace_state, restore, whole
from ..options import definition as options
from ..options import table
from ..syscalls import files, mounts
from .adopted import Adopted

_LOCK_TIMEOUT = 60.0


def keep(found: Adopted, handles: Handles) -> None:
    """Pin the namespaces, which are open, and record what was said of them.

    Raises Refused, StepFailed, OSError.
    """
    name = found.name
    with lock.held(name, timeout=_LOCK_TIMEOUT):
        if namespace_state.is_there(name):
            raise Refused(
                f"there is a namespace {name!r} already", "Choose another name, or remove it."
            )
        _check_nobodys(found, handles)
        if "net" in found.kinds and not _is_of_ip_netns(name, handles):
            network.check_publishable(name)
        try:
            _record(found, handles)
        except BaseException as error:
            actions.undo(error, namespace_state.discarding(name))
            raise


def _check_nobodys(found: Adopted, handles: Handles) -> None:
    """Raises Refused where one of them has a name already: whoever ends that would end this."""
    ids = {handles.id_of(kind): kind for kind in found.kinds}
    for other in pins.names():
        for number in pins.pinned(other).values():
            if number in ids:
                raise Refused(
                    f"the {ids[number]} namespace is that of namespace {other} already",
                    "The option share has a namespace in common with another name.",
                )


def _record(found: Adopted, handles: Handles) -> None:
    name = found.name
    (request,) = options.requests_of(
        [table.read(options.NAMESPACE, found.options(), name)], lock_timeout=_LOCK_TIMEOUT
    )
    steps: list[Step] = [each.step() for each in request.mounts]
    steps += [step for step, _lasts in request.steps]
    pins.prepare(name)
    instance.keep(Definition(name, request.namespace.properties, steps=tuple(steps)))
    for kind in sorted(found.kinds, key=lambda each: each != "user"):
        pin = functools.partial(pins.pin_file, name, kind, f"/proc/self/fd/{handles.fd_of(kind)}")
        actions.run(f"pin {kind}", pin)
    definition = restore.loaded(name)
    pivot = next((step for step in steps if isinstance(step, PivotStep)), None)
    if pivot is not None:
        number, listed = inside.called_inside(name, lambda view: _root_ids(view.root))
        definition = definition.replace(pivoted=(PivotNote(pivot.new_root, number, listed),))
        instance.keep(definition)
    if "net" in found.kinds:
        actions.run(f"show {name} to ip netns", functools.partial(_publish, name, handles))
    with actions.Step(f"open namespace {name}"):
        whole.open_if_whole(name)


def _is_of_ip_netns(name: str, handles: Handles) -> bool:
    """Whether ip-netns(8) has this very namespace under the name."""
    try:
        status = os.stat(f"{network.NETNS}/{name}")
    except OSError:
        return False
    own = os.fstat(handles.fd_of("net"))
    return (status.st_dev, status.st_ino) == (own.st_dev, own.st_ino)


def _publish(name: str, handles: Handles) -> None:
    path = f"{network.NETNS}/{name}"
    if _is_of_ip_netns(name, handles) and not network.is_published(name):
        # The pin keeps it from now on, and who removes that is to have removed it.
        mounts.umount(path, flags=mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
        os.unlink(path)
    network.publish(name)


def _root_ids(root: int) -> tuple[int, int]:
    return files.unique_mount_id(root), files.place_of(root).mount_id
