# SPDX-License-Identifier: GPL-3.0-or-later
"""What whole namespaces cost on a fleet and on one host of it, beside ansible.builtin.ping.

The fleet is fifty hosts on this machine: tests/support/fleet.py says what they are. Ansible reaches them by
nsenter(1) (tests/bench/connection), which costs it less than ssh: a ping is cheap, and its multiples
come out high rather than low. What runs on the hosts shares the processors with the controller, but
is counted by itself. Services have the supervisor `none` there.

On one host plays take turns, and a ratio is the median of those of each turn. A ping is one of several in
a play, so that what a play takes by itself counts with what is measured and not with the ping.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import tarfile
import time
import typing as t

import pytest
from fleet import Host, fleet
from module_server import CHECKOUT
from play_costs import Cost, Costs, Play, Task, play, ratio, run, typical

HOSTS, FORKS, FLEET_ROUNDS = 50, 10, 3
ROUNDS = 4
PINGS = 5
SIZES = (1, 20, 200)
# So many namespaces are made by single tasks; what 200 take is taken for as many times as long.
SINGLE = 10
UP = 300
ARCHIVE = "/srv/nginx.tar"
# What nginx does not need of its root is left out: fifty copies are in memory.
LEFT_OUT = ("./usr/share", "./usr/lib/x86_64-linux-gnu/perl", "./var/lib/dpkg", "./var/cache")
PING: Task = {"ansible.builtin.ping": None}


_ROW = "  {:<30}{:>10}{:>12}{:>10}{:>10}"


class Table:
    """What was measured, printed at the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def title(self, text: str) -> None:
        self._lines += ["", text]

    def add_all(self, title: str, costs: Costs, hosts: int) -> None:
        """What each play costs a host, and how many times that of a ping on the clock."""
        self.title(title)
        self._lines.append(_ROW.format("", "wall", "controller", "host", "pings").rstrip())
        for name, found in costs.items():
            cells = [f"{value / hosts:.3f}" for value in typical(found)]
            # What was run only once took no turns.
            pings = f"{ratio(found, costs['ping']):.2f}" if len(found) > 1 else ""
            self._lines.append(_ROW.format(name, *cells, pings).rstrip())

    def print(self) -> None:
        print("\n".join(self._lines))


@pytest.fixture(scope="module")
def table() -> t.Iterator[Table]:
    found = Table()
    yield found
    found.print()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[list[Host]]:
    whole = CHECKOUT / ".build/cache/nginx-rootfs.tar"
    subprocess.run([CHECKOUT / "tests/nginx-archive", whole], check=True, stdout=subprocess.DEVNULL)
    archive = tmp_path_factory.mktemp("fleet") / "nginx.tar"
    with tarfile.open(whole) as source, tarfile.open(archive, "w") as kept:
        for member in source:
            if not member.name.startswith(LEFT_OUT):
                kept.addfile(member, source.extractfile(member) if member.isreg() else None)
    with fleet(HOSTS, (archive, ARCHIVE)) as started:
        yield started


def namespaces(number: int) -> list[dict[str, t.Any]]:
    """Each with a tmpfs and a bind."""
    mounts = [
        {"path": "/mnt", "src": "bench", "fstype": "tmpfs"},
        {"path": "/mnt/srv", "src": "/srv", "opts": ["bind", "X-mount.mkdir"]},
    ]
    return [{"name": f"bench{each}", "mounts": mounts} for each in range(number)]


def definition(number: int, **more: t.Any) -> Task:
    return {"linux.namespaces.ns_definition": {"namespaces": namespaces(number), **more}}


def by_single_tasks() -> list[Task]:
    """The same by the other modules, with a task for all mounts of a namespace."""
    mounts = {"namespace": "{{ item.name }}", "mounts": "{{ item.mounts }}"}
    return [
        {"linux.namespaces.ns_namespace": {"name": "{{ item.name }}"}, "loop": namespaces(SINGLE)},
        {"linux.namespaces.ns_mount": mounts, "loop": namespaces(SINGLE)},
    ]


