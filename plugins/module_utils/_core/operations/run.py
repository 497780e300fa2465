# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_unshare_run and ns_setns_run do: run a program in namespaces, and wait for its end.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import glob
import os
import time
import typing as t

from .. import actions, kinds
from ..errors import Refused
from ..launch import start
from ..launch.setup import Surroundings
from ..namespace import explain, id_map
from ..namespace.target import Handles, Target
from ..process import descendants, signals
from ..process.execute import NotStarted
from ..process.pipes import Pipes
from ..process.program import Program
from . import mount_look
from .mount_result import left_out_in_words

EXISTS = "exists"
MISSING = "missing"
WOULD_RUN = "would run"
HOST = Target()


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """A request of one of the two modules: see their documentation for the options."""

    program: Program
    # What is joined.
    target: Target = HOST
    # The kinds of it that are joined; None for all.
    joins: tuple[str, ...] | None = None
    # Whether a named namespace is joined that is not whole.
    incomplete: bool = False
    # The kinds that are made.
    creates: tuple[str, ...] = ()
    surroundings: Surroundings = start.NOTHING_AROUND
    id_map: t.Any = None
    time_offsets: tuple[tuple[str, int], ...] | None = None
    # The program that gives it a network; empty for none.
    network: str = ""
    stdin: bytes = b""
    # The options creates and removes.
    unless_exists: str | None = None
    only_if_exists: str | None = None
    # In seconds.
    timeout: float | None = None

    def checked(self) -> RunRequest:
        """This request when it makes sense by itself. Raises Refused."""
        self.program.checked()
        unknown = sorted({*self.creates, *(self.joins or ())} - set(kinds.KINDS))
        if unknown:
            raise Refused(
                f"unknown kinds of namespace: {', '.join(unknown)}",
                f"The kinds are {', '.join(kinds.NAMES)}.",
            )
        self.surroundings.checked(self.creates)
        for option, value, kind in (
            ("id_map", self.id_map, "user"),
            ("time_offsets", self.time_offsets, "time"),
        ):
            if value is not None and kind not in self.creates:
                raise Refused(f"{option} needs the kind {kind}", f"Add {kind} to kinds.")
        if self.network:
            # For what most do not have.
            from ..launch import user_network

            user_network.check(self.network, self.creates)
        if self.timeout is not None and self.timeout <= 0:
            raise Refused(f"timeout must be a number of seconds above zero, not {self.timeout}")
        return self


@dataclasses.dataclass
class RunResult:
    """How the program ended, or why it was not run."""

    # The exit code, or -N for the signal N.
    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    # The ids of those that it lived in, by kind.
    namespaces: dict[str, int] = dataclasses.field(default_factory=dict)
    actions: list[str] = dataclasses.field(default_factory=list)
    # EXISTS or MISSING where unless_exists or only_if_exists forbade it, WOULD_RUN in check mode.
    skipped_for: str = ""
    timed_out: bool = False
    # Which of its mounts are left out, and why.
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def signal(self) -> str:
        """The name of the signal that ended the program, or empty."""
        if self.status >= 0:
            return ""
        return signals.name_of(-self.status)


def run(request: RunRequest, *, check: bool) -> RunResult:
    """Run the program and wait for its end; in check mode only find out whether it would run.

    Raises Refused before anything was done, StepFailed for the step that failed.
    """
    request.checked()
    conditional = request.unless_exists is not None or request.only_if_exists is not None
    root = request.surroundings.root
    to_come = not request.target.exists() or bool(root and not os.path.isdir(root))
    if check and (to_come or not conditional):
        # An earlier task of the play may be what makes the target or the root.
        return RunResult(skipped_for=WOULD_RUN, actions=[_name(request)])
    maps = None
    if "user" in request.creates:
        maps = id_map.parse(
            "root" if request.id_map is None else request.id_map, id_map.Caller.of_this_process()
        )
    request, warnings = _looked_up(request)
    opened = request.target.open(request.joins, closed_too=request.incomplete)
    with opened as handles, Pipes(request.stdin) as pipes:
        try:
            result = _run(request, maps, handles, pipes, check=check)
            return dataclasses.replace(result, warnings=warnings)
        except NotStarted as reason:
            skipped_for = str(reason)
            names = [_name(request)] if skipped_for == WOULD_RUN else []
            return RunResult(skipped_for=skipped_for, actions=names)


