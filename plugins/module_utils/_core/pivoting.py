# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_pivot_root does: make a mount the root of a target's mount namespace.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from . import definition as definitions
from . import explain, paths, pins, spawn, steps
from .errors import Refused
from .inside import Inside, open_host_proc
from .layout import Layout, is_below
from .syscalls import files
from .syscalls import mounts as calls
from .targets import Target


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of ns_pivot_root: see its documentation for the options."""

    target: Target
    new_root: str
    put_old: str = ""
    persistent: bool | None = None
    lock_timeout: float = 60.0

    def checked(self) -> Request:
        """This with clean paths, when it makes sense by itself. Raises Refused."""
        if self.target.is_host:
            raise Refused(
                "ns_pivot_root needs a target: it does not change the root of the host",
                "Give namespace, pid or namespace_path.",
            )
        if self.persistent and self.target.namespace is None:
            raise Refused(f"a pivot in {self.target} cannot be persistent: it has no definition")
        new_root = paths.checked_absolute(self.new_root, option="new_root")
        if new_root == "/":
            raise Refused("new_root is / already", "Name the mount that is to become the root.")
        put_old = self.put_old
        if put_old:
            put_old = paths.checked_absolute(put_old, option="put_old")
            if put_old == new_root or not is_below(put_old, new_root):
                raise Refused(
                    f"put_old {put_old} does not lie below new_root {new_root}",
                    "The old root can only be kept inside the new one (pivot_root(2)).",
                )
        return dataclasses.replace(self, new_root=new_root, put_old=put_old)


@dataclasses.dataclass
class Outcome:
    """What was (or in check mode: would be) done."""

    actions: list[str]
    before: dict[str, str]
    after: dict[str, str]
    persistent: bool


class _Seen(t.NamedTuple):
    """What was found inside: is it pivoted, what the new root is, is the old root kept."""

    is_pivoted: bool
    mount_id: int = 0
    old_root_at: str = ""
    root: str = ""


def run(request: Request, *, check: bool) -> Outcome:
    """Bring the target's root to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    request = request.checked()
    name = request.target.namespace
    if name is None or check:
        return _run(request, check=check)
    if not request.target.exists():
        request.target.open()  # says that it does not exist, before a lock is made for it
    with pins.locked(name, timeout=request.lock_timeout):
        return _run(request, check=check)


def _run(request: Request, *, check: bool) -> Outcome:
    name = request.target.namespace
    definition = definitions.load(name) if name is not None else None
    layout = definition.layout if definition is not None else Layout()
    persistent = bool(
        definition is not None and definition.persistent and request.persistent is not False
    )
    pivot = f"pivot to {request.new_root}"
    step: definitions.Step = {"do": "pivot", "new_root": request.new_root}
    if request.put_old:
        step["put_old"] = request.put_old
    recorded = definition.with_step(step, persistent=persistent) if definition else None
    actions = []
    with contextlib.ExitStack() as stack:
        host_proc = open_host_proc()
        stack.callback(os.close, host_proc)
        if check and not request.target.exists():
            seen = _Seen(is_pivoted=False, root="/")
        else:
            handles = stack.enter_context(request.target.open(needs="mnt").only({"mnt", "user"}))
            kept = request.put_old or _recorded_put_old(definition, request.new_root)
            seen = spawn.call(
                lambda: _look(Inside(host_proc, layout), request, kept), joins=handles
            )
        if not seen.is_pivoted:
            actions.append(pivot)
        elif seen.old_root_at and not request.put_old:
            actions.append(f"detach the old root from {seen.old_root_at}")
        elif request.put_old and not seen.old_root_at:
            raise Refused(
                f"{request.target} was pivoted to {request.new_root} without keeping its old "
                "root, which is gone",
                "Remove the namespace and run the play again to have it kept.",
            )
        if definition is not None and recorded != definition:
            actions.append(f"record the pivot to {request.new_root}")
        if not check and actions:
            if not seen.is_pivoted and definition is not None:
                definition = _noted(definition, request.new_root, seen.mount_id, layout)
                definitions.save(definition)
            if not seen.is_pivoted or (seen.old_root_at and not request.put_old):
                spawn.call(
                    lambda: _change(Inside(host_proc, layout), request, seen, actions[0]),
                    joins=handles,
                )
            if definition is not None:
                final = definition.with_step(step, persistent=persistent)
                steps.run("record the pivot", lambda: definitions.save(final))
    return Outcome(
        actions=actions,
        before={"root": seen.root, "old root": seen.old_root_at or "not there"},
        after={"root": request.new_root, "old root": request.put_old or "not there"},
        persistent=persistent,
    )


