# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_mount does: observe, plan, apply, record.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import typing as t

from . import definition as definitions
from . import mount_table, paths, pins, spawn, steps
from .errors import KernelError, Refused, StepFailed
from .inside import Inside, open_host_proc
from .layout import Layout
from .mounts import observe
from .mounts.compare import Observed, Source, WantedMount
from .mounts.plan import Action, plan, surplus_below
from .places import Step
from .syscalls import files
from .targets import Handles, Target


class Request(t.NamedTuple):
    """A checked request of ns_mount: see its documentation for the options."""

    target: Target
    wanted: tuple[WantedMount, ...]
    exclusive_below: str = ""
    persistent: bool | None = None
    lock_timeout: float = 60.0


class Outcome(t.NamedTuple):
    """What was (or in check mode: would be) done, and the mounts at the wanted paths.

    ``observed`` is what was there before, for each wanted mount; ``planned`` the changes.
    """

    actions: list[str]
    mounts: list[mount_table.Mount]
    persistent: bool
    wanted: tuple[WantedMount, ...]
    observed: list[Observed]
    planned: list[Action]

    @property
    def before(self) -> dict[str, str]:
        """A line for each wanted path: what was there."""
        return _described(self.wanted, self.observed, ())

    @property
    def after(self) -> dict[str, str]:
        """A line for each path that is wanted or changes: what is there then."""
        return _described(self.wanted, self.observed, self.planned)


def checked(wanted: WantedMount) -> WantedMount:
    """``wanted`` with clean paths, when it makes sense by itself. Raises Refused."""
    path = paths.checked_absolute(wanted.path, option="path")
    asked = wanted.options
    src = wanted.src
    if wanted.state == "mounted":
        if asked.bind:
            if wanted.fstype not in ("", "none", "bind"):
                raise Refused(
                    f"a bind on {path} has no file-system type of its own, not {wanted.fstype!r}",
                    "Leave fstype out.",
                )
            if not src:
                raise Refused(f"the bind on {path} needs src")
            src = paths.checked_absolute(src, option="src")
        elif not wanted.fstype:
            raise Refused(
                f"the mount on {path} needs fstype",
                "Give fstype, or add bind to opts.",
            )
        if asked.loop:
            src = paths.checked_absolute(src, option="src")
        for word, is_asked in (("loop", asked.loop), ("X-mount.idmap", bool(asked.idmap))):
            if is_asked and not wanted._replace(src=src).needs_host:
                raise Refused(
                    f"{word} of the mount on {path} needs a source on the host",
                    "Use src_in: host, with a bind, a device or an image.",
                )
    return wanted._replace(path=path, src=src)


def run(request: Request, *, check: bool) -> Outcome:
    """Bring the target's mounts to what is wanted; in check mode only say how.

    Raises Refused before anything was changed, StepFailed for the step that failed.
    """
    _check_paths_differ(request.wanted)
    name = request.target.namespace
    if request.persistent and name is None:
        raise Refused(
            f"a mount in {request.target} cannot be persistent: it has no definition",
            "Use a named namespace, or leave persistent out.",
        )
    if name is None or check:
        return _run(request, check=check)
    if not request.target.exists():
        request.target.open()  # says that it does not exist, before a lock is made for it
    with pins.locked(name, timeout=request.lock_timeout):
        return _run(request, check=check)


def _check_paths_differ(wanted: t.Sequence[WantedMount]) -> None:
    seen: set[str] = set()
    for mount in wanted:
        if mount.path in seen:
            raise Refused(
                f"{mount.path} is named twice", "Mounts are never stacked: name each path once."
            )
        seen.add(mount.path)


