# SPDX-License-Identifier: GPL-3.0-or-later
"""Two namespaces, of which one is to have the name of the other, and mounts of the host that show the first."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import typing as t

import pytest
from named_namespaces import NewName
from processes_inside import inside
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import actions
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.root import OwnRoot
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    definition_following,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    detached,
    files,
    mounts,
)

NEW_ROOT = "/mnt"
BENEATH = "nothing is mounted"


class Pair(t.NamedTuple):
    """Two namespaces: one with the root that serves, one with the root that is to."""

    old: str
    new: str
    # With a directory for each, and one for the mounts of the host.
    home: pathlib.Path

    def tree(self, name: str) -> pathlib.Path:
        """What its root is made of."""
        return self.home / name / "rootfs"

    def place(self, name: str) -> pathlib.Path:
        """A directory of the host to mount on."""
        found = self.home / "host" / name
        found.mkdir(parents=True, exist_ok=True)
        (found / "page").write_text(BENEATH)
        return found

    @contextlib.contextmanager
    def planned(self, *, back: bool = False) -> t.Iterator[definition_following.Following]:
        """What is to be done, while it can be."""
        names = (self.new, self.old) if back else (self.old, self.new)
        homes = OwnRoot({}, str(self.home / names[0]))
        definition = definitions.load(names[0]).replace(own_root=homes)
        with (
            Target(namespace=names[0]).open(["mnt"]) as old,
            Target(namespace=names[1]).open(["mnt"]) as new,
        ):
            yield definition_following.following(definition, old, new)

    def follow(self, *, back: bool = False) -> list[str]:
        """The names of what was done; without warnings."""
        with self.planned(back=back) as found:
            assert found.warnings == []
            return actions.run_all(found.actions, check=False)

    def shows(self, place: pathlib.Path) -> str:
        """The name of the action for it."""
        return f"have {place} show the new root of {self.old}"


@pytest.fixture
def make(
    new_name: NewName, run_module: RunModule, tmp_path: pathlib.Path
) -> t.Iterator[t.Callable[..., Pair]]:
    """Make the two; what the test leaves mounted on the host goes."""
    pair = Pair(new_name(), new_name(), pathlib.Path(f"/run/tests/{tmp_path.name}"))

    def made(*inside: dict[str, t.Any], manner: str = "overlay") -> Pair:
        for name, word in ((pair.old, "old"), (pair.new, "new")):
            home = pair.home / name
            for below in ("rootfs/srv/www/logs", "rootfs/etc", "rootfs/data", "upper", "work"):
                (home / below).mkdir(parents=True)
            (home / "rootfs/srv/www/page").write_text(word)
            (home / "rootfs/etc/release").write_text(word)
            listed = [_root(home, manner), *inside]
            args: dict[str, t.Any] = {"name": name, "kinds": ["mnt"], "persistent": False}
            _done(run_module("ns_namespace", args))
            _done(run_module("ns_mount", {"namespace": name, "mounts": listed[:1]}))
            if manner == "tmpfs":
                _copy(name, home / "rootfs")
            if inside:
                _done(run_module("ns_mount", {"namespace": name, "mounts": listed[1:]}))
            _done(run_module("ns_pivot_root", {"namespace": name, "new_root": NEW_ROOT}))
        return pair

    before = {each.id for each in table.read()}
    yield made
    for each in reversed(table.read()):
        if each.id not in before and each.path.startswith(f"{pair.home}/host"):
            mounts.detach(each.path)


def _root(home: pathlib.Path, manner: str) -> dict[str, t.Any]:
    if manner == "bind":
        return {"path": NEW_ROOT, "src": f"{home}/rootfs", "opts": "bind"}
    if manner == "tmpfs":
        return {"path": NEW_ROOT, "src": "root", "fstype": "tmpfs", "opts": "mode=755"}
    layers = f"lowerdir={home}/rootfs,upperdir={home}/upper,workdir={home}/work"
    return {"path": NEW_ROOT, "src": "root", "fstype": "overlay", "opts": layers}


def _copy(name: str, tree: pathlib.Path) -> None:
    argv = ["cp", "-a", f"{tree}/.", NEW_ROOT]
    inside(name, lambda: subprocess.run(argv, check=True), ["mnt"])


def _done(result: t.Mapping[str, t.Any]) -> None:
    assert not result.get("failed"), result


@contextlib.contextmanager
def mount_of(name: str, path: str, *, recursive: bool = False) -> t.Iterator[int]:
    """A detached mount of a path inside."""
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def send() -> None:
            tree = detached.open_tree(files.AT_FDCWD, path, recursive=recursive)
            socket.send_fds(theirs, [b"x"], [tree])

        inside(name, send, ["mnt"])
        (tree,) = socket.recv_fds(ours, 1, 1)[1]
    try:
        yield tree
    finally:
        os.close(tree)


@contextlib.contextmanager
def opened(place: pathlib.Path) -> t.Iterator[int]:
    fd = os.open(place, os.O_PATH)
    try:
        yield fd
    finally:
        os.close(fd)


def bind(name: str, path: str, place: pathlib.Path, *, recursive: bool = False) -> None:
    """Mount a path inside on the host: mount(8) does not bind what another mount namespace has."""
    with mount_of(name, path, recursive=recursive) as tree, opened(place) as target:
        detached.move_mount(tree, target)


def mount(*words: str | pathlib.Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def rows_at(place: pathlib.Path) -> list[table.Mount]:
    return [each for each in table.read() if each.path == str(place)]


MakePair = t.Callable[..., Pair]
