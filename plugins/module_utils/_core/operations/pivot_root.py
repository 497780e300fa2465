# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_pivot_root does: another root for a mount namespace.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import typing as t

from .. import actions, host_paths
from ..definition.layout import Layout, PivotNote, is_below
from ..definition.steps import PivotStep
from ..errors import KernelError, Refused
from ..mount import resolve, table
from ..mount.explain import pivot as explain
from ..mount.view import TargetView
from ..namespace.target import Handles, Target
from ..process import proc
from ..syscalls import detached, files
from ..syscalls import mounts as calls
from . import session
from .session import Session

if t.TYPE_CHECKING:
    from ..definition.model import Definition


class PivotRequest(t.NamedTuple):
    """A request of ns_pivot_root: see its documentation for the options."""

    target: Target
    new_root: str
    put_old: str = ""
    persistent: bool | None = None
    # In seconds.
    lock_timeout: float = 60.0

    def checked(self) -> PivotRequest:
        """This with clean paths, when it makes sense by itself. Raises Refused."""
        if self.target.is_host:
            raise Refused(
                "ns_pivot_root needs a target: it does not change the root of the host",
                "Give namespace, pid or namespace_path.",
            )
        session.check_can_persist(
            self.target,
            self.persistent,
            what="a pivot",
            hint="Use a named namespace, or leave persistent out.",
        )
        new_root = resolve.checked_absolute(self.new_root, option="new_root")
        if new_root == "/":
            raise Refused("new_root is / already", "Name the mount that is to become the root.")
        put_old = self.put_old
        if put_old:
            put_old = resolve.checked_absolute(put_old, option="put_old")
            if put_old == new_root or not is_below(put_old, new_root):
                raise Refused(
                    f"put_old {put_old} does not lie below new_root {new_root}",
                    "The old root can only be kept inside the new one (pivot_root(2)).",
                )
        return self._replace(new_root=new_root, put_old=put_old)


class PivotResult(t.NamedTuple):
    """What was (or in check mode: would be) done."""

    actions: list[str]
    # The root and the place of the old root.
    before: dict[str, str]
    after: dict[str, str]
    # Whether it is made again after a reboot.
    persistent: bool


class _Seen(t.NamedTuple):
    """What was found view."""

    # The new roots that it was pivoted to.
    pivoted: tuple[str, ...] = ()
    # The pivot that is still to be made.
    note: PivotNote | None = None
    # Where it was made: the place of an old root that was kept, as it is named now.
    old_root_at: str = ""
    # What tells the old root from what is mounted there since; empty where that is not known.
    old_root: str = ""
    # Why it cannot be reached, or not be told; else empty.
    hidden: str = ""

    @property
    def root(self) -> str:
        """The new root that is the root now."""
        return self.pivoted[-1] if self.pivoted else "/"


