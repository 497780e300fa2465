# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount in roots that do not want us well: what they hold leads nowhere outside of them.

Each test names the incident that it repeats. The fixture host_unchanged compares the host's mount
table before and after; a canary on the host shows what was created or mounted on by mistake.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess

import pytest
import raced
from hostile_places import NAME, Hostile, Place, Racer
from results import Converge, RunModule
from unshared_process import Unshared, UnsharedProcess

Kernel = dict[str, str]


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


@pytest.mark.parametrize("storm", [False, True], ids=["quiet", "storm"])
def test_links_that_lead_round(
    storm: bool,
    kernel: Kernel,
    run_module: RunModule,
    jailed: Unshared,
    place: Place,
    tmp_path: pathlib.Path,
) -> None:
    """Also while somebody renames as fast as he can, for whom the kernel gives up (openat2(2))."""
    links = {"loop": "loop", "ping": "pong/a", "pong": "/ping", "up": "../up/x"}
    for name, to in links.items():
        (place.root / name).symlink_to(to)
    with contextlib.ExitStack() as stack:
        if storm:
            renamed = [tmp_path / "one", tmp_path / "other"]
            for each in renamed:
                each.touch()
            stack.enter_context(raced.changing_places(*renamed))
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
