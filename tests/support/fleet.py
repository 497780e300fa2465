# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet on this machine: hosts of systemd-nspawn, which share one read-only tree.

The tree is the one that the hosts of molecule's scenarios boot (Debian with Python). These do not boot: a
small init of systemd-nspawn reaps, and nothing else runs. So fifty start in seconds, and what is
measured on them is what is done there. Each has mount, PID, network, UTS, IPC and cgroup namespaces
for itself, what it writes goes to a tmpfs (the overlay over the tree, /run, /tmp, /var/lib), and its
network is a loopback. Without systemd, services have the supervisor `none`.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import typing as t

import own_host
from module_server import CHECKOUT
from waiting import wait_until

IMAGE = CHECKOUT / ".build/testhosts/bookworm"
# What of a host's root file system lies on a tmpfs that is no overlay: overlays are mounted on it.
_OWN = "/var/lib"
# As other systemd-nspawn hosts of the tests have it: molecule/nspawn-instance.
_ENVIRONMENT = {"SYSTEMD_SECCOMP": "0", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
# With a /run for itself, systemd-nspawn leaves nothing in this machine's.
_START = """
for procs; do
  [ "$procs" != -- ] || break
  echo $$ >"$procs/cgroup.procs"
  shift
done
shift
mount -t tmpfs run /run
exec "$@"
"""


class Host(t.NamedTuple):
    """A host that runs."""

    name: str
    # Its init.
    pid: int

    def argv(self, *argv: str) -> list[str]:
        """What runs the program there."""
        return ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd", *argv]

    def variables(self) -> dict[str, t.Any]:
        """By which Ansible reaches it: tests/bench/connection/bench_host.py."""
        return {
            "ansible_connection": "bench_host",
            "ansible_python_interpreter": "/usr/bin/python3",
            "bench_pid": self.pid,
        }


@contextlib.contextmanager
def fleet(number: int, *shown: tuple[pathlib.Path, str]) -> t.Iterator[list[Host]]:
    """Start so many hosts; they end with the block.

    ``shown`` are files of this machine, and where the hosts can read them.
    """
    make = [CHECKOUT / "molecule/nspawn-instance", "image", "bookworm", IMAGE]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    binds = [f"--bind-ro={path}:{place}" for path, place in shown]
    with contextlib.ExitStack() as stack:
        names = [f"bench-{os.getpid()}-{each}" for each in range(number)]
        started = [(name, stack.enter_context(_started(name, binds))) for name in names]
        yield [Host(name, _init_of(process)) for name, process in started]


@contextlib.contextmanager
def _started(name: str, binds: t.Sequence[str]) -> t.Iterator[subprocess.Popen[bytes]]:
    nspawn = [
        *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", f"--machine={name}"),
        *(f"--directory={IMAGE}", "--volatile=overlay", f"--tmpfs={_OWN}:mode=755"),
        *("--private-network", "--capability=all", "--console=pipe", "--link-journal=no"),
        *("--resolv-conf=off", "--timezone=off", "--as-pid2", *binds),
        # It ends with its input, and so when the tests are killed.
        *("/bin/sh", "-c", "echo ready; exec cat"),
    ]
    argv = ["unshare", "--mount", "sh", "-euc", _START, "sh"]
    with contextlib.ExitStack() as stack:
        cgroups = [stack.enter_context(_cgroup(tree / name)) for tree in _trees()]
        # Its init keeps to this processor; what enters it does not.
        with _on_the_lowest():
            process = subprocess.Popen(
                [*argv, *map(str, cgroups), "--", *nspawn],
                env={**os.environ, **_ENVIRONMENT},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        with process:
            yield process


def _init_of(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (pid,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(pid)


def _trees() -> list[pathlib.Path]:
    """Where this machine's systemd keeps cgroups: version 2, or its two trees beside version 1."""
    every = [pathlib.Path("/sys/fs/cgroup", name) for name in ("", "unified", "systemd")]
    return [tree for tree in every if (tree / "cgroup.procs").exists()]


@contextlib.contextmanager
def _cgroup(path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    path.mkdir()
    try:
        yield path
    finally:
        # The kernel lets go of it a moment after the last process.
        assert wait_until(lambda: _is_removed(path), seconds=20), path


def _is_removed(path: pathlib.Path) -> bool:
    for directory, _below, _files in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not path.exists()


@contextlib.contextmanager
def _on_the_lowest() -> t.Iterator[None]:
    """So that every mount namespace which is made there counts as younger: see own_host.py."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors, key=own_host.next_number)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)
