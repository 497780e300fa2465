# SPDX-License-Identifier: GPL-3.0-or-later
"""What a root file system costs, beside tar, skopeo and umoci by hand on the same input.

By hand is what it takes to have as much afterwards: the digest of the archive, the root, and all
of it on the disk. The disk is a tmpfs here, as in the tutorial: what a real one takes is the same
for both, and hides what is to be measured.
"""

from __future__ import annotations

import importlib
import os
import pathlib
import resource
import shutil
import subprocess
import time
import typing as t

import pytest
import timed
from timed import PING, compared, task

from ansible_collections.linux.namespaces.plugins.module_utils._core import rootfs as package
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import rootfs
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.request import (
    RootRequest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.archive import (
    Archive,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.image import (
    Image,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.source import (
    Source,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# Loaded before the clock runs: what a task costs whatever it unpacks is measured by itself, below.
for _name in ("change", "tar.decompress", "sources.kept"):
    importlib.import_module(f"{package.__name__}.{_name}")

ROUNDS = 5
LIMIT = 1.15
# As large as the root of a small service: some 10,000 files and 200 MB.
CONTENT = ("etc", "usr/lib/python3", "usr/share/perl", "usr/share/doc", "usr/share/i18n")
PROGRAMS = {"tar": [], "tar.gz": ["gzip", "-1"], "tar.xz": ["xz", "-0"], "tar.zst": ["zstd"]}
TAR = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-p"]
Action = t.Callable[[pathlib.Path], t.Any]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("archive") / "root.tar"
    there = [name for name in CONTENT if pathlib.Path("/", name).exists()]
    subprocess.run(["tar", "-cf", path, "--xattrs", "-C", "/", *there], check=True)
    return path


@pytest.fixture
def top(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    path = tmp_path / "roots"
    path.mkdir()
    mounts.mount("bench", str(path), fstype="tmpfs")
    yield path
    mounts.umount(str(path), flags=mounts.MNT_DETACH)


def run(source: Source, path: pathlib.Path) -> None:
    request = RootRequest(target=Target(), path=str(path), source=source)
    assert rootfs.run(request, check=False, progress=lambda _text: None).actions


class Cost(t.NamedTuple):
    """What a run takes, in seconds: on the clock, and of the processors."""

    clock: float
    processors: float


def cost_of(action: t.Callable[[], t.Any]) -> Cost:
    before = time.perf_counter()
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    _pid, status, used = os.wait4(child, 0)
    assert status == 0
    return Cost(time.perf_counter() - before, used.ru_utime + used.ru_stime)


def side_by_side(title: str, own: Action, by_hand: Action, top: pathlib.Path) -> float:
    """The ratio of the cheapest of some runs of each, which take turns.

    By the clock; that of the processors' time is shown beside, since on a machine that has other
    work too the clock tells who was lucky.
    """
    costs: dict[str, list[Cost]] = {"own": [], "by hand": []}
    for _round in range(ROUNDS):
        for name, action in (("own", own), ("by hand", by_hand)):
            costs[name].append(cost_of(lambda action=action: action(top / "root")))
            shutil.rmtree(top / "root")
    ours, theirs = (
        Cost(*(min(values) for values in zip(*costs[name]))) for name in ("own", "by hand")
    )
    ratios = [mine / hand for mine, hand in zip(ours, theirs)]
    print(
        f"\n{title}: {ours.clock:.2f} s, by hand {theirs.clock:.2f} s, ratio {ratios[0]:.2f}; "
        f"of the processors {ours.processors:.2f} s and {theirs.processors:.2f} s, "
        f"ratio {ratios[1]:.2f}"
    )
    return ratios[0]


@pytest.mark.parametrize("form", PROGRAMS)
def test_an_archive(
    form: str, archive: pathlib.Path, top: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    packed = archive
    if PROGRAMS[form]:
        packed = tmp_path / f"root.{form}"
        with packed.open("wb") as file:
            subprocess.run([*PROGRAMS[form], "-c", str(archive)], stdout=file, check=True)

    def by_hand(path: pathlib.Path) -> None:
        path.mkdir()
        with subprocess.Popen(["sha256sum", packed], stdout=subprocess.DEVNULL):
            subprocess.run([*TAR, "-xf", packed, "-C", path], check=True)
        subprocess.run(["sync", "--file-system", path], check=True)

    ratio = side_by_side(form, lambda path: run(Archive(str(packed)), path), by_hand, top)
    assert ratio <= LIMIT


def test_an_image(archive: pathlib.Path, top: pathlib.Path, tmp_path: pathlib.Path) -> None:
    layout = tmp_path / "layout"
    for words in (["init", "--layout", layout], ["new", "--image", f"{layout}:tag"]):
        subprocess.run(["umoci", *map(str, words)], check=True)
    layer = ["raw", "add-layer", "--image", f"{layout}:tag", str(archive)]
    subprocess.run(["umoci", *layer], check=True)
    image = f"oci:{layout}:tag"

    def by_hand(path: pathlib.Path) -> None:
        fetched = path.parent / "fetched"
        subprocess.run(["skopeo", "copy", "--quiet", image, f"oci:{fetched}:tag"], check=True)
        unpack = ["umoci", "raw", "unpack", "--image", f"{fetched}:tag", str(path)]
        subprocess.run(unpack, check=True, capture_output=True)
        shutil.rmtree(fetched)
        subprocess.run(["sync", "--file-system", path], check=True)

    ratio = side_by_side("image", lambda path: run(Image(image), path), by_hand, top)
    assert ratio <= LIMIT


@pytest.mark.usefixtures("namespace")
def test_an_unchanged_root_costs_an_empty_task(
    archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """On a host that has a named namespace, as those have which get roots.

    Any other compiles for each task what it is sent.
    """
    title, path = "unchanged root", str(tmp_path / "root")
    unchanged = task(title, "ns_rootfs", path=path, archive=str(archive))
    timed.run([{**unchanged, "name": "first"}], tmp_path / "first")
    times = timed.run([PING, unchanged] * 25, tmp_path / "measured")
    assert compared(title, times, 1.25) <= 1.25  # as for every other task


def memory_for(archive: pathlib.Path, path: pathlib.Path) -> int:
    """How many kilobytes more a process has at its peak that unpacks the archive."""

    read, write = os.pipe()
    if os.fork() == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run(Archive(str(archive)), path)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # That of the process that unpacks; it starts with what this one has.
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        os.write(write, str(max(own, children) - before).encode())
        os._exit(0)
    os.close(write)
    with open(read, encoding="ascii") as answer:
        kilobytes = int(answer.read())
    os.wait()
    return kilobytes


def test_memory_does_not_grow_with_the_archive(
    archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    small = tmp_path / "small.tar"
    subprocess.run(["tar", "-cf", small, "-C", "/", "etc/hostname"], check=True)
    few, many = memory_for(small, tmp_path / "few"), memory_for(archive, tmp_path / "many")
    size = os.path.getsize(archive) >> 20
    print(f"\nmemory: {few} kB for one file, {many} kB for {size} MB")
    assert many - few < 4_096
