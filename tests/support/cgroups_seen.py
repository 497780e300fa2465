# SPDX-License-Identifier: GPL-3.0-or-later
"""Cgroups as a job of somebody else has them, which is killed with all in it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import typing as t

from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import cgroups
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import cgroup

_PREFIX = "linux-namespaces-"
_LOT = re.compile("@[0-9a-f]{16}$")


def without_lot(name: str) -> str:
    """The name of a file that notes a cgroup, without the part that is drawn by lot."""
    return _LOT.sub("@", name)


def noted_for(namespace: str) -> set[str]:
    """The names of the cgroups of what a named namespace has left running."""
    return set(cgroups._noted(namespace, None).values())


def trees() -> list[str]:
    """Where the trees that group processes are mounted."""
    return [tree.top for tree in cgroup._trees()]


def has_own(pid: int) -> bool:
    """Whether the process is in a cgroup of ours, in each tree."""
    return bool(names_of(pid)) and all(_PREFIX in path for path in _paths(pid))


def names_of(pid: int) -> set[str]:
    """The names of the cgroups of ours that the process is in."""
    return {path.rpartition("/")[2] for path in _paths(pid) if _PREFIX in path}


def _paths(pid: int) -> list[str]:
    found = []
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, tree, path = line.split(":", 2)
        if tree in ("", "freezer") or tree.startswith("name="):
            found.append(path)
    return found


@contextlib.contextmanager
def job(pid: int) -> t.Iterator[None]:
    """A process is in the cgroup of a job while the block runs; what it leaves there is killed."""
    places = [pathlib.Path(f"{top}/tests-{os.urandom(8).hex()}") for top in trees()]
    before = {place: place.parent / _path_in(place.parent, pid).lstrip("/") for place in places}
    try:
        for place in places:
            place.mkdir()
            (place / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for place in places:
            (before[place] / "cgroup.procs").write_text(str(pid))
        for place in places:
            if (place / "cgroup.kill").exists():
                (place / "cgroup.kill").write_text("1")
            for left in (place / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(left), signal.SIGKILL)
        for place in places:
            assert wait_until(lambda place=place: _is_removed(place))  # type: ignore[misc]


def _path_in(top: pathlib.Path, pid: int) -> str:
    for tree in cgroup._trees():
        if tree.top == str(top):
            for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                _number, name, path = line.split(":", 2)
                if name == tree.name:
                    return path
    raise AssertionError(top)


def _is_removed(place: pathlib.Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        try:
            place.rmdir()
        except OSError:
            return False
    return True
