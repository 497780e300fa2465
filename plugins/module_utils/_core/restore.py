# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing a named namespace up from its definition, by the code that the modules run.

Why it could not be brought up is kept in /run/linux-namespaces/NAME/failed until it is.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import typing as t

from . import definition as definitions
from . import host_paths, id_maps, mounting, named, pins, pivoting, rooting, spawn
from .definition import Definition
from .errors import Refused, StepFailed, in_words
from .inside import Inside, open_host_proc
from .mount_table import Mount
from .places import Step
from .rootfs import recorded
from .targets import Target


class View(t.NamedTuple):
    """A namespace as it is: the new roots it was pivoted to, and its mounts."""

    pivoted: tuple[str, ...]
    mounts: list[Mount]


def loaded(name: str) -> Definition:
    """The definition of ``name``. Raises Refused where there is none or it is damaged."""
    definition = definitions.load(host_paths.checked_name(name))
    if definition is None:
        raise unknown(name)
    return definition


def unknown(name: str) -> Refused:
    """That there is no namespace of this name."""
    return Refused(
        f"there is no namespace {name!r} on this host",
        "`nsctl list` names those that there are.",
    )


def up(name: str, *, timeout: float) -> list[str]:
    """Make the namespace what its definition says; return the names of the steps taken.

    ``timeout`` is how long to wait for another run that changes it, in seconds. Raises
    Refused, StepFailed, OSError; the reason is kept for reason_of().
    """
    loaded(name)
    try:
        # One lock for all of it: what a play changes meanwhile must not be undone.
        with pins.locked(name, timeout=timeout):
            actions = plan(loaded(name), check=False, timeout=timeout)
    except (Refused, StepFailed, OSError) as error:
        keep_reason(name, in_words(error))
        raise
    forget_reason(name)
    return actions


def plan(definition: Definition, *, check: bool, timeout: float) -> list[str]:
    """The steps from what is there to what the definition says; taken, unless ``check``.

    Raises Refused, StepFailed, OSError.
    """
    with damage_refused(definition):
        wanted = wanted_of(definition)
    target = Target(namespace=definition.name)
    actions = named.present(wanted, check=check, timeout=timeout).actions
    # In a namespace that has just been created the steps that were not recorded are gone.
    current = definition if check else loaded(definition.name)
    view = look(current)
    for batch in _batches(current, view.pivoted if view is not None else ()):
        with damage_refused(current):
            run = _run_of(batch, target, batch[0] in current.steps, timeout)
        actions += run(check)
    return actions


def _batches(definition: Definition, pivoted: t.Collection[str]) -> t.Iterator[list[Step]]:
    """The steps that can be carried out, in order; neighbouring mounts go together."""

    def together(step: Step) -> t.Any:
        return (True, step in definition.steps) if step["do"] == "mount" else id(step)

    for _key, group in itertools.groupby(definition.within_reach(pivoted), together):
        yield list(group)


def wanted_of(definition: Definition) -> named.Wanted:
    """What ns_namespace was asked for, from what it recorded. Raises Refused, KeyError."""
    found = definition.properties
    maps = None
    if "id_map" in found:
        maps = id_maps.parse(found["id_map"], id_maps.Caller.of_this_process())
    return named.Wanted(
        name=definition.name,
        kinds=tuple(found["kinds"]),
        propagation=found["propagation"],
        hostname=found.get("hostname"),
        domainname=found.get("domainname"),
        id_maps=maps,
        loopback=found.get("loopback", True),
        sysctl=tuple(found.get("sysctl", {}).items()),
        time_offsets=tuple(found.get("time_offsets", {}).items()),
        persistent=definition.persistent,
    )


def look(definition: Definition) -> View | None:
    """The namespace as it is, or None where it has no mount namespace now."""
    if "mnt" not in pins.pinned(definition.name):
        return None
    view: View = called_inside(
        definition, lambda inside: View(inside.layout.pivoted, inside.mounts())
    )
    return view


def called_inside(definition: Definition, function: t.Callable[[Inside], t.Any]) -> t.Any:
    """What the function answers in the mount namespace of the definition."""
    host_proc = open_host_proc()
    try:
        with Target(namespace=definition.name).open() as handles:
            return spawn.call(
                lambda: function(Inside(host_proc, definition.layout)),
                joins=handles.only({"mnt", "user"}),
            )
    finally:
        os.close(host_proc)


def _run_of(
    batch: list[Step], target: Target, is_recorded: bool, timeout: float
) -> t.Callable[[bool], list[str]]:
    """What carries out these steps, which are of one kind, in the same way as their module."""
    persistent = None if is_recorded else False
    step = batch[0]
    if step["do"] == "mount":
        mounts = mounting.Request(
            target=target,
            wanted=tuple(mounting.checked(definitions.wanted_of(each)) for each in batch),
            persistent=persistent,
            lock_timeout=timeout,
        )
        return lambda check: mounting.run(mounts, check=check).actions
    if step["do"] == "pivot":
        pivot = pivoting.Request(
            target=target,
            new_root=step["new_root"],
            put_old=step.get("put_old", ""),
            persistent=persistent,
            lock_timeout=timeout,
        )
        return lambda check: pivoting.run(pivot, check=check).actions
    if step["do"] == "unpack":
        root = rooting.checked(
            rooting.Request(
                target=target,
                path=step["path"],
                source=recorded.source_of(step),
                digest=step["digest"],
                rules=recorded.rules_of(step),
                persistent=persistent,
                lock_timeout=timeout,
            )
        )
        return lambda check: rooting.run(root, check=check, progress=_say_nothing).actions
    raise KeyError(step["do"])


def _say_nothing(_text: str) -> None:
    pass


@contextlib.contextmanager
def damage_refused(definition: Definition) -> t.Iterator[None]:
    """Read what is in a definition: people edit such files, and make mistakes. Raises Refused."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(
            f"the definition of namespace {definition.name!r} is damaged: "
            f"{type(error).__name__}: {error}",
            f"Mend {definitions.DIRECTORY}/{definition.name}.json, or run the play again.",
        ) from error


def _reason_path(name: str) -> str:
    return f"{host_paths.directory(name)}/failed"


def reason_of(name: str) -> str:
    """Why the last attempt to bring the namespace up failed, or "" when it did not."""
    try:
        with open(_reason_path(name), encoding="utf-8") as kept:
            return kept.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def keep_reason(name: str, text: str) -> None:
    """Keep why a namespace that has a definition could not be brought up, for reason_of().

    Not while another run changes it, which comes to a newer end.
    """
    with contextlib.suppress(Refused, OSError):
        if not definitions.has_record(name):
            return
        with pins.locked(name, timeout=1):
            pins.prepare(name)
            beside = f"{_reason_path(name)}.new"
            with open(beside, "w", encoding="utf-8") as kept:
                kept.write(f"{text}\n")
            os.rename(beside, _reason_path(name))


def forget_reason(name: str) -> None:
    """The namespace is what it should be. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(_reason_path(name))