def run(request: PivotRequest, *, check: bool) -> PivotResult:
    """Bring the target's root to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    request = request.checked()
    with session.opened(
        request.target,
        check=check,
        lock_timeout=request.lock_timeout,
        persistent=request.persistent,
    ) as opened:
        return _run(request, opened, check=check)


def _run(request: PivotRequest, opened: Session, *, check: bool) -> PivotResult:
    definition = opened.definition
    step = PivotStep(request.new_root, request.put_old)
    recorded = definition.with_step(step, persistent=opened.persistent) if definition else None
    seen = _Seen()
    if not opened.is_to_come:
        _check_is_not_ours(request.target, opened.handles)
        kept = _recorded_put_old(definition, request.new_root) or request.put_old
        seen = opened.call(lambda view: _look(view, request, kept))
    change = _change(request, seen, layout_now=opened.layout._replace(pivoted=seen.pivoted))
    names = [change] if change else []
    record = f"record the pivot to {request.new_root}"
    if definition is not None and recorded is not None and recorded.steps_differ(definition):
        names.append(record)
    if not check and (names or recorded != definition):
        if seen.note is not None and definition is not None:
            noted = _noted(definition, seen.note, seen.pivoted)
            with actions.Step(record):
                opened.save(noted)
            definition = noted
        with contextlib.ExitStack() as stack:
            finish = None
            if definition is not None:
                with actions.Step(record):
                    saving = opened.saving(definition.with_step(step, persistent=opened.persistent))
                stack.callback(saving.give_up)
                finish = functools.partial(opened.finish, saving)
            if change:
                opened.call(lambda view: _apply(view, request, seen, change))
                if definition is not None and os.path.isdir(host_paths.NETNS_FILES):
                    from . import link_names  # for what most do not have

                    with actions.Step(change):
                        link_names.lay_all(opened)
            if finish is not None:
                actions.run(record, finish)
    before = {"root": seen.root, "old root": seen.old_root_at or "not there"}
    after = {"root": request.new_root, "old root": request.put_old or "not there"}
    return PivotResult(
        actions=names,
        before=before,
        # A root that was pivoted away from since, or named otherwise, is no difference.
        after=after if change else before,
        persistent=opened.persistent,
    )


def _check_is_not_ours(target: Target, handles: Handles) -> None:
    own = proc.ids_of_process("self", ["mnt"]).get("mnt")
    if "mnt" not in handles.kinds or handles.id_of("mnt") == own:
        raise Refused(
            f"{target} is in the host's own mount namespace, whose root is not changed",
            "Name a target with a mount namespace of its own.",
        )


def _change(request: PivotRequest, seen: _Seen, *, layout_now: Layout) -> str:
    """The name of what has to be done, or nothing. Raises Refused."""
    if request.new_root not in seen.pivoted:
        return f"pivot to {request.new_root}"
    if not seen.old_root_at and request.put_old:
        raise Refused(
            f"{request.target} was pivoted to {request.new_root} without keeping its old "
            "root, which is gone",
            "Remove the namespace and run the play again to have it kept.",
        )
    if seen.old_root_at == (layout_now.now(request.put_old) if request.put_old else ""):
        return ""
    if seen.hidden:
        raise Refused(seen.hidden, f"Unmount what is mounted on {seen.old_root_at} yourself first.")
    if not request.put_old:
        return f"detach the old root from {seen.old_root_at}"
    return f"move the old root to {request.put_old}"


def _recorded_put_old(definition: Definition | None, new_root: str) -> str:
    step = definition.find(PivotStep.do, new_root) if definition is not None else None
    return step.put_old if isinstance(step, PivotStep) else ""


def _noted(definition: Definition, note: PivotNote, pivoted: t.Collection[str]) -> Definition:
    """The definition with the note of a pivot that is about to be made.

    Afterwards the root is the mount with this id: that is how a later run knows that it was
    made, even when this one is killed right after it. A note that came to nothing goes.
    """
    done = [each for each in definition.pivoted if each.new_root in pivoted]
    return definition.replace(pivoted=(*done, note))


def _look(view: TargetView, request: PivotRequest, kept: str) -> _Seen:
    if request.new_root in view.layout.pivoted:
        if request.put_old:
            _check_put_old(view, request.put_old)
        return _with_old_root(view, _Seen(view.layout.pivoted), request.new_root, kept)
    if request.target.namespace is None and not view.exists(request.new_root):
        raise Refused(
            f"{request.new_root} does not exist in {request.target}",
            "A target without a name keeps no note of its pivots: it may have been made already.",
        )
    if not view.exists(request.new_root):
        raise _foreseen(
            explain.Cause(
                errno.ENOENT,
                f"new_root {request.new_root} does not exist in {request.target}",
                "Mount the new root there first, with linux.namespaces.ns_mount.",
            )
        )
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(view.opened(request.new_root))
        put_old = -1
        if request.put_old:
            _check_put_old(view, request.put_old)
            put_old = stack.enter_context(view.opened(request.put_old))
        cause = explain.new_root(view, fd, request.new_root, put_old=put_old)
        if cause is not None:
            raise _foreseen(cause)
        listed = files.place_of(fd).mount_id
        old = view.identity_of(view.root)
        note = PivotNote(request.new_root, files.unique_mount_id(fd), listed, old)
    return _Seen(view.layout.pivoted, note)


def _foreseen(cause: explain.Cause) -> Refused:
    """The failure that the system call would end in, told before anything is changed."""
    name = errno.errorcode[cause.errno]
    return Refused(cause.reason, cause.hint, syscall="pivot_root", errno=name)


def _check_put_old(view: TargetView, put_old: str) -> None:
    if not view.exists(put_old):
        raise _foreseen(
            explain.Cause(
                errno.ENOENT, f"put_old {put_old} does not exist", "Make that directory first."
            )
        )
    with view.opened(put_old) as fd:
        if not resolve.is_directory(fd):
            raise _foreseen(
                explain.Cause(errno.ENOTDIR, f"put_old {put_old} is not a directory", "Name one.")
            )


def _with_old_root(view: TargetView, seen: _Seen, new_root: str, kept: str) -> _Seen:
    """Where the old root of the pivot is mounted now, whatever else is mounted at its place since.

    ``kept`` is where it was put.
    """
    noted = [note.old for note in view.layout.noted if note.new_root == new_root]
    if not noted or not noted[-1]:
        return _at_its_place(view, seen, kept)
    number = int(noted[-1].partition(" ")[0])
    for row in view.mounts():
        if row.id == number and noted[-1].endswith(f" {row.device} {row.root}"):
            seen = seen._replace(old_root_at=row.path, old_root=noted[-1])
            if _opens(view, row.path, noted[-1]):
                return seen
            hidden = f"the old root lies beneath what was mounted on {row.path} since"
            return seen._replace(hidden=hidden)
    return seen


def _at_its_place(view: TargetView, seen: _Seen, kept: str) -> _Seen:
    """The same where the note is of version 0.1.0, which does not say what was the root."""
    if not kept or not view.exists(kept):
        return seen
    with view.opened(kept) as fd:
        place = files.place_of(fd)
        if not place.is_mount_root:
            return seen
        shown = [(row.device, row.root) for row in view.mounts() if row.id == place.mount_id]
    seen = seen._replace(old_root_at=view.layout.now(kept))
    with contextlib.suppress(OSError):
        rows = table.read("1/mountinfo", dir_fd=view.host_proc)
        if shown == [(row.device, row.root) for row in rows if row.path == "/"][-1:]:
            return seen
    return seen._replace(
        hidden=f"nothing tells whether what is mounted on {kept} is the old root: it was kept by an"
        " earlier version"
    )


def _opens(view: TargetView, path: str, identity: str) -> bool:
    """Whether the path leads to that very mount."""
    try:
        with resolve.opened_in(view.root, path) as fd:
            return view.identity_of(fd) == identity
    except KernelError:
        return False


@contextlib.contextmanager
def _old_root(view: TargetView, seen: _Seen) -> t.Iterator[int]:
    """The old root, open. Raises Refused where something was mounted on it just now."""
    with resolve.opened_in(view.root, seen.old_root_at) as fd:
        if seen.old_root and view.identity_of(fd) != seen.old_root:
            raise Refused(
                f"what is mounted on {seen.old_root_at} is not the old root any more",
                "Somebody has just mounted it: unmount it, and run again.",
            )
        yield fd


def _apply(view: TargetView, request: PivotRequest, seen: _Seen, name: str) -> None:
    def change() -> None:
        if seen.note is not None:
            _pivot(view, request)
        elif request.put_old:
            with _old_root(view, seen) as old_root, view.opened(request.put_old) as place:
                detached.move_mount(old_root, place)
        else:
            with _old_root(view, seen) as old_root:
                view.let_go(old_root)

    actions.run(
        name,
        change,
        explain=lambda error: explain.pivot_root(error, view, request.new_root, request.put_old),
    )


def _pivot(view: TargetView, request: PivotRequest) -> None:
    with view.opened(request.new_root) as new_root:
        if request.put_old:
            with view.opened(request.put_old) as put_old:
                calls.pivot_root(view.name(new_root), view.name(put_old))
            return
        # With new_root as put_old the old root comes to lie on top of the new one, without a
        # directory for it; from there it goes at once (pivot_root(2), NOTES). Where a run is
        # killed in between, the next one's TargetView() completes it.
        os.fchdir(new_root)
        calls.pivot_root(".", ".")
        view.let_go(view.root)
