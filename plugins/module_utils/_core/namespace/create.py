# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making the namespaces of a named namespace, and pinning them once they are set up.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import typing as t

from .. import actions, kinds
from ..errors import StepFailed
from ..process.become_root import become_root
from ..syscalls import mounts
from . import cgroups, holder_process, pid_holder, pins, settings, within
from .hold import hold
from .target import Handles, Target

if t.TYPE_CHECKING:
    from .id_map import IdMaps

# What the holder lives in besides its pid namespace, whether that is new or not.
_AROUND_HOLDER = ("user", "mnt")


class Making(t.NamedTuple):
    """What is made. See the documentation of ns_namespace."""

    kinds: t.Collection[str]
    # Of all mounts in a new mount namespace: private, slave, shared or unchanged.
    propagation: str
    # Of a new user namespace.
    id_maps: IdMaps | None
    # Of a new time namespace: (clock, seconds).
    time_offsets: t.Sequence[tuple[str, int]]
    # Those of the kinds that are made.
    settings: t.Sequence[settings.Setting]


def create(name: str, making: Making, *, pinned: t.Collection[str]) -> None:
    """Create namespaces for ``name`` and pin them; ``pinned`` are the kinds that it has already.

    The gate is closed. A pin appears only when its namespace is set up, so a killed run leaves
    some of them whole and the others missing, for the next run to create. Raises Refused,
    StepFailed, OSError.
    """
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in (None, *cpus):
        try:
            _create(name, making, pinned, cpu=cpu)
            return
        except StepFailed as error:
            # Only a mount namespace that is younger than the caller's can be pinned. Linux 6.18
            # compares their numbers, which every CPU gives out for itself: where the caller is
            # in a container, some CPUs still make such that count as older.
            is_refused = isinstance(error.cause, OSError) and error.cause.errno == errno.EINVAL
            counts_as_older = error.step == _pin_step("mnt") and is_refused
            if not counts_as_older or cpu == cpus[-1]:
                raise


def _create(
    name: str, making: Making, pinned: t.Collection[str], *, cpu: int | None = None
) -> None:
    for kind in making.kinds:
        pins.unpin(name, kind)
    makes_holder = "pid" in making.kinds
    if makes_holder:
        pid_holder.end(name)
    around = _AROUND_HOLDER if makes_holder else ("user",)
    joined = [kind for kind in around if kind in pinned and kind not in making.kinds]
    with contextlib.ExitStack() as stack:
        handles = (
            stack.enter_context(Target(namespace=name).open(joined, closed_too=True))
            if joined
            else None
        )
        becomes = None
        if makes_holder:
            becomes = functools.partial(
                holder_process.become, stack.enter_context(holder_process.shape())
            )
        with _on(cpu) as cpus:
            child = stack.enter_context(_born(making, handles, becomes, cpus))
        for setting in making.settings:
            settings.make(setting, functools.partial(_open_namespaces_of, child))
        for kind in kinds.KINDS:
            # In the order of the table: what a later run adds is to belong to the user namespace.
            if kind not in making.kinds:
                continue
            if kind == "pid":
                cgroups.give(name, cgroups.HOLDER, child)
                pid_holder.note(name, child)
            actions.run(
                _pin_step(kind), functools.partial(pins.pin, name, kind, child), explain=_explain
            )


def _pin_step(kind: str) -> str:
    return f"pin {kind}"


def _explain(error: OSError) -> tuple[str, str]:
    if error.errno == errno.EINVAL:
        return (
            (
                "the kernel takes the new mount namespace for an older one than that of this "
                "host, which is a container, and pins only younger ones"
            ),
            "Run the task again with another set of CPUs (taskset(1)), or outside of the container.",
        )
    return "", ""


@contextlib.contextmanager
def _on(cpu: int | None) -> t.Iterator[set[int]]:
    """Stay on one CPU, and let children do; with None on any. Yields those of before."""
    cpus = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield cpus
    finally:
        os.sched_setaffinity(0, cpus)


def _born(
    making: Making,
    joins: Handles | None,
    afterwards: t.Callable[[], t.NoReturn] | None,
    cpus: t.Collection[int],
) -> t.ContextManager[int]:
    """A process that lives in the new namespaces and waits, on any of the CPUs; its pid.

    This one, where it can come back from them: a child is a copy of it first.
    """
    if joins is None and afterwards is None and {*making.kinds} <= {*within.KINDS}:
        return within.new(making.kinds)

    def set_up() -> None:
        os.sched_setaffinity(0, cpus)
        if "user" in making.kinds:
            become_root()
        if "mnt" in making.kinds:
            if making.propagation != "unchanged":
                mounts.set_propagation_of_all(making.propagation)
            pins.forget_in_copy(shared_with_host=making.propagation in ("shared", "unchanged"))

    def map_ids(pid: int) -> None:
        if "user" in making.kinds and making.id_maps is not None:
            making.id_maps.write(pid)

    return hold(
        set_up,
        joins=joins,
        creates=making.kinds,
        time_offsets="".join(f"{clock} {seconds} 0\n" for clock, seconds in making.time_offsets),
        prepare=map_ids,
        afterwards=afterwards,
    )


def _open_namespaces_of(pid: int, names: t.Collection[str]) -> Handles:
    return Handles(
        {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in names}
    )
