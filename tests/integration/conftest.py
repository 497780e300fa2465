# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests against the kernel share. They run in a host of their own: own_host.py."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time
import typing as t

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import own_host
from command import Nsctl
from module_server import CHECKOUT, MODULES, Server

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import enter
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    call,
    mounts,
    processes,
)

# Older paths in the collection, for tests that are to hold on older kernels as well: @OLDER.
OLDER_KERNELS = {
    "newest": {},
    "older": {"LINUX_NAMESPACES_ABSENT_CALLS": "mount_setattr move_mount_beneath"},
}
# All that the collection uses where there is it, and that Linux 5.10 or a filter may lack.
ABSENT_CALLS = (
    "mount_setattr move_mount_beneath clone3 close_range renameat2 statmount setns_pidfd "
    "statx_mnt_id_unique"
)
Result = dict[str, t.Any]
_NUMBERS = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--older-kernel",
        action="store_true",
        help="run everything as on a kernel that lacks each call newer than the oldest supported",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "newer_kernel: needs a call that --older-kernel takes away")
    if config.getoption("older_kernel"):
        os.environ[call.ABSENT_CALLS_VARIABLE] = ABSENT_CALLS
        call.absent_calls = frozenset(ABSENT_CALLS.split())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The longest first, so that it is not what one process is left with at the end.
    items.sort(key=lambda item: item.path.stem != "test_killed")
    if config.getoption("older_kernel"):
        for item in items:
            if item.get_closest_marker("newer_kernel"):
                item.add_marker(pytest.mark.skip(reason="needs what --older-kernel takes away"))


@pytest.fixture(scope="session", autouse=True)
def host() -> None:
    """The mount namespace that the tests take for the host's."""
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root: they make namespaces and mounts", 1)
    own_host.enter()


@pytest.fixture(scope="session")
def server() -> t.Iterator[Server]:
    with Server() as running:
        yield running


def _names_below(path: str) -> list[str]:
    return sorted(str(found) for found in pathlib.Path(path).rglob("*"))


def host_state() -> dict[str, list[str]]:
    """What a test must leave as it found it."""
    return {
        "mounts": pathlib.Path("/proc/self/mountinfo").read_text().splitlines(),
        "net namespaces": _names_below("/run/netns"),
        "pins": _names_below("/run/linux-namespaces"),
        "definitions": _names_below("/etc/linux-namespaces"),
        "output": _names_below(host_paths.LOGS),
        "units": _names_below("/etc/systemd/system"),
        "nsctl": [*_names_below("/usr/local/lib/linux-namespaces"), *os.listdir("/usr/local/sbin")],
    }


@pytest.fixture(autouse=True)
def host_unchanged() -> t.Iterator[None]:
    """Fail the test that leaves a mount, a pin, a definition or a unit on the host."""
    before = host_state()
    yield
    after = host_state()
    for what, there in after.items():
        assert there == before[what], f"the test changed the host's {what}"


class RunModule(t.Protocol):
    def __call__(
        self,
        name: str,
        args: dict[str, t.Any],
        *,
        check: bool = False,
        env: dict[str, str] | None = None,
        user: int | None = None,
    ) -> Result: ...


@pytest.fixture(scope="session")
def run_module(server: Server) -> RunModule:
    """Run a module as Ansible does: ``run_module("ns_mount", {...}, check=True)`` is its result.

    A failure is a result too ("failed": True). With ``user``, a uid, it runs as that user.
    """

    def run(
        name: str,
        args: dict[str, t.Any],
        *,
        check: bool = False,
        env: dict[str, str] | None = None,
        user: int | None = None,
    ) -> Result:
        arguments = {**args, "_ansible_check_mode": check, "_ansible_diff": True}
        return server.run(name, arguments, env=env or {}, user=user)

    return run


class Converge(t.Protocol):
    def __call__(
        self, name: str, args: dict[str, t.Any], *, env: dict[str, str] | None = None
    ) -> Result: ...


@pytest.fixture(scope="session")
def converge(run_module: RunModule) -> Converge:
    """Run a module that must succeed, and return its result.

    Check mode must predict it without changing the host, and a second run change nothing.
    """

    def run(name: str, args: dict[str, t.Any], *, env: dict[str, str] | None = None) -> Result:
        before = host_state()
        predicted = run_module(name, args, check=True, env=env)
        assert not predicted.get("failed"), predicted
        assert host_state() == before
        done = run_module(name, args, env=env)
        assert not done.get("failed"), done
        assert predicted["changed"] == done["changed"], (predicted, done)
        assert predicted["actions"] == done["actions"]
        again = run_module(name, args, env=env)
        assert not again.get("failed"), again
        assert again["actions"] == []
        assert again["changed"] is False
        return done

    return run


@pytest.fixture
def new_name(run_module: RunModule) -> t.Iterator[t.Callable[[], str]]:
    """Names for named namespaces that no other test has; they are removed with the test."""
    names: list[str] = []

    def new() -> str:
        names.append(f"test{os.getpid()}-{next(_NUMBERS)}")
        return names[-1]

    yield new
    for name in names:
        args = {"name": name, "state": "absent", "force": True}
        assert not run_module("ns_namespace", args).get("failed")


def inside(
    name: str, function: t.Callable[[], t.Any], kinds: t.Sequence[str] | None = None
) -> t.Any:
    """Call the function in a child that has joined the named namespace, or some kinds of it."""
    try:
        with Target(namespace=name).open(kinds) as handles:
            return enter.call(function, joins=handles)
    finally:
        leave_orphans_to_init()


def leave_orphans_to_init() -> None:
    """What spawn() does for its caller would make us the parent of what modules leave behind."""
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 0)


