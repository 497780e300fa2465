# SPDX-License-Identifier: GPL-3.0-or-later
"""The power is cut: what was answered for is there at the next boot, and the play converges.

POWER_CUTS is how many instants are tried, POWER_SEED picks them.
"""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import subprocess
import threading
import typing as t

import pytest
from images import make_image
from power import Disk
from processes_inside import inside
from results import Result, RunModule
from stub_systemd import StubSystemd, stub_systemd
from trees import make_tree, pack

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import cache

__all__ = ["stub_systemd"]
_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
_CUTS = int(os.environ.get("POWER_CUTS", "8"))
_NAME = "power"
_INSTANCE = f"linux-namespaces@{_NAME}.service"
# What there is of systemd's as long as there is the namespace.
_UNITS = {
    "linux-namespaces@.service",
    "linux-namespaces.target",
    "multi-user.target.wants/linux-namespaces.target",
    f"linux-namespaces.target.wants/{_INSTANCE}",
}
Task = tuple[str, dict[str, t.Any]]


class Cut(t.NamedTuple):
    """What the disk had at an instant, and how many tasks had been answered for by then."""

    disk: pathlib.Path
    answered: int


@pytest.fixture(params=list(_MAKE))
def disk(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[Disk]:
    command = _MAKE[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not there")
    disk = Disk(tmp_path, command)
    yield disk
    disk.detach()


@pytest.fixture
def play(disk: Disk, tmp_path: pathlib.Path) -> list[Task]:
    tree = make_tree(tmp_path / "tree")
    (tree / "version").write_text("first")
    (tree / "large").write_bytes(random.Random(1).randbytes(1 << 20))
    archive = pack(tree, tmp_path / "root.tar")
    (tree / "dev/null").unlink()  # umoci makes none
    image = make_image(tmp_path / "layout", tree, "tag")
    inside = {"namespace": _NAME, "path": "/mnt"}
    return [
        ("ns_rootfs", {"path": f"{disk.path}/srv/root", "archive": archive}),
        ("ns_namespace", {"name": _NAME}),
        ("ns_mount", {**inside, "src": "tmpfs", "fstype": "tmpfs"}),
        ("ns_rootfs", {**inside, "image": image}),
        ("ns_mount", {"namespace": _NAME, "path": "/mnt/srv", "src": f"{disk.path}/srv/root",
                      "opts": ["bind", "X-mount.mkdir"]}),
    ]  # fmt: skip


def cuts_of(disk: Disk, run: t.Callable[[Task], Result], tasks: list[Task]) -> list[Cut]:
    """Carry the tasks out, with the power cut at each answer and at instants in between."""
    chosen = random.Random(int(os.environ.get("POWER_SEED", "1")))
    answered, found = 0, []
    ends = threading.Event()
    # Only one copies at a time, and no answer comes meanwhile.
    copying = threading.Lock()

    def cut() -> None:
        with copying:
            count = answered  # before the copy: what is answered later need not be on it
            found.append(Cut(disk.cut(len(found)), count))

    def at_random() -> None:
        while not ends.wait(chosen.random() * 0.04):
            cut()

    sampler = threading.Thread(target=at_random)
    sampler.start()
    try:
        for task in tasks:
            run(task)
            answered += 1
            cut()
    finally:
        ends.set()
        sampler.join()
    return found


def picked(cuts: list[Cut], number: int) -> list[Cut]:
    """As many of them, all over the time."""
    number = min(number, len(cuts))
    return [cuts[index * len(cuts) // number] for index in range(number)]


def units() -> set[str]:
    """The units and links of systemd that lead somewhere, and hold something."""
    above = pathlib.Path(host_paths.UNITS)
    return {
        str(path.relative_to(above))
        for path in above.rglob("linux-namespaces*")
        if path.is_file() and path.stat().st_size
    }


def version_in(path: pathlib.Path) -> str:
    return (path / "version").read_text()


def check_booted(play: list[Task], answered: int) -> None:
    """That what was answered for comes up."""
    root = pathlib.Path(play[0][1]["path"])
    if answered > 0 or root.exists():
        assert version_in(root) == "first"
        assert (root / "large").stat().st_size == 1 << 20
    if answered > 1:
        assert definitions.has_record(_NAME)
        assert os.path.exists(host_command.COMMAND)
        assert units() == _UNITS
    if os.path.exists(host_command.COMMAND):
        argv = [host_command.COMMAND, "up", "--all"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done
    if answered > 1:
        assert "mnt" in pins.pinned(_NAME)
    if answered > 3:
        assert inside(_NAME, lambda: version_in(pathlib.Path("/mnt"))) == "first"
    if answered > 4:
        assert inside(_NAME, lambda: version_in(pathlib.Path("/mnt/srv"))) == "first"


def test_a_play(
    disk: Disk, play: list[Task], run_module: RunModule, stub_systemd: StubSystemd
) -> None:
    def run(task: Task) -> Result:
        done = run_module(*task, env=stub_systemd.env)
        assert not done.get("failed"), (task, done)
        return done

    disk.attach_empty()
    cuts = cuts_of(disk, run, play)
    tried = picked(cuts, _CUTS)
    for cut in tried:
        disk.attach(cut.disk)
        check_booted(play, cut.answered)
        for task in play:
            run(task)
        assert [run(task)["actions"] for task in play] == [[]] * len(play), cut
        assert len(os.listdir(cache.DIRECTORY)) == 1
    print(f"{len(tried)} of {len(cuts)} instants of the play")
    absent: list[Task] = [
        ("ns_namespace", {"name": _NAME, "state": "absent"}),
        ("ns_rootfs", {"path": play[0][1]["path"], "state": "absent"}),
    ]
    cuts = cuts_of(disk, run, absent)
    tried = picked(cuts, max(2, _CUTS // 4))
    print(f"{len(tried)} of {len(cuts)} instants of the removal")
    for cut in tried:
        disk.attach(cut.disk)
        if cut.answered > 0:
            assert not definitions.has_record(_NAME)
        if cut.answered > 1:
            assert not os.path.exists(play[0][1]["path"])
        elif os.path.exists(host_command.COMMAND):
            argv = [host_command.COMMAND, "up", "--all"]
            done = subprocess.run(argv, check=False, capture_output=True, text=True)
            assert done.returncode == 0, done
        for task in absent:
            run(task)
        for path in (definitions.DIRECTORY, cache.DIRECTORY, host_command.LIBRARY):
            assert not os.path.exists(path), path
        assert units() == set()
        assert os.listdir(disk.path / "srv") == []
