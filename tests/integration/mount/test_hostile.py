# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount in roots that do not want us well: what they hold leads nowhere outside of them.

Each test names the incident that it repeats. The fixture host_unchanged compares the host's mount
table before and after; a canary on the host shows what was created or mounted on by mistake.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import threading
import typing as t

import pytest
from results import Converge, RunModule
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import lock, pins

Kernel = dict[str, str]
NAME = "test-hostile"


class Place(t.NamedTuple):
    """A root on the host's file system, and what lies beside it and must stay as it is."""

    root: pathlib.Path
    canary: pathlib.Path

    def is_untouched(self) -> bool:
        found = sorted(path.name for path in self.canary.rglob("*"))
        return found == ["directory", "file"] and (self.canary / "file").read_text() == "canary"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> t.Iterator[Place]:
    root, canary = tmp_path / "root", tmp_path / "canary"
    for directory in (root / "mnt", root / "real", root / "run", canary / "directory"):
        directory.mkdir(parents=True)
    (canary / "file").write_text("canary")
    found = Place(root, canary)
    yield found
    assert found.is_untouched()


@pytest.fixture
def jailed(unshared_process: UnsharedProcess, place: Place) -> Unshared:
    """A process whose mount namespace has ``place.root`` as its root."""
    process = unshared_process()
    (place.root / "old").mkdir()
    process.run("sh", "-euc", f"""
        mount --bind '{place.root}' '{place.root}'; cd '{place.root}'
        mkdir -p bin lib lib64 usr proc; for d in bin lib lib64 usr; do mount --rbind /$d $d; done
        mount -t proc proc proc; pivot_root . old
    """)  # fmt: skip
    process.run("umount", "-l", "/old")
    return process


@pytest.fixture
def unpivoted(unshared_process: UnsharedProcess, place: Place) -> t.Iterator[Unshared]:
    """A process in the named namespace NAME, whose definition mounts ``place.root`` on /srv."""
    name = NAME
    process = unshared_process()
    process.run("mount", "--bind", str(place.root), "/srv")
    step = MountStep("/srv", str(place.root), words=("bind",))
    try:
        with lock.held(name, timeout=5):
            pins.prepare(name)
            pins.pin(name, "mnt", process.pid)
            definitions.save(Definition(name, Properties(), persistent=False, volatile=(step,)))
        yield process
    finally:
        with lock.held(name, timeout=5):
            pins.discard(name)


class Hostile(t.NamedTuple):
    """A target with a hostile root below ``prefix``, and the options that name it."""

    process: Unshared
    options: dict[str, t.Any]
    prefix: str

    def has_only_mounts_inside(self, place: Place) -> bool:
        """Whether no mount of the target lies on what is outside of the root.

        After the pivot there is nothing outside, and such a path is one in the root.
        """
        paths = [line.split(" ")[4] for line in self.process.mountinfo()]
        outside = [path for path in paths if path.startswith(str(place.canary))]
        return not self.prefix or not outside


@pytest.fixture(params=["before the pivot", "after the pivot"])
def hostile(request: pytest.FixtureRequest) -> Hostile:
    if request.param == "before the pivot":
        return Hostile(request.getfixturevalue("unpivoted"), {"namespace": NAME}, "/srv")
    jailed = request.getfixturevalue("jailed")
    return Hostile(jailed, {"pid": jailed.pid}, "")


def paths_of(target: Unshared) -> list[str]:
    return [line.split(" ")[4] for line in target.mountinfo()]


# Links

OUTWARD = {
    "absolute": "{canary}/directory",
    "relative": "../../../../../../../../../..{canary}/directory",
    "through proc": "/proc/self/root{canary}/directory",
    "through a descriptor": "/proc/self/fd/0",
    "through another process": "/proc/1/root/real",
}


@pytest.mark.parametrize("case", OUTWARD)
def test_a_link_at_the_mount_point(
    case: str, kernel: Kernel, run_module: RunModule, hostile: Hostile, place: Place
) -> None:
    """runc CVE-2021-30465, CVE-2026-41579."""
    (place.root / "dev").symlink_to(OUTWARD[case].format(canary=place.canary))
    for opts in ("", "X-mount.mkdir"):
        args = {**hostile.options, "path": f"{hostile.prefix}/dev", "opts": opts}
        run_module("ns_mount", {**args, "fstype": "tmpfs"}, env=kernel)
        assert place.is_untouched()
        assert hostile.has_only_mounts_inside(place)