def _run(request: Request, *, check: bool) -> Outcome:
    name = request.target.namespace
    definition = definitions.load(name) if name is not None else None
    layout = definition.layout if definition is not None else Layout()
    # What this list mounts is a root for what it mounts below, from the first run on.
    own = {mount.path for mount in request.wanted if mount.state == "mounted"}
    layout = layout._replace(mounted=layout.mounted | own)
    persistent = bool(
        definition is not None and definition.persistent and request.persistent is not False
    )
    to_come = check and not request.target.exists()
    host_mounts = _host_mounts()
    sources = _host_sources(request.wanted, host_mounts, may_be_missing=check)
    recorded = _recorded(request.wanted, definition)
    with contextlib.ExitStack() as stack:
        host_proc = open_host_proc()
        stack.callback(os.close, host_proc)
        handles = None if to_come else stack.enter_context(_open(request))
        own_kinds = handles.names if handles is not None else ()
        devices = frozenset() if request.target.is_host else {mount.device for mount in host_mounts}

        def look() -> tuple[list[Action], list[Observed]]:
            inside = Inside(host_proc, layout)
            return _look(
                inside, request, sources, recorded, devices, own_kinds, may_be_missing=check
            )

        if handles is None:
            observed = [Observed(exists=True) for _mount in request.wanted]
            actions = plan(
                request.wanted,
                observed,
                layout=layout,
                sources=sources,
                recorded=recorded,
                may_be_missing=True,
            )
        else:
            try:
                actions, observed = spawn.call(look, joins=handles)
            except _Unseen as unseen:
                inside_again = functools.partial(Inside, host_proc, layout)
                raise _explained(unseen, request, handles, inside_again) from unseen
        after_definition = _recorded_after(definition, request.wanted, persistent=persistent)
        names = [action.name for action in actions]
        names += _record_names(definition, after_definition, request.wanted)
        mounts = [seen.mount for seen in observed if seen.mount is not None]
        if not check:
            if actions and handles is not None:
                # Only who changes something pays for this: to compile it costs as much as to do it.
                from . import mount_changes

                mounts = mount_changes.apply(
                    actions,
                    request.wanted,
                    handles,
                    host_proc=host_proc,
                    layout=layout,
                    host_mounts=host_mounts,
                )
            if after_definition is not None and after_definition != definition:
                steps.run("record the mounts", lambda: definitions.save(after_definition))
    return Outcome(
        actions=names,
        mounts=mounts,
        persistent=persistent,
        wanted=request.wanted,
        observed=observed,
        planned=actions,
    )


def _open(request: Request) -> Handles:
    """Open what has to be joined: the mount namespace, and those that the mounts depend on."""
    needed = {"mnt", "user"}
    needed |= {
        observe.SHOWS[each.fstype] for each in request.wanted if each.fstype in observe.SHOWS
    }
    return request.target.open(needs="mnt").only(needed)


def _host_mounts() -> list[mount_table.Mount]:
    path = "/proc/self/mountinfo"
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as table:
        return mount_table.parse(table.read())