def _recorded_put_old(definition: definitions.Definition | None, new_root: str) -> str:
    step = definition.find("pivot", new_root) if definition is not None else None
    return str(step.get("put_old", "")) if step is not None else ""


def _noted(
    definition: definitions.Definition, new_root: str, mount_id: int, layout: Layout
) -> definitions.Definition:
    """The definition with the note of a pivot that is about to be made.

    Afterwards the root is the mount with this id: that is how a later run knows that it was
    made, even when this one is killed right after it. A note that came to nothing goes.
    """
    done = [note for note in definition.pivoted if note["new_root"] in layout.pivoted]
    return dataclasses.replace(
        definition, pivoted=[*done, {"new_root": new_root, "mount": mount_id}]
    )


def _look(inside: Inside, request: Request, kept: str) -> _Seen:
    if request.new_root in inside.layout.pivoted:
        return _Seen(is_pivoted=True, old_root_at=_old_root(inside, kept), root=request.new_root)
    if request.target.namespace is None and not inside.exists(request.new_root):
        raise Refused(
            f"{request.new_root} does not exist in {request.target}",
            "A target without a name keeps no note of its pivots: it may have been made already.",
        )
    if not inside.exists(request.new_root):
        raise Refused(
            f"new_root {request.new_root} does not exist in {request.target}",
            "Mount the new root there first, with linux.namespaces.ns_mount.",
        )
    with inside.opened(request.new_root) as fd:
        reason, hint = explain.new_root(inside, fd, request.new_root)
        if reason:
            raise Refused(reason, hint, syscall="pivot_root")
        mount_id = files.unique_mount_id(fd)
    if request.put_old:
        _check_put_old(inside, request.put_old)
    root = inside.layout.pivoted[-1] if inside.layout.pivoted else "/"
    return _Seen(is_pivoted=False, mount_id=mount_id, root=root)


def _check_put_old(inside: Inside, put_old: str) -> None:
    if not inside.exists(put_old):
        raise Refused(f"put_old {put_old} does not exist", "Make that directory first.")
    with inside.opened(put_old) as fd:
        if not paths.is_directory(fd):
            raise Refused(f"put_old {put_old} is not a directory (pivot_root(2), ENOTDIR)")


def _old_root(inside: Inside, kept: str) -> str:
    """Where the old root is mounted now, or nothing when it is gone."""
    if kept and inside.exists(kept):
        with inside.opened(kept) as fd:
            if files.place_of(fd).is_mount_root:
                return inside.layout.now(kept)
    return ""


def _change(inside: Inside, request: Request, seen: _Seen, name: str) -> None:
    def explained(error: OSError) -> tuple[str, str]:
        return explain.pivot_root(error, inside, request.new_root, request.put_old)

    if seen.is_pivoted:
        steps.run(name, lambda: _detach_old(inside, seen.old_root_at), explain=explained)
    else:
        steps.run(name, lambda: _pivot(inside, request), explain=explained)


def _pivot(inside: Inside, request: Request) -> None:
    with inside.opened(request.new_root) as new_root:
        if request.put_old:
            with inside.opened(request.put_old) as put_old:
                calls.pivot_root(inside.name(new_root), inside.name(put_old))
            return
        # With new_root as put_old the old root comes to lie on top of the new one, without a
        # directory for it; from there it goes at once (pivot_root(2), NOTES).
        os.fchdir(new_root)
        calls.pivot_root(".", ".")
        calls.umount(".", flags=calls.MNT_DETACH)


def _detach_old(inside: Inside, path: str) -> None:
    with inside.opened(path) as fd:
        calls.umount(inside.name(fd), flags=calls.MNT_DETACH)
