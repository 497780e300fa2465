# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: stacks, replacements without a gap, many mounts at once, and nothing beside them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from results import Converge, RunModule
from unshared_process import Unshared
from waiting import wait_until

Kernel = dict[str, str]

# Looks at a path over and over from inside, until its input ends: says what it saw.
WATCHER = """
import os, select, sys
path, seen, looks = sys.argv[1], set(), 0
print(flush=True)
while not select.select([0], [], [], 0)[0]:
    for _each in range(200):
        try:
            seen.add(open(path).read())
        except OSError as error:
            seen.add(error.strerror)
        looks += 1
print(looks, *sorted(seen), sep="\\n")
"""


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("mnt", "old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def sources_on(target: Unshared, path: pathlib.Path) -> list[str]:
    """The sources of what is mounted on ``path``, the lowest first."""
    return [line.partition(" - ")[2].split(" ")[1] for line in target.mounted_on(str(path))]


# Stacks


@pytest.mark.parametrize(
    ("below", "left"),
    [
        (["x"], 1),
        (["other"], 1),
        (["x", "other", "x"], 1),
        (["other", "x", "x"], 1),
    ],
)
def test_a_stack_is_found_and_mended(
    below: list[str],
    left: int,
    kernel: Kernel,
    converge: Converge,
    target: Unshared,
    here: pathlib.Path,
) -> None:
    place = here / "mnt"
    for source in [*below, "x"]:
        target.run("mount", "-t", "tmpfs", source, str(place))
    target.run("sh", "-c", f"echo kept >'{place}/topmost'")
    args = {"pid": target.pid, "path": str(place), "src": "x", "fstype": "tmpfs"}
    done = converge("ns_mount", args, env=kernel)
    assert done["actions"] == [f"unstack the mounts on {place}"]
    assert sources_on(target, place) == ["x"] * left
    # It is the one that was seen, with what was in it and what was mounted below it.
    assert target.run("cat", f"{place}/topmost") == "kept\n"


def test_a_stack_keeps_what_is_mounted_below_its_top(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    place = here / "mnt"
    target.run("sh", "-euc", f"""
        mount -t tmpfs other '{place}'; mkdir '{place}/sub'; mount -t tmpfs lost '{place}/sub'
        mount -t tmpfs x '{place}'; mkdir '{place}/sub'; mount -t tmpfs found '{place}/sub'
        echo kept >'{place}/sub/file'
    """)  # fmt: skip
    args = {"pid": target.pid, "path": str(place), "src": "x", "fstype": "tmpfs"}
    converge("ns_mount", args, env=kernel)
    assert sources_on(target, place / "sub") == ["found"]
    assert target.run("cat", f"{place}/sub/file") == "kept\n"


def test_a_stack_of_the_same_bind(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    for _each in range(4):
        target.run("mount", "--bind", f"{here}/old", f"{here}/mnt")
    args = {"pid": target.pid, "path": f"{here}/mnt", "src": f"{here}/old", "opts": "bind"}
    converge("ns_mount", args, env=kernel)
    assert len(target.mounted_on(f"{here}/mnt")) == 1


def test_a_stack_with_a_wrong_top_is_replaced_whole(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    place = here / "mnt"
    for source in ("x", "wrong", "wrong"):
        target.run("mount", "-t", "tmpfs", source, str(place))
    args = {"pid": target.pid, "path": str(place), "src": "x", "fstype": "tmpfs"}
    done = converge("ns_mount", args, env=kernel)
    assert done["actions"] == [f"replace with tmpfs on {place} (differs: src)"]
    assert sources_on(target, place) == ["x"]


# Replacing


@pytest.mark.newer_kernel
def test_a_mount_is_replaced_without_a_gap(
    run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    place = here / "mnt"
    (here / "mnt/file").write_text("nothing is mounted")
    base = {"pid": target.pid, "path": str(place), "opts": "bind"}
    run_module("ns_mount", {**base, "src": str(here / "old")})
    nsenter = ["nsenter", "--target", str(target.pid), "--mount"]
    watcher = subprocess.Popen(
        [*nsenter, sys.executable, "-c", WATCHER, f"{place}/file"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with watcher:
        assert watcher.stdin is not None and watcher.stdout is not None
        watcher.stdout.readline()
        for _round in range(15):
            for name in ("new", "old"):
                done = run_module("ns_mount", {**base, "src": str(here / name)})
                assert done["changed"], done
        watcher.stdin.close()
        looks, *seen = watcher.stdout.read().splitlines()
    assert int(looks) > 1000
    assert seen == ["new", "old"]
    assert len(target.mounted_on(str(place))) == 1


def test_what_was_open_stays_open(
    kernel: Kernel, run_module: RunModule, target: Unshared, here: pathlib.Path
) -> None:
    """A busy mount is replaced as well: who uses it goes on with the old one."""
    base = {"pid": target.pid, "path": f"{here}/mnt", "opts": "bind"}
    run_module("ns_mount", {**base, "src": f"{here}/old"}, env=kernel)
    script = f"cd '{here}/mnt'; echo; read line; cat file"
    user = subprocess.Popen(
        ["nsenter", "--target", str(target.pid), "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with user:
        assert user.stdin is not None and user.stdout is not None
        user.stdout.readline()
        assert run_module("ns_mount", {**base, "src": f"{here}/new"}, env=kernel)["changed"]
        user.stdin.write("\n")
        user.stdin.close()
        assert user.stdout.read() == "old"
    assert target.run("cat", f"{here}/mnt/file") == "new"


# Many


def mounts_of_a_root(count: int) -> list[dict[str, t.Any]]:
    return [
        {
            "path": f"/srv/{number:03}",
            "src": f"n{number}",
            "fstype": "tmpfs",
            "opts": "size=1m,X-mount.mkdir",
        }
        for number in range(count)
    ]


def test_many_at_once(kernel: Kernel, converge: Converge, target: Unshared) -> None:
    target.run("mount", "-t", "tmpfs", "srv", "/srv")
    mounts = mounts_of_a_root(100)
    done = converge("ns_mount", {"pid": target.pid, "mounts": mounts}, env=kernel)
    assert [mount["path"] for mount in done["mounts"]] == [each["path"] for each in mounts]
    assert len(done["actions"]) == 100
    # One of them differs, one is gone: only these are touched.
    target.run("umount", "/srv/007")
    mounts[50]["opts"] = "size=2m,X-mount.mkdir"
    done = converge("ns_mount", {"pid": target.pid, "mounts": mounts}, env=kernel)
    assert done["actions"] == ["mount tmpfs on /srv/007", "change options of /srv/050: size=2m"]
    gone = [{"path": each["path"], "state": "unmounted"} for each in mounts]
    assert converge("ns_mount", {"pid": target.pid, "mounts": gone}, env=kernel)["changed"]
    assert [line for line in target.mountinfo() if " /srv/" in line] == []


def test_a_list_whose_parts_depend_on_each_other(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    mounts = [
        {"path": "/srv", "src": "base", "fstype": "tmpfs"},
        {"path": "/srv/data", "src": "data", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
        {"path": "/srv/data/proc", "src": "proc", "fstype": "proc", "opts": "X-mount.mkdir"},
        {"path": "/srv/old", "src": f"{here}/old", "opts": "bind,ro,X-mount.mkdir"},
        {"path": "/srv/null", "src": "/dev/null", "opts": "bind,X-mount.mkdir"},
        {
            "path": "/srv/again", "src": "/srv/old", "src_in": "namespace",
            "opts": "bind,X-mount.mkdir",
        },
    ]  # fmt: skip
    args = {"pid": target.pid, "mounts": mounts}
    done = converge("ns_mount", args, env=kernel)
    assert len(done["actions"]) == 6
    assert target.run("cat", "/srv/old/file", "/srv/again/file", "/srv/null") == "oldold"
    assert target.run("ls", "/srv/data/proc/self/status")
    # The base is replaced: everything below it is made anew.
    mounts[0]["opts"] = "mode=700"
    done = converge("ns_mount", args, env=kernel)
    assert len(done["actions"]) == 6
    assert target.run("cat", "/srv/old/file", "/srv/again/file") == "oldold"


def test_what_lies_below_a_mount_that_goes_is_made_anew(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    (here / "mnt/sub").mkdir()
    target.run("sh", "-euc", f"""
        mount -t tmpfs top '{here}/mnt'; mkdir '{here}/mnt/sub'; mount -t tmpfs sub '{here}/mnt/sub'
    """)  # fmt: skip
    sub = {"path": f"{here}/mnt/sub", "src": "sub", "fstype": "tmpfs"}
    mounts = [{"path": f"{here}/mnt", "state": "unmounted"}, sub]
    done = converge("ns_mount", {"pid": target.pid, "mounts": mounts}, env=kernel)
    assert done["actions"] == [f"unmount {here}/mnt", f"mount tmpfs on {here}/mnt/sub"]


# Nothing beside them


def test_exclusive_below(kernel: Kernel, converge: Converge, target: Unshared) -> None:
    target.run("sh", "-euc", """
        mount -t tmpfs srv /srv; cd /srv; mkdir keep keep/deep other other/deep 'a b'
        mount -t tmpfs keep keep; mount -t tmpfs other other; mkdir other/deep keep/deep
        mount -t tmpfs deep other/deep; mount -t tmpfs deep keep/deep; mount -t tmpfs space 'a b'
        mount -t tmpfs twice 'a b'; mount -t tmpfs outside /mnt
    """)  # fmt: skip
    args = {
        "pid": target.pid,
        "exclusive_below": "/srv/",
        "mounts": [
            {"path": "/srv/keep", "src": "keep", "fstype": "tmpfs"},
            {"path": "/srv/new", "src": "new", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
        ],
    }
    before = target.mounted_on("/srv/keep")
    done = converge("ns_mount", args, env=kernel)
    assert sorted(done["actions"]) == [
        "mount tmpfs on /srv/new",
        "unmount /srv/a b",
        "unmount /srv/keep/deep",
        "unmount /srv/other",
        "unmount /srv/other/deep",
    ]
    assert target.mounted_on("/srv/keep") == before
    paths = [line.split(" ")[4] for line in target.mountinfo()]
    assert [path for path in paths if path.startswith("/srv")] == ["/srv", "/srv/keep", "/srv/new"]
    assert "/mnt" in paths
    # Nothing is wanted: nothing is left.
    done = converge("ns_mount", {**args, "mounts": []}, env=kernel)
    assert done["actions"] == ["unmount /srv/keep", "unmount /srv/new"]
    assert target.mounted_on("/srv")


def test_exclusive_below_with_a_wanted_mount_below_a_surplus_one(
    kernel: Kernel, converge: Converge, target: Unshared
) -> None:
    target.run("sh", "-euc", """
        mount -t tmpfs srv /srv; cd /srv; mkdir -p other/deep; mount -t tmpfs other other
        mkdir other/deep; mount -t tmpfs deep other/deep
    """)  # fmt: skip
    deep = {"path": "/srv/other/deep", "src": "deep", "fstype": "tmpfs"}
    args = {"pid": target.pid, "exclusive_below": "/srv", "mounts": [deep]}
    done = converge("ns_mount", args, env=kernel)
    assert done["actions"] == ["unmount /srv/other", "mount tmpfs on /srv/other/deep"]
    assert sources_on(target, pathlib.Path("/srv/other/deep")) == ["deep"]


def test_exclusive_below_leaves_what_cannot_be_reached(
    kernel: Kernel, converge: Converge, target: Unshared
) -> None:
    target.run("sh", "-euc", """
        mount -t tmpfs srv /srv; mkdir /srv/hidden; mount -t tmpfs hidden /srv/hidden
        mount -t tmpfs over /srv
    """)  # fmt: skip
    args = {"pid": target.pid, "exclusive_below": "/srv", "mounts": []}
    assert not converge("ns_mount", args, env=kernel)["changed"]
    assert len(target.mounted_on("/srv/hidden")) == 1


def test_exclusive_below_what_is_not_there_yet(
    kernel: Kernel, converge: Converge, target: Unshared, here: pathlib.Path
) -> None:
    place = f"{here}/mnt/not/yet"
    args: dict[str, t.Any] = {"pid": target.pid, "exclusive_below": place, "mounts": []}
    assert not converge("ns_mount", args, env=kernel)["changed"]
    args["mounts"] = [
        {"path": place, "fstype": "tmpfs", "opts": "X-mount.mkdir"},
        {"path": f"{place}/below", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
    ]
    args["exclusive_below"] = f"{place}/below"
    assert len(converge("ns_mount", args, env=kernel)["actions"]) == 2


# At the same time


def test_at_the_same_time(run_module: RunModule, target: Unshared, here: pathlib.Path) -> None:
    """Runs on a target without a name have no lock: none may fail or stack but by a lost race."""
    import concurrent.futures

    wanted = {"pid": target.pid, "path": f"{here}/mnt", "src": "x", "fstype": "tmpfs"}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _each: run_module("ns_mount", wanted), range(4)))
    assert all(not result.get("failed") for result in results), results
    run_module("ns_mount", wanted)
    assert len(target.mounted_on(f"{here}/mnt")) == 1
    assert wait_until(lambda: os.path.exists(f"/proc/{target.pid}"))
