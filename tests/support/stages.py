# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of every kind, each with what it needs before and what takes it away, and all it may change."""

from __future__ import annotations

import os
import pathlib
import typing as t

from host_state import host_state
from results import Result, RunModule
from trees import pack_little

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import cache
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import namespaces

Task = tuple[str, dict[str, t.Any]]


def marked_seconds(name: str) -> str:
    """How long a program of a test sleeps: by that its processes can be told from all others."""
    return f"{10**6 + os.getpid()}.{abs(hash(name)) % 10**6}"


class Case(t.NamedTuple):
    """An operation: what is there before, the task, what takes all of it away again."""

    before: list[Task]
    task: Task
    after: list[Task]
    # What was begun is not taken back, but gone on with by the next run.
    goes_on: bool = False


State = dict[str, t.Any]


class Stage:
    """Where the cases play."""

    def __init__(self, run_module: RunModule, home: pathlib.Path, name: str) -> None:
        self._run_module = run_module
        self._home = home
        self.name = name
        self._seconds = marked_seconds(name)
        self.root = f"{home}/root"
        for directory in ("root", "site", "upper", "work", "lower"):
            (home / directory).mkdir(parents=True)
        pack_little(home / "root.tar", ["etc", "usr", "proc", "old"])
        pack_little(home / "other.tar", ["etc", "usr", "proc", "srv"])

    def case(self, title: str) -> Case:
        """The case of this title."""
        name, home = self.name, self._home
        inside = {"namespace": name}
        gone: Task = ("ns_namespace", {"name": name, "state": "absent", "force": True})
        made: Task = ("ns_namespace", {"name": name, "kinds": ["mnt", "uts"]})
        tmpfs: dict[str, t.Any] = {**inside, "path": "/mnt", "src": "m", "fstype": "tmpfs"}
        layers = [f"lowerdir={home}/lower", f"upperdir={home}/upper", f"workdir={home}/work"]
        several = [
            {"path": "/mnt", "src": "m", "fstype": "tmpfs"},
            {"path": "/mnt/bind", "src": f"{home}/site", "opts": ["bind", "ro", "X-mount.mkdir"]},
            {"path": "/media", "src": "o", "fstype": "overlay", "opts": layers},
        ]
        root: Task = ("ns_rootfs", {"path": f"{home}/tree/root", "archive": f"{home}/root.tar"})
        other_root: Task = (root[0], {**root[1], "archive": f"{home}/other.tar"})
        no_root: Task = ("ns_rootfs", {"path": f"{home}/tree/root", "state": "absent"})
        bound: Task = (
            "ns_mount",
            {**inside, "path": self.root, "src": f"{home}/tree/root", "opts": ["bind"]},
        )
        pivot: Task = ("ns_pivot_root", {**inside, "new_root": self.root})
        service: dict[str, t.Any] = {**inside, "name": "idle", "supervisor": "none"}
        started: Task = ("ns_service", {**service, "argv": ["/usr/bin/sleep", self._seconds]})
        return {
            "create mnt": Case([], ("ns_namespace", {"name": name}), [gone]),
            "create without definition": Case(
                [],
                ("ns_namespace", {"name": name, "kinds": ["mnt", "net"], "persistent": False}),
                [gone],
            ),
            "create all kinds": Case(
                [],
                (
                    "ns_namespace",
                    {
                        "name": name,
                        "kinds": ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"],
                        "hostname": "inside",
                        "id_map": {
                            which: [{"inside": 0, "outside": 100_000, "count": 65_536}]
                            for which in ("uid", "gid")
                        },
                    },
                ),
                [gone],
            ),
            "add a kind": Case(
                [made], ("ns_namespace", {"name": name, "kinds": ["mnt", "uts", "net"]}), [gone]
            ),
            "remove": Case([made, ("ns_mount", tmpfs)], gone, [], goes_on=True),
            "mount a tmpfs": Case([made], ("ns_mount", tmpfs), [gone]),
            "mount several": Case([made], ("ns_mount", {**inside, "mounts": several}), [gone]),
            "replace a mount": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_mount", {**tmpfs, "src": "other"}),
                [gone],
                goes_on=True,
            ),
            "change a mount": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_mount", {**tmpfs, "opts": ["ro", "size=1m"], "propagation": "shared"}),
                [gone],
                goes_on=True,
            ),
            "unmount": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_mount", {**inside, "path": "/mnt", "state": "unmounted"}),
                [gone],
                goes_on=True,
            ),
            "unpack a root": Case([], root, [no_root]),
            "replace a root": Case([root], other_root, [no_root]),
            "unpack a root inside": Case(
                [made, ("ns_mount", tmpfs)],
                ("ns_rootfs", {**inside, "path": "/mnt/root", "archive": f"{home}/root.tar"}),
                [gone],
            ),
            "remove a root": Case([root], no_root, [], goes_on=True),
            "pivot": Case([root, made, bound], pivot, [gone, no_root], goes_on=True),
            "pivot with the old root": Case(
                [root, made, bound],
                ("ns_pivot_root", {**pivot[1], "put_old": f"{self.root}/old"}),
                [gone, no_root],
                goes_on=True,
            ),
            "start a service": Case([made], started, [gone]),
            "stop a service": Case(
                [made, started],
                ("ns_service", {**service, "state": "stopped"}),
                [gone],
                goes_on=True,
            ),
            "remove a service": Case(
                [made, started],
                ("ns_service", {**service, "state": "absent"}),
                [gone],
                goes_on=True,
            ),
            "run": Case(
                [],
                (
                    "ns_unshare_run",
                    {"kinds": ["mnt", "pid", "net", "uts"], "argv": ["/bin/true"]},
                ),
                [],
            ),
            "run inside": Case([made], ("ns_setns_run", {**inside, "argv": ["/bin/true"]}), [gone]),
        }[title]

    def run(self, task: Task, env: dict[str, str] | None = None) -> Result:
        """Run a task."""
        return self._run_module(task[0], task[1], env=env)

    def done(self, task: Task, context: object = None) -> Result:
        """Run a task that must succeed."""
        result = self.run(task)
        assert not result.get("failed"), (context, task, result)
        return result

    def state(self) -> State:
        """What a task may have changed: on the host, inside, and in processes."""
        host = host_state()
        host["mounts"] = sorted(_of_mounts(table.read()))
        pin = pathlib.Path(f"{host_paths.kept_in(self.name)}/mnt")
        inside: list[str] = []
        content = {}
        for above in (host_paths.DEFINITIONS, cache.DIRECTORY):
            for path in sorted(pathlib.Path(above).glob("*")):
                content[str(path)] = path.read_text() if path.suffix == ".json" else ""
        if pin.exists():
            inside = self._mounts_inside(pin)
        return {
            **{what: _normal(there) for what, there in host.items()},
            "inside": inside,
            "content": content,
            "files": [str(path) for path in sorted(self._home.rglob("*"))],
            "processes": self._processes(),
            "locks": [each for each in os.listdir("/run") if each.endswith(".lock")],
        }

    def _mounts_inside(self, pin: pathlib.Path) -> list[str]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                fd = os.open(pin, os.O_RDONLY)
                host_proc = os.open("/proc", os.O_RDONLY)
                namespaces.setns(fd, 0)
                text = "\n".join(sorted(_of_mounts(table.read(dir_fd=host_proc))))
                os.write(writer, text.encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, encoding="utf-8") as pipe:
            found = pipe.read()
        os.waitpid(child, 0)
        return found.splitlines()

    def _processes(self) -> int:
        found = 0
        for pid in proc.all_pids():
            facts = proc.process_facts(pid)
            if facts is not None and facts.state not in "ZX":
                found += self._seconds in facts.command
        return found


def _of_mounts(mounts: t.Iterable[table.Mount]) -> t.Iterator[str]:
    for mount in mounts:
        words = ",".join((*mount.flags, *mount.options))
        shared = mount.propagation.partition(":")[0]
        yield f"{mount.path} {mount.fstype} {mount.src} {words} {shared}"


def _normal(names: list[str]) -> list[str]:
    """Without what is chosen at random."""
    return [each.partition("@")[0] if "/cgroups/" in each else each for each in names]