def mounts_inside(name: str) -> list[mount_table.Mount]:
    """The mounts of the named namespace, which need not have a /proc."""
    host_proc = os.open("/proc", os.O_PATH)

    def read() -> str:
        table = os.open("self/mountinfo", os.O_RDONLY, dir_fd=host_proc)
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            return lines.read()

    try:
        return mount_table.parse(inside(name, read, ["mnt"]))
    finally:
        os.close(host_proc)


@contextlib.contextmanager
def living(name: str, kinds: t.Sequence[str] | None = None) -> t.Iterator[int]:
    """A process that lives in the named namespace, or some kinds of it, and does nothing; its pid.

    Its parent reaps it, as the init of a host does.
    """
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(told)
        with Target(namespace=name).open(kinds) as handles:
            child = enter.spawn(_wait_for_ever, joins=handles)
        os.write(tell, f"{child}\n".encode())
        os.waitpid(child, 0)
        os._exit(0)
    os.close(tell)
    with open(told, "rb") as pipe:
        child = int(pipe.readline())
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(parent, 0)


def _wait_for_ever() -> int:
    while True:
        signal.pause()


@pytest.fixture(scope="session")
def nsctl() -> Nsctl:
    """The host's command, of this checkout."""
    return Nsctl(pathlib.Path("/run/tests"))


class Unshared(t.NamedTuple):
    """A process in namespaces of its own that does nothing; ``pid`` as the host sees it."""

    pid: int

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command in all of its namespaces and its root; return what it prints."""
        words = ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd=/", "--", *argv]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert not check or done.returncode == 0, (argv, done.stderr)
        return done.stdout

    def mountinfo(self) -> list[str]:
        """The lines of its mount table."""
        return pathlib.Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()

    def mounted_on(self, path: str) -> list[str]:
        """The lines of its mount table for ``path`` (without characters that are escaped)."""
        return [line for line in self.mountinfo() if line.split(" ")[4] == path]


class UnsharedProcess(t.Protocol):
    def __call__(
        self, kinds: t.Collection[str] = ("mnt",), *, options: t.Sequence[str] = ()
    ) -> Unshared: ...


_LONG_NAMES = {"mnt": "mount"}


@pytest.fixture
def unshared_process() -> t.Iterator[UnsharedProcess]:
    """Start a process in new namespaces of these kinds, with unshare(1); it ends with the test.

    Its mounts are private. ``options`` are further words for unshare(1), as --map-root-user.
    """
    with contextlib.ExitStack() as stack:

        def start(
            kinds: t.Collection[str] = ("mnt",), *, options: t.Sequence[str] = ()
        ) -> Unshared:
            words = [f"--{_LONG_NAMES.get(kind, kind)}" for kind in kinds]
            forks = {"pid", "time"} & set(kinds)
            if forks:
                words += ["--fork", "--kill-child"]
            if "pid" in kinds and "mnt" in kinds:
                words.append("--mount-proc")
            ready, tell = os.pipe()
            # It dies with us, also when we are killed.
            argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *words, *options]
            argv += ["sh", "-c", "echo; exec sleep infinity"]
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=tell)
            stack.callback(_end, process)
            os.close(tell)
            with open(ready, "rb") as pipe:
                assert pipe.readline() == b"\n", f"{argv} failed"
            return Unshared(_only_child(process.pid) if forks else process.pid)

        yield start


def _only_child(pid: int) -> int:
    (child,) = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


Tasks = list[dict[str, t.Any]]


class RunTasks(t.Protocol):
    def __call__(self, tasks: Tasks, *, cleanup: Tasks) -> None: ...


@pytest.fixture
def run_tasks(tmp_path: pathlib.Path) -> RunTasks:
    """Run tasks on this host with ansible-playbook, and then ``cleanup`` in any case."""

    def run(tasks: Tasks, *, cleanup: Tasks) -> None:
        block = {"block": tasks, "always": cleanup}
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [block]}
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(json.dumps([play]))
        argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=CHECKOUT)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def examples_of(module: str) -> Tasks:
    """The tasks in the documentation of a module."""
    found = importlib.import_module(f"{MODULES}.{module}").EXAMPLES
    return list(yaml.safe_load(found))


@pytest.fixture
def ip_netns() -> t.Iterator[t.Callable[[str], str]]:
    """Make a net namespace with `ip netns add NAME`; its path. It is removed with the test."""
    directory = pathlib.Path("/run/netns")
    was_there = directory.exists()

    def add(name: str) -> str:
        subprocess.run(["ip", "netns", "add", name], check=True)
        return str(directory / name)

    yield add
    for name in _names_below(str(directory)):
        subprocess.run(["ip", "netns", "del", pathlib.Path(name).name], check=True)
    if directory.exists() and not was_there:
        mounts.umount(str(directory), flags=mounts.MNT_DETACH)
        directory.rmdir()


def let_everyone_reach(path: pathlib.Path) -> None:
    """Let every user enter the directory and those above it, which pytest makes for us alone."""
    for directory in (path, *path.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(0o755)


def wait_until(question: t.Callable[[], bool], *, seconds: float = 30.0) -> bool:
    """Ask again and again for up to that long; the last answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.01)
    return question()


def has_ended(pid: int) -> bool:
    """Whether the process lives no more. A zombie may stay: of orphans, with these tests."""
    facts = proc.process_facts(pid)
    return facts is None or facts.state in "ZX"


@pytest.fixture(params=list(OLDER_KERNELS))
def kernel(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment for run_module: this kernel, and it without its newer calls."""
    return OLDER_KERNELS[request.param]
