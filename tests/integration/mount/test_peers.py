# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount where mounts propagate: what is not at the path stays as it was, in all namespaces.

Each case sets up a source and a mount to be replaced, each of one kind of sharedsubtree.rst of the
kernel, and compares all mounts of all namespaces: of the host, of the target, and of one that receives
what the host mounts and has mounts of its own on the source.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import typing as t

import pytest
from results import RunModule
from unshared_process import Unshared, UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import KernelError
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)

SOURCES = ("private", "shared", "slave", "shared,slave", "unbindable", "directory")
BEFORE = ("private", "shared", "slave", "unbindable", "peer")
BINDS = (
    ("bind", ""),
    ("bind", "private"),
    ("bind", "slave"),
    ("bind", "shared"),
    ("rbind", "rslave"),
    ("rbind", "rshared"),
    ("rbind", "unbindable"),
)
# How each came by its mounts: the one with users of its own may not join the host's groups again.
TARGETS = {
    "host": "",
    "private": "private",
    "slave": "slave",
    "peer": "unchanged",
    "users": "private",
}
CLONE_NEWNS = 0x20000
Rows = dict[int, table.Mount]


class Place:
    """The directories of a case, below ``top``: a shared tmpfs that all but private namespaces see."""

    def __init__(self, top: pathlib.Path) -> None:
        self.top = top
        self.source = top / "source"
        self.master = top / "master"
        self.path = top.parent / "path"


@pytest.fixture
def others(unshared_process: UnsharedProcess) -> dict[str, Unshared]:
    """A process that lives in each namespace: who receives, and the targets."""
    found = {"receiver": unshared_process(options=["--propagation", "slave"])}
    for name, word in TARGETS.items():
        if word:
            kinds = ("mnt", "user") if name == "users" else ("mnt",)
            maps = ["--map-root-user"] if name == "users" else []
            found[name] = unshared_process(kinds, options=["--propagation", word, *maps])
    return found