def _looked_up(request: RunRequest) -> tuple[RunRequest, list[str]]:
    """The request without the mounts that are left out, and why they are: see mount/lookup.py.

    Raises Refused.
    """
    found = mount_look.looked_up(request.surroundings.mounts, may_be_missing=False)
    made = tuple(each for each in found if not each.left_out)
    warnings = [left_out_in_words(each.path, each.left_out) for each in found if each.left_out]
    surroundings = dataclasses.replace(request.surroundings, mounts=made)
    return dataclasses.replace(request, surroundings=surroundings), warnings


def _run(
    request: RunRequest,
    maps: id_map.IdMaps | None,
    handles: Handles,
    pipes: Pipes,
    *,
    check: bool,
) -> RunResult:
    done: list[str] = []
    warden = request.timeout is not None and "pid" in handles.kinds
    if request.timeout is not None:
        descendants.adopt_orphans()
    begun = time.monotonic()
    begun_at = datetime.datetime.now()
    deadline = None if request.timeout is None else begun + request.timeout
    try:
        started = start.start(
            request.program,
            streams=pipes.streams,
            joins=handles if handles.kinds else None,
            creates=request.creates,
            surroundings=request.surroundings,
            time_offsets=_offsets(request.time_offsets or ()),
            prepare=functools.partial(_prepare, request, maps, done),
            reason_not_to=functools.partial(_reason_not_to, request, check=check),
            may_make_paths=not check,
            warden=warden,
            user_variables=True,
            deadline=deadline,
        )
    except start.TooLate as late:
        started, ended = start.Started(late.pid, {}, []), False
    else:
        pipes.close_child_ends()
        with descendants.reaped(started.pid):
            ended = pipes.collect(started.pid, deadline=deadline)
    if ended:
        _pid, status = os.waitpid(started.pid, 0)
    else:
        status = descendants.kill_all(started.pid, is_warden=warden)
    return RunResult(
        status=os.waitstatus_to_exitcode(status),
        stdout=pipes.stdout,
        stderr=pipes.stderr,
        start=begun_at,
        end=datetime.datetime.now(),
        namespaces=started.namespaces,
        actions=[*done, *started.actions, _name(request)],
        timed_out=not ended,
    )


def _prepare(request: RunRequest, maps: id_map.IdMaps | None, done: list[str], pid: int) -> None:
    """What is done for the process from outside, before it goes on."""
    if maps is not None:
        _map_ids(maps, pid)
    if request.network:
        from ..launch import user_network  # see above

        done.append(f"give it a network by {request.network}")
        actions.run(done[-1], lambda: user_network.begin(request.network, pid))


def _map_ids(maps: id_map.IdMaps, pid: int) -> None:
    actions.run("map ids", lambda: maps.write(pid), explain=explain.map_ids)


def _reason_not_to(request: RunRequest, *, check: bool) -> str:
    """Asked in the program's root and directory: the paths are those that the program sees."""
    if request.unless_exists is not None and glob.glob(request.unless_exists):
        return EXISTS
    if request.only_if_exists is not None and not glob.glob(request.only_if_exists):
        return MISSING
    return WOULD_RUN if check else ""


def _offsets(offsets: t.Iterable[tuple[str, int]]) -> str:
    return "".join(f"{clock} {seconds} 0\n" for clock, seconds in offsets)


def _name(request: RunRequest) -> str:
    return f"run {request.program.argv[0]}"