def _host_sources(
    wanted: t.Sequence[WantedMount],
    host_mounts: t.Sequence[mount_table.Mount],
    *,
    may_be_missing: bool,
) -> dict[int, Source]:
    by_id = {mount.id: mount for mount in host_mounts}
    found = {}
    for index, mount in enumerate(wanted):
        if not (mount.needs_host and (mount.options.bind or mount.options.loop)):
            continue
        try:
            fd = os.open(mount.src, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            if may_be_missing:
                continue  # an earlier task of the play would have made it
            raise Refused(
                f"src {mount.src} cannot be opened on the host: {error.strerror}",
                "Create it first, or use src_in: namespace if it is inside the target.",
            ) from error
        try:
            found[index] = observe.source_of(fd, by_id)
            if mount.options.loop:
                from .mounts import loop

                devices = tuple(loop.devices_of(fd))
                found[index] = found[index]._replace(is_directory=True, devices=devices)
        finally:
            os.close(fd)
    return found


def _recorded(
    wanted: t.Sequence[WantedMount], definition: definitions.Definition | None
) -> dict[int, WantedMount]:
    if definition is None:
        return {}
    steps_now = definition.find_all("mount", [mount.path for mount in wanted])
    return {
        index: definitions.wanted_of(step)
        for index, step in enumerate(steps_now)
        if step is not None
    }


class _Unseen(Exception):
    """The place of the wanted mount at this index could not be looked at: (error, index)."""


def _explained(
    unseen: _Unseen, request: Request, handles: Handles, inside: t.Callable[[], Inside]
) -> StepFailed:
    from . import explain_mounts

    error, index = unseen.args
    mount = request.wanted[index]
    reason, hint = spawn.call(lambda: explain_mounts.mount(error, inside(), mount), joins=handles)
    return StepFailed(f"look at {mount.path}", error, reason, hint)


def _look(
    inside: Inside,
    request: Request,
    sources: dict[int, Source],
    recorded: dict[int, WantedMount],
    host_devices: t.Container[str],
    own_kinds: t.Container[str],
    *,
    may_be_missing: bool,
) -> tuple[list[Action], list[Observed]]:
    table = observe.Table(inside.mounts())
    observed = []
    sources = dict(sources)
    planned: list[str] = []
    for index, mount in enumerate(request.wanted):
        try:
            seen = observe.observe(
                inside, mount, table, host_devices=host_devices, own_kinds=own_kinds
            )
        except KernelError as error:
            raise _Unseen(error, index) from error
        except Refused:
            if not planned:
                raise
            seen = Observed(exists=True)  # below a mount that this very list makes
        observed.append(seen)
        planned.append(mount.path)
        if mount.state == "mounted" and mount.options.bind and mount.src_in == "namespace":
            with contextlib.suppress(KernelError, Refused), inside.opened(mount.src) as fd:
                sources[index] = observe.source_of(fd, table.by_id)
    surplus: list[str] = []
    if request.exclusive_below:
        surplus = _surplus(inside, request, table)
    actions = plan(
        request.wanted,
        observed,
        layout=inside.layout,
        sources=sources,
        recorded=recorded,
        surplus=surplus,
        may_be_missing=may_be_missing,
    )
    return actions, observed


def _surplus(inside: Inside, request: Request, table: observe.Table) -> list[str]:
    # What a later mount hides has a path below it too, but cannot be reached any more.
    try:
        with inside.opened(request.exclusive_below) as fd:
            top = table.by_id[files.place_of(fd).mount_id]
    except (KernelError, Refused) as error:
        if isinstance(error, Refused) or error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []  # this very list makes it, or nobody does
        raise
    reachable = [mount.path for mount in table.descendants(top)]
    return surplus_below(reachable, request.exclusive_below, request.wanted, inside.layout)


def _recorded_after(
    definition: definitions.Definition | None,
    wanted: t.Sequence[WantedMount],
    *,
    persistent: bool,
) -> definitions.Definition | None:
    if definition is None:
        return None
    changes: list[tuple[str, str, Step | None]] = []
    for mount in wanted:
        if mount.state == "unmounted":
            changes.append(("mount", mount.path, None))
        elif mount.state == "mounted":
            changes.append(("mount", mount.path, definitions.mount_step(mount)))
    return definition.with_changes(changes, persistent=persistent)


def _record_names(
    before: definitions.Definition | None,
    after: definitions.Definition | None,
    wanted: t.Sequence[WantedMount],
) -> list[str]:
    if before is None or after is None:
        return []
    paths_asked = [mount.path for mount in wanted]
    olds, news = (_found(each, paths_asked) for each in (before, after))
    return [
        f"{'record' if new else 'forget'} the mount on {path}"
        for path, old, new in zip(paths_asked, olds, news)
        if old != new
    ]


def _found(
    definition: definitions.Definition, named: t.Sequence[str]
) -> list[tuple[dict[str, t.Any], bool] | None]:
    """The steps that mount on these paths, and whether each outlives a reboot."""
    persistent = {id(step) for step in definition.steps}
    found = definition.find_all("mount", named)
    return [None if step is None else (step, id(step) in persistent) for step in found]


def _described(
    wanted: t.Sequence[WantedMount], observed: t.Sequence[Observed], actions: t.Sequence[Action]
) -> dict[str, str]:
    touched = {action.position for action in actions}
    lines = {}
    for index, (mount, seen) in enumerate(zip(wanted, observed)):
        if index in touched:
            lines[mount.path] = _line_of_wanted(mount)
        elif seen.mount is None:
            lines[mount.path] = "not mounted"
        else:
            lines[mount.path] = _line_of_mount(seen.mount)
    if any(action.position < 0 for action in actions):
        lines.update({action.path: "not mounted" for action in actions if action.position < 0})
    return lines


def _line_of_wanted(wanted: WantedMount) -> str:
    if wanted.state == "unmounted":
        return "not mounted"
    words = [wanted.fstype or "bind", wanted.src or "none", ",".join(wanted.words) or "defaults"]
    return " ".join([*words, wanted.propagation]).strip()


def _line_of_mount(mount: mount_table.Mount) -> str:
    words = [mount.fstype, mount.src or "none", ",".join((*mount.flags, *mount.options))]
    return " ".join([*words, mount.propagation])