def inside(target: Unshared | None, work: t.Callable[[], None]) -> None:
    """Do it in the mount namespace of the target, or here."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            if target is not None:
                fd = os.open(f"/proc/{target.pid}/ns/mnt", os.O_RDONLY)
                namespaces.setns(fd, CLONE_NEWNS)
            work()
            code = 0
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def mount(
    src: str | pathlib.Path, path: pathlib.Path, kind: str = "", *, bind: bool = False
) -> None:
    path.mkdir(exist_ok=True)
    if bind:
        mounts.mount(str(src), str(path), flags=mounts.MS_BIND)
    else:
        mounts.mount(str(src), str(path), fstype="tmpfs")
    make(path, kind)


def make(path: pathlib.Path, kind: str) -> None:
    for word in kind.split(",")[::-1] if kind else []:
        mounts.mount("none", str(path), flags=mounts.PROPAGATION[word])


def set_up_source(place: Place, kind: str) -> None:
    if kind == "directory":
        place.source.mkdir()
    else:
        mount("master", place.master, "shared")
        mount(place.master, place.source, kind, bind=True)
    mount("sub", place.source / "sub")


def set_up_path(place: Place, kind: str, source: pathlib.Path) -> None:
    """What is to be replaced: it has something mounted below, and so has what it shares that with."""
    place.path.mkdir(exist_ok=True)
    if kind == "peer":
        mounts.mount(str(source), str(place.path), flags=mounts.MS_BIND | mounts.MS_REC)
        mount("over", place.path / "sub")
        return
    mount("before", place.path, kind)
    mount("below", place.path / "below")


def all_mounts(others: dict[str, Unshared], but: pathlib.Path) -> Rows:
    """The mounts of all namespaces, without those on the path and below."""
    tables = [table.read(f"/proc/{each.pid}/mountinfo") for each in others.values()]
    return {
        row.id: row
        for row in itertools.chain(table.read(), *tables)
        if row.path != str(but) and not row.path.startswith(f"{but}/")
    }


@contextlib.contextmanager
def case(
    tmp_path: pathlib.Path, others: dict[str, Unshared], source: str, before: str, target: str
) -> t.Iterator[Place]:
    place = Place(tmp_path / "top")
    within = others.get(target)
    mount("top", place.top, "shared")
    (tmp_path / "path").mkdir(exist_ok=True)
    try:
        set_up_source(place, source)
        inside(others["receiver"], lambda: mount("own", place.source))
        if before != "peer" or (source != "unbindable" and target not in ("private", "users")):
            inside(within, lambda: set_up_path(place, before, place.source))
        else:
            inside(within, lambda: set_up_path(place, "private", place.source))
        yield place
    finally:
        for each in (within, None, others["receiver"]):
            inside(each, lambda: clear(place))


def clear(place: Place) -> None:
    for path in (place.path, place.top):
        with contextlib.suppress(KernelError):
            while True:
                detach(path)


def expected(word: str, row: table.Mount, target: str) -> set[str]:
    """The peers that a bind of what the host has in this row has then: sharedsubtree.rst."""
    kind = word.removeprefix("r")
    groups = dict(peer.partition(":")[::2] for peer in row.peers)
    is_on_shared = target in ("host", "peer")
    if not kind:
        # Cut off from the host; on what is shared a new mount is so too.
        return {"shared:new"} if is_on_shared else set()
    if kind == "shared":
        return set(row.peers) if "shared" in groups else {*row.peers, "shared:new"}
    if kind == "slave":
        master = groups.get("shared", groups.get("master"))
        if "shared" not in groups and is_on_shared:
            # It was shared with its mirrors in other namespaces, and is their slave then.
            return {"master:mirror"}
        return {f"master:{master}"} if master else set()
    return {kind} & {"unbindable"}


def row_at(path: pathlib.Path, target: Unshared | None) -> table.Mount:
    (row,) = [
        row
        for row in table.read(f"/proc/{target.pid if target else 'self'}/mountinfo")
        if row.path == str(path)
    ]
    return row


def detach(path: pathlib.Path) -> None:
    mounts.mount("none", str(path), flags=mounts.MS_REC | mounts.MS_PRIVATE)
    mounts.umount(str(path), flags=mounts.MNT_DETACH)


def peers_of(row: table.Mount, known: set[str]) -> set[str]:
    """Its peers; a group that was not there before is new, and one of mirrors as a master."""
    found = set()
    for peer in row.peers:
        kind, _colon, group = peer.partition(":")
        if kind == "shared" and peer not in known:
            peer = "shared:new"
        if kind == "master" and not {f"shared:{group}", peer} & known:
            peer = "master:mirror"
        if kind != "propagate_from":
            found.add(peer)
    return found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", TARGETS)
def test_replaced_by_a_bind(
    source: str,
    target: str,
    run_module: RunModule,
    others: dict[str, Unshared],
    tmp_path: pathlib.Path,
    record_property: t.Callable[[str, object], None],
) -> None:
    number = 0
    # The kernel refuses to bind what is unbindable, however.
    binds = BINDS[:1] if source == "unbindable" else BINDS
    for before, (how, word) in itertools.product(BEFORE, binds):
        with case(tmp_path, others, source, before, target) as place:
            there = all_mounts(others, place.path)
            known = {peer for row in there.values() for peer in row.peers}
            args = {"path": str(place.path), "src": str(place.source), "opts": how}
            args |= {"propagation": word} if word else {}
            args |= {"pid": str(others[target].pid)} if target in others else {}
            result = run_module("ns_mount", args)
            what = (before, word, how)
            assert all_mounts(others, place.path) == there, what
            number += 1
            if source == "unbindable":
                assert result.get("failed"), (what, result)
                continue
            assert not result.get("failed"), (what, result)
            (row,) = [row for row in table.read() if is_source(row, place, source)]
            if before != "peer":  # which may be a bind of what the target sees there itself
                seen = row_at(place.path, others.get(target))
                assert peers_of(seen, known) == expected(word, row, target), what
            again = run_module("ns_mount", args)
            assert not again["changed"], (what, again)
    record_property("cases", number)
    print(f"{number} replacements of a mount by a bind of what is {source}, target {target}")


def is_source(row: table.Mount, place: Place, kind: str) -> bool:
    if kind == "directory":
        return row.path == str(place.top)
    return row.path == str(place.source) and row.src != "own"


@pytest.mark.parametrize("source", [each for each in SOURCES if each != "unbindable"])
@pytest.mark.parametrize("target", TARGETS)
def test_unmounted(
    source: str,
    target: str,
    run_module: RunModule,
    others: dict[str, Unshared],
    tmp_path: pathlib.Path,
) -> None:
    """What the bind shows of its source, also below it, stays mounted there."""
    for word in ("rshared", "rslave", "rprivate"):
        with case(tmp_path, others, source, "private", target) as place:
            inside(others.get(target), lambda: detach(place.path))
            there = all_mounts(others, place.path)
            args = {"path": str(place.path), "src": str(place.source), "opts": "rbind"}
            pid = {"pid": str(others[target].pid)} if target in others else {}
            made = run_module("ns_mount", {**args, **pid, "propagation": word})
            assert made["changed"], made
            assert all_mounts(others, place.path) == there, word
            gone = run_module("ns_mount", {"path": args["path"], **pid, "state": "unmounted"})
            assert gone["changed"], gone
            assert all_mounts(others, place.path) == there, word


@pytest.mark.parametrize("source", ["shared", "shared,slave", "directory"])
def test_what_is_in_use_stays_and_shares_as_before(
    source: str, run_module: RunModule, others: dict[str, Unshared], tmp_path: pathlib.Path
) -> None:
    with case(tmp_path, others, source, "private", "host") as place:
        detach(place.path)
        args = {"path": str(place.path)}
        how = {"src": str(place.source), "opts": "rbind", "propagation": "rshared"}
        assert run_module("ns_mount", {**args, **how})["changed"]
        there = all_mounts(others, place.top / "nothing")
        with open(place.path / "used", "w", encoding="utf-8"):
            result = run_module("ns_mount", {**args, "state": "unmounted"})
            assert result["errno"] == "EBUSY", result
            now = all_mounts(others, place.top / "nothing")
            # What was not in use has gone, as by umount(8); the rest shares what it did.
            assert {key: now.get(key) for key in there if key in now} == now
            assert now == {key: row for key, row in there.items() if key in now}
        assert run_module("ns_mount", {**args, "state": "unmounted"})["changed"]