@pytest.mark.parametrize("deep", ["dev/shm", "dev/a/b/c"])
@pytest.mark.parametrize("up", ["", "../../../../../../../../.."])
def test_a_link_above_the_mount_point(
    deep: str, up: str, kernel: Kernel, run_module: RunModule, hostile: Hostile, place: Place
) -> None:
    """runc CVE-2024-45310, bubblewrap CVE-2026-87766: directories made through a parent link."""
    (place.root / "dev").symlink_to(f"{up}{place.canary}")
    args = {**hostile.options, "path": f"{hostile.prefix}/{deep}", "opts": "X-mount.mkdir"}
    done = run_module("ns_mount", {**args, "fstype": "tmpfs"}, env=kernel)
    assert place.is_untouched()
    assert hostile.has_only_mounts_inside(place)
    # The same path below the root was made, and mounted on.
    (record,) = done["mounts"]
    assert record["path"] == f"{hostile.prefix}{place.canary}/{deep[4:]}"


def test_proc_is_a_link_or_a_lie(
    kernel: Kernel, converge: Converge, jailed: Unshared, place: Place
) -> None:
    """runc CVE-2019-16884, CVE-2019-19921, CVE-2023-27561: nothing in its /proc is believed."""
    jailed.run("umount", "/proc")
    (place.root / "proc").rmdir()
    (place.root / "fake/self/fd").mkdir(parents=True)
    (place.root / "fake/self/mountinfo").write_text("1 1 0:1 / / rw - tmpfs x rw\n")
    (place.root / "proc").symlink_to("fake")
    mnt = {"pid": jailed.pid, "path": "/mnt", "src": "x", "fstype": "tmpfs"}
    assert converge("ns_mount", mnt, env=kernel)["changed"]
    assert "/mnt" in paths_of(jailed)
    # A proc is mounted where the link leads inside.
    proc = {"pid": jailed.pid, "path": "/proc", "src": "proc", "fstype": "proc"}
    (record,) = converge("ns_mount", proc, env=kernel)["mounts"]
    assert record["path"] == "/fake"
    converge("ns_mount", {**mnt, "state": "unmounted"}, env=kernel)
    assert "/mnt" not in paths_of(jailed)


def test_run_is_found_behind_var_run(
    kernel: Kernel, converge: Converge, jailed: Unshared, place: Place
) -> None:
    """bubblewrap #801: links that stay inside are followed."""
    (place.root / "var").mkdir()
    (place.root / "var/run").symlink_to("/run")
    (place.root / "var/lock").symlink_to("../run/lock")
    for path, found in (("/var/run", "/run"), ("/var/lock/deep", "/run/lock/deep")):
        args = {"pid": jailed.pid, "path": path, "fstype": "tmpfs", "opts": "X-mount.mkdir"}
        (record,) = converge("ns_mount", args, env=kernel)["mounts"]
        assert record["path"] == found


def test_links_that_lead_round(
    kernel: Kernel, run_module: RunModule, jailed: Unshared, place: Place
) -> None:
    links = {"loop": "loop", "ping": "pong/a", "pong": "/ping", "up": "../up/x"}
    for name, to in links.items():
        (place.root / name).symlink_to(to)
    for name in links:
        args = {"pid": jailed.pid, "path": f"/{name}/x", "fstype": "tmpfs"}
        result = run_module("ns_mount", {**args, "opts": "X-mount.mkdir"}, env=kernel)
        assert (result["failed"], result["errno"]) == (True, "ELOOP")