def nginx(name: str) -> Play:
    variables = {"nginx_rootfs": {"archive": ARCHIVE}}
    return play(name, roles=[{"role": "linux.namespaces.nginx", "vars": variables}])


def test_the_fleet(hosts: list[Host], table: Table, tmp_path: pathlib.Path) -> None:
    turn = [play("ping", PING), nginx("nginx, unchanged"), play("1, unchanged", definition(1))]
    before = [nginx("nginx, new"), play("1, new", definition(1))]
    costs = run([*before, *turn * FLEET_ROUNDS], hosts, tmp_path / "run", forks=FORKS)
    title = f"{HOSTS} hosts, {FORKS} at once; seconds a host, on the clock and of the processors:"
    table.add_all(title, costs, HOSTS)
    assert ratio(costs["nginx, unchanged"], costs["ping"]) <= 7


@pytest.fixture(scope="module")
def on_one(
    hosts: list[Host], table: Table, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Costs]:
    """What plays cost on one host; those called ping count each by itself."""
    gone = play("gone", definition(max(SIZES), state="absent", force=True))
    turn = [play("ping", *[PING] * PINGS), nginx("nginx, unchanged")]
    for size in SIZES:
        turn += [play(f"{size}, {state}", definition(size)) for state in ("new", "unchanged")]
        turn.append(gone)
    single = f"{SINGLE} by single tasks"
    turn += [play(f"{single}, {state}", *by_single_tasks()) for state in ("new", "unchanged")]
    turn.append(gone)
    before = [nginx("nginx, new"), gone]
    costs = run([*before, *turn * ROUNDS], hosts[:1], tmp_path_factory.mktemp("one") / "run")
    costs["ping"] = [Cost(*(value / PINGS for value in each)) for each in costs["ping"]]
    del costs["gone"]
    table.add_all("one host; seconds, on the clock and of the processors:", costs, 1)
    return costs


@pytest.mark.parametrize(
    ("what", "most"), [("nginx, unchanged", 7), ("1, unchanged", 1.4), ("200, unchanged", 4)]
)
def test_nothing_to_do_costs_some_pings(what: str, most: float, on_one: Costs) -> None:
    assert ratio(on_one[what], on_one["ping"]) <= most


def test_single_tasks_take_thirty_times_as_long(on_one: Costs, table: Table) -> None:
    scale = max(SIZES) / SINGLE
    found = scale * ratio(on_one[f"{SINGLE} by single tasks, new"], on_one[f"{max(SIZES)}, new"])
    table.title(f"{max(SIZES)} new by single tasks, from {SINGLE}: {found:.0f} times as long")
    assert found >= 30


@pytest.mark.parametrize("state", ["new", "unchanged"])
def test_costs_grow_no_faster_than_the_number(state: str, on_one: Costs) -> None:
    _one, few, many = SIZES
    assert ratio(on_one[f"{many}, {state}"], on_one[f"{few}, {state}"]) <= many / few


def test_nsctl_up(hosts: list[Host], table: Table, tmp_path: pathlib.Path) -> None:
    host = hosts[-1]
    run([play("new", definition(UP, exclusive=True))], [host], tmp_path / "run")
    rounds = []
    for _round in range(3):
        subprocess.run(host.argv("nsctl", "down", "--all"), check=True, stdout=subprocess.DEVNULL)
        rounds.append(cost_of(host.argv("nsctl", "up", "--all")))
    wall, processors = (min(found) for found in zip(*rounds))
    table.title(
        f"nsctl up --all of {UP}: {wall:.2f} s, of the processors {processors:.2f} s, "
        f"{processors / UP:.4f} s each"
    )
    assert processors / UP <= 0.03
    if len(os.sched_getaffinity(0)) > 1:
        assert wall < processors, "one after the other"


def cost_of(argv: list[str]) -> tuple[float, float]:
    """The seconds that a program takes, on the clock and of the processors."""
    before = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - before, used.ru_utime + used.ru_stime
