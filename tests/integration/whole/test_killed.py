# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs killed with SIGKILL: the next run converges, and a removal leaves the host as before.

The tasks are those of a play that puts a program into a root of its own, as the nginx role does.
"""

from __future__ import annotations

import os
import pathlib
import random
import typing as t

import pytest
from cgroups_seen import without_lot
from host_state import host_state
from module_server import KILL_AT
from results import Result, RunModule
from stages import Task, marked_seconds
from trees import pack_little
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import actions, host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pid_holder
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace_state,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

_ROUNDS = 20
_NEVER = str(10**9)


class Play:
    """A play and its removal, each a list of tasks, and what there is to see of them."""

    def __init__(self, run_module: RunModule, home: pathlib.Path, name: str) -> None:
        self._run_module = run_module
        self._home = home
        self.name = name
        self._seconds = marked_seconds(name)
        for directory in ("root", "site", "log", "upper", "work"):
            (home / directory).mkdir(parents=True)
        pack_little(home / "root.tar", ["etc", "usr", "srv"])
        root = f"{home}/root"
        mkdir = "X-mount.mkdir"
        layers = [
            f"lowerdir={home}/rootfs",
            f"upperdir={home}/upper",
            f"workdir={home}/work",
        ]
        mounts = [
            {"path": f"{root}/proc", "src": "proc", "fstype": "proc", "opts": [mkdir]},
            {"path": f"{root}/dev", "src": "dev", "fstype": "tmpfs", "opts": ["size=64k", mkdir]},
            {"path": f"{root}/dev/null", "src": "/dev/null", "opts": ["bind", mkdir]},
            {"path": f"{root}/srv", "src": f"{home}/site", "opts": ["bind", "ro", mkdir]},
            *(
                {"path": f"{root}{path}", "src": path, "opts": ["rbind", "ro", mkdir]}
                for path in ("/usr", "/lib", "/lib64")
                if os.path.isdir(path)
            ),
        ]
        namespace = {"namespace": name}
        service = {**namespace, "name": "idle", "supervisor": "none"}
        self.tasks: list[Task] = [
            ("ns_rootfs", {"path": f"{home}/rootfs", "archive": f"{home}/root.tar"}),
            ("ns_namespace", {"name": name, "kinds": ["mnt", "net", "pid"]}),
            (
                "ns_mount",
                {**namespace, "path": root, "src": "r", "fstype": "overlay", "opts": layers},
            ),
            ("ns_mount", {**namespace, "mounts": mounts}),
            ("ns_pivot_root", {**namespace, "new_root": root}),
            (
                "ns_service",
                {
                    **service,
                    "argv": ["/usr/bin/sleep", self._seconds],
                    "ready": {"file": "/etc/motd"},
                },
            ),
        ]
        self.removal: list[Task] = [
            ("ns_service", {**service, "state": "absent"}),
            ("ns_namespace", {"name": name, "state": "absent"}),
            ("ns_rootfs", {"path": f"{home}/rootfs", "state": "absent"}),
        ]

    def run(self, task: Task, env: dict[str, str] | None = None) -> Result:
        """Run a task that must succeed."""
        name, args = task
        result = self._run_module(name, args, env=env)
        assert not result.get("failed"), (task, result)
        return result

    def run_all(self, tasks: t.Iterable[Task]) -> list[str]:
        """Run these tasks; the actions of all of them."""
        return [action for task in tasks for action in self.run(task)["actions"]]

    def is_killed(self, task: Task, env: dict[str, str]) -> bool:
        """Run a task that is killed on the way, unless it comes to its end before."""
        try:
            self._run_module(task[0], task[1], env=env)
        except AssertionError as error:
            assert "status -9" in str(error)
            return True
        return False

    def changes_of(self, task: Task) -> int:
        """Run a task; how many changes it makes."""
        return int(self.run(task, {KILL_AT: _NEVER})["stderr_of_module"])

    def files(self) -> list[str]:
        """What it keeps on the host, by name."""
        found = []
        for top in (host_paths.BASE, definitions.DIRECTORY, host_paths.LOGS, str(self._home)):
            for above, folders, names in os.walk(top):
                if above == str(self._home):
                    folders[:] = set(folders) - {"upper", "work"}  # what is written in the root
                found += [f"{above}/{without_lot(name)}" for name in (*folders, *names)]
        return sorted(found)

    def processes(self) -> list[int]:
        """The living processes of the program, in whatever namespace."""
        found = []
        for pid in proc.all_pids():
            facts = proc.process_facts(pid)
            if facts is not None and facts.state not in "ZX" and self._seconds in facts.command:
                found.append(pid)
        return found

    def check(self, files: list[str], context: object) -> None:
        """That what is there is what a run that was not killed leaves, and nothing more."""
        assert self.run_all(self.tasks) == [], context
        facts = namespace_state.describe(self.name)
        (pid,) = self.processes()
        assert [process["pid"] for process in facts["processes"]] == [pid], context
        holder_pid = pid_holder.pid_of(self.name)
        assert holder_pid is not None
        for each in (pid, holder_pid):
            table = mount_table.read(f"/proc/{each}/mountinfo")
            paths = [mount.path for mount in table]
            assert sorted(set(paths)) == sorted(paths), context
            assert {"/", "/proc", "/dev", "/dev/null", "/srv", "/usr"} <= set(paths), context
        on_host = [line.split()[4] for line in host_state()["mounts"]]
        pinned = [path for path in on_host if path.startswith(f"{host_paths.BASE}/{self.name}/")]
        assert sorted(pinned) == sorted(pin["path"] for pin in facts["kinds"].values()), context
        assert self.files() == files, context

    def remove(self, before: dict[str, list[str]], own: list[str], context: object) -> None:
        """Run the removal, after which the host is as it was."""
        self.run_all(self.removal)
        assert _host() == before, context
        assert self.processes() == [], context
        assert wait_until(lambda: _forked() == []), (context, _forked())
        assert self.files() == own, context


def _host() -> dict[str, list[str]]:
    """What is to be as before: all but nsctl, of which a run may find another version."""
    return {what: there for what, there in host_state().items() if what != "nsctl"}


def _forked() -> list[int]:
    """The processes that module runs have left, but for the one that starts them."""
    found = []
    for pid in proc.all_pids():
        facts = proc.process_facts(pid)
        if facts is None or facts.state in "ZX" or "module_server.py" not in facts.command:
            continue
        if facts.parent != os.getpid() and _started_here(facts):
            found.append(pid)
    return found


def _started_here(facts: proc.ProcessFacts) -> bool:
    """Whether it lives with us, and is no run of other tests on this machine."""
    return proc.ids_of_process(facts.pid, ["mnt"]) == proc.ids_of_process("self", ["mnt"])


@pytest.fixture
def play(run_module: RunModule, tmp_path: pathlib.Path, new_name: t.Callable[[], str]) -> Play:
    # nsctl is installed with the first persistent namespace, and goes with the last one: let
    # that be another one, and not be killed here.
    run_module("ns_namespace", {"name": new_name()})
    return Play(run_module, tmp_path / "home", new_name())


class Before(t.NamedTuple):
    """The host without the play, and the files there are with it."""

    host: dict[str, list[str]]
    own: list[str]
    files: list[str]


def reference(play: Play) -> Before:
    """What runs that are not killed do."""
    host, own = _host(), play.files()
    play.run_all(play.tasks)
    files = play.files()
    play.check(files, "not killed")
    play.remove(host, own, "not killed")
    return Before(host, own, files)


def killed_then_converges(
    play: Play, before: Before, position: int, env: dict[str, str], *, converges: bool
) -> bool:
    """Kill the task at ``position`` of play and removal; False where it came to its end.

    Afterwards all is made again, or with ``converges`` false removed at once.
    """
    tasks = [*play.tasks, *play.removal]
    play.run_all(tasks[:position])
    if not play.is_killed(tasks[position], env):
        play.remove(before.host, before.own, env)
        return False
    context = (tasks[position][0], position, env)
    if converges:
        play.run_all(play.tasks)
        play.check(before.files, context)
    play.remove(before.host, before.own, context)
    return True


def test_killed_before_each_named_step(play: Play) -> None:
    before = reference(play)
    killed = 0
    ends = [(position, True) for position in range(len(play.tasks))]
    ends += [(position, False) for position in range(len(play.tasks) + len(play.removal))]
    for position, converges in ends:
        number = 1
        while killed_then_converges(
            play, before, position, {actions.KILL_VARIABLE: str(number)}, converges=converges
        ):
            number += 1
        killed += number - 1
    assert killed > 40


def test_killed_at_any_instant(play: Play) -> None:
    """At some of the instants at which something else is left behind: KILL_SEED picks others."""
    before = reference(play)
    tasks = [*play.tasks, *play.removal]
    points = [
        (position, number)
        for position, task in enumerate(tasks)
        for number in range(1, play.changes_of(task) + 1)
    ]
    assert len(points) > 150
    seed = int(os.environ.get("KILL_SEED", "1"))
    rounds = min(len(points), int(os.environ.get("KILL_ROUNDS", _ROUNDS)))
    chosen = random.Random(seed).sample(points, rounds)
    for index, (position, number) in enumerate(chosen):
        env = {KILL_AT: str(number)}
        killed = killed_then_converges(play, before, position, env, converges=index % 2 == 0)
        assert killed or number > 1, (position, number)