def test_directories_that_only_root_may_read(
    kernel: Kernel, converge: Converge, jailed: Unshared, place: Place
) -> None:
    """tend #1279: a parent with mode 0711 or 0000 is no obstacle."""
    (place.root / "closed").mkdir(mode=0o000)
    args = {"pid": jailed.pid, "path": "/closed/a", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    converge("ns_mount", args, env=kernel)
    assert "/closed/a" in paths_of(jailed)


def test_the_source_of_a_bind_is_found_inside(
    kernel: Kernel, run_module: RunModule, jailed: Unshared, place: Place
) -> None:
    """flatpak CVE-2024-42472: a source that is a link to the host's."""
    (place.root / "data").symlink_to(place.canary)
    args = {"pid": jailed.pid, "path": "/mnt", "src": "/data", "opts": "bind"}
    result = run_module("ns_mount", {**args, "src_in": "namespace"}, env=kernel)
    assert result["reason"] == "src /data does not exist in the target"
    (place.root / "data").unlink()
    (place.root / "data").symlink_to("/proc/self/root/real")
    result = run_module("ns_mount", {**args, "src_in": "namespace"}, env=kernel)
    assert result["failed"]
    assert "/mnt" not in paths_of(jailed)


def test_a_device_of_the_root_is_not_the_hosts(
    kernel: Kernel, converge: Converge, jailed: Unshared, place: Place
) -> None:
    """runc CVE-2025-31133: what masks a file is the host's /dev/null, not the one inside."""
    (place.root / "dev").mkdir()
    (place.root / "dev/null").symlink_to("/mnt")
    (place.root / "secret").write_text("secret")
    args = {"pid": jailed.pid, "path": "/secret", "src": "/dev/null", "opts": "bind"}
    converge("ns_mount", args, env=kernel)
    device = os.stat(f"/proc/{jailed.pid}/root/secret").st_rdev
    assert device == os.makedev(1, 3)


@pytest.mark.parametrize("opts", ["", "X-mount.mkdir"])
def test_a_race_with_the_mount_point(
    opts: str, run_module: RunModule, hostile: Hostile, place: Place
) -> None:
    """runc CVE-2021-30465: a directory swapped for a link between the look and the mount."""
    with Racer(place.root / "mnt", str(place.canary / "directory")) as racer:
        args = {**hostile.options, "fstype": "tmpfs", "opts": opts}
        for _round in range(20):
            for path in ("/mnt", "/mnt/x"):
                run_module("ns_mount", {**args, "path": f"{hostile.prefix}{path}"})
            assert place.is_untouched()
    assert racer.swaps > 1000
    assert hostile.has_only_mounts_inside(place)


class Racer:
    """Swaps a directory and a link over and over, in the background."""

    def __init__(self, path: pathlib.Path, target: str) -> None:
        self._path, self._stop, self.swaps = path, threading.Event(), 0
        self._link = path.with_name(f"{path.name}.link")
        self._link.symlink_to(target)
        script = f"""
import ctypes, os, select
rename = ctypes.CDLL(None).renameat2
swaps = 0
while not select.select([0], [], [], 0)[0]:
    for _each in range(50):
        rename(-100, {os.fsencode(path)!r}, -100, {os.fsencode(self._link)!r}, 2)
        swaps += 1
print(swaps)
"""
        self._process = subprocess.Popen(
            ["python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Racer:
        return self

    def __exit__(self, *_exception: object) -> None:
        output, _errors = self._process.communicate(b"")
        self.swaps = int(output)


# Before a pivot


def test_links_lead_where_they_will_lead_after_the_pivot(
    kernel: Kernel, converge: Converge, unpivoted: Unshared, place: Place
) -> None:
    """In the tutorial's order a root is filled before it is the root: its links are paths of the
    host then, to anyone who follows them by name."""
    (place.root / "var").mkdir()
    (place.root / "var/run").symlink_to("/run")
    args = {"namespace": NAME, "path": "/srv/var/run", "fstype": "tmpfs"}
    (record,) = converge("ns_mount", args, env=kernel)["mounts"]
    assert record["path"] == "/srv/run"
    assert len(unpivoted.mounted_on("/srv/run")) == 1


def test_below_a_mount_that_is_gone_nothing_is_done(
    kernel: Kernel, run_module: RunModule, unpivoted: Unshared
) -> None:
    """Else it would be done to the directory of the host that the mount covered."""
    unpivoted.run("umount", "/srv")
    args = {"namespace": NAME, "path": "/srv/a/b", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    result = run_module("ns_mount", args, env=kernel)
    assert result["reason"].startswith("/srv/a/b lies below /srv, where the definition mounts")
    assert result["hint"] == "Run the task that mounts /srv first."
    assert not os.path.exists("/srv/a")


# Who looks on


def test_who_enters_cannot_be_looked_into(
    kernel: Kernel, run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    """runc CVE-2019-5736: root inside does not get at the program of the one that enters."""
    target = unshared_process(("user", "mnt"), options=["--map-root-user"])
    spy = r"""
import glob, os, select, subprocess
child = subprocess.Popen(["sleep", "60"])
own = os.stat("/proc/self/ns/mnt").st_ino
print(flush=True)
got = set()
while not select.select([0], [], [], 0)[0]:
    for path in glob.glob("/proc/[0-9]*"):
        try:
            fd = os.open(path + "/exe", os.O_RDONLY)
            if os.stat(path + "/ns/mnt").st_ino == own and int(path[6:]) != os.getpid():
                got.add(os.readlink(path + "/exe"))
            os.close(fd)
        except OSError:
            pass
child.kill()
print(*got)
"""
    nsenter = ["nsenter", "--target", str(target.pid), "--user", "--mount"]
    argv = [*nsenter, "/usr/bin/python3", "-c", spy]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdin is not None and watch.stdout is not None
        watch.stdout.readline()
        for number in range(30):
            args = {"pid": target.pid, "path": "/mnt", "src": str(number), "fstype": "tmpfs"}
            assert run_module("ns_mount", args, env=kernel)["changed"]
        watch.stdin.close()
        seen = watch.stdout.read().split()
    # It can look into those that belong there, and into none besides.
    assert [os.path.basename(path) for path in seen] == ["sleep"]
