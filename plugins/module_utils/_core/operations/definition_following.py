# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Mounts of the host that show a part of a namespace, when that gets another root.

They would go on to show what nobody serves any more, and keep the old root. Each gets the same path of
the new root in its place. mount(8) makes none of /proc/PID/root: the kernel binds only what lies in the
caller's own mount namespace. But who was inside hands them out (open_tree(2)), what is mounted inside on
a directory that is shared with the host appears there (sharedsubtree.rst of the kernel), and a root that
is a bind lies on the host itself.

Only the host's mount table is looked at: what other named namespaces show is a step of theirs. Lines of
fstab(5) and units are the operator's.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import typing as t

from .. import host_paths
from ..actions import Action
from ..definition.layout import Layout, is_below
from ..definition.model import Definition
from ..definition.steps import MountStep, PivotStep
from ..errors import KernelError
from ..mount import observe, peers, resolve, shows, swap, table
from ..mount.build import Tree
from ..mount.shows import Shown
from ..mount.table import Mount, Table
from ..mount.view import TargetView, open_host_proc
from ..mount.where import HOST
from ..namespace import enter
from ..namespace.target import Handles
from ..syscalls import detached, files, mounts

# What says that a path leads nowhere, or nowhere in the root.
_NO_WAY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENAMETOOLONG, errno.EXDEV)
_SHARED, _SLAVE = "shared", "slave"


class Following(t.NamedTuple):
    """What is to be done for the mounts of the host to show the new root."""

    actions: list[Action]
    # About those that go on to show the old one.
    warnings: list[str]


class _File(t.NamedTuple):
    """Which file something is: two that are equal are the same one."""

    device: int
    inode: int
    is_directory: bool


class _Candidate(t.NamedTuple):
    """A mount of the host that shows something of the old root."""

    what: Shown
    # What it shows.
    file: _File
    # Where the host has mounted something else on it: the paths from there.
    places: list[str]


class _Host(t.NamedTuple):
    """The host, for who has joined another mount namespace: both are open."""

    root: int
    proc: int


def following(definition: Definition, old: Handles, new: Handles) -> Following:
    """Have the mounts of the host that show the ``old`` root of a namespace show the ``new`` one.

    ``definition`` is the one of the old root. Both stay open until the actions are applied. What a
    service makes in the new root when it starts is there only then: call it after that. Raises
    KernelError, OSError; the actions raise KernelError, Refused, OSError.
    """
    found = Following([], [])
    if definition.own_root is None:  # its root may be the host's
        return found
    on_host = table.read()
    with _host() as host:
        rows, candidates, unclear = _in_mounts_of(
            old, functools.partial(_look_in_old, definition, on_host, host)
        )
    found.warnings.extend(_warning(definition.name, what, why) for what, why in unclear)
    if not candidates:
        return found
    answers = _in_mounts_of(new, functools.partial(_look_in_new, candidates))
    for each, (file, lost) in zip(candidates, answers):
        if file == each.file:  # what both roots have of the host
            continue
        what = each.what
        why = _why_not(each, file, lost)
        if why:
            found.warnings.append(_warning(definition.name, what, why))
            continue
        name = f"have {what.host.path} show the new root of {definition.name}"
        apply = functools.partial(_follow, what, rows, new)
        found.actions.append(Action(name, apply, functools.partial(_explain, what)))
    return found


def _why_not(each: _Candidate, now: _File | None, lost: t.Sequence[str]) -> str:
    """Why the mount cannot show ``now``, what is at its path in the new root; empty where it can."""
    if now is None:
        return "the new one has no such path"
    if now.is_directory != each.file.is_directory:
        return f"in the new one it is {'a' if now.is_directory else 'no'} directory"
    if lost:
        return f"the new one has no place for what is mounted on {each.what.host.path}{lost[0]}"
    if "idmapped" in each.what.host.flags:
        return "its ids are mapped (X-mount.idmap), which is not done again"
    return ""


def _warning(name: str, what: Shown, why: str) -> str:
    path = what.host.path
    return (
        f"{path} on the host still shows {what.path} of the root that {name} had before: {why}. "
        f"Unmount it (umount --lazy {path}), and mount what it is to show."
    )


def _explain(what: Shown, error: OSError) -> tuple[str, str]:
    """For people: how to do by hand what the kernel refused."""
    said = f"{error.call}: {error.errno_name}" if isinstance(error, KernelError) else str(error)
    path = what.host.path
    return (
        f"{what.path} of the new root cannot be mounted on {path}: {said}",
        f"What was there still is. Unmount it (umount --lazy {path}), and bind it anew.",
    )


@contextlib.contextmanager
def _host() -> t.Iterator[_Host]:
    with _root() as root:
        proc = open_host_proc()
        try:
            yield _Host(root, proc)
        finally:
            os.close(proc)


@contextlib.contextmanager
def _root() -> t.Iterator[int]:
    """The root of the mount namespace that this process has joined, open."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield root
    finally:
        os.close(root)


def _in_mounts_of(handles: Handles, function: t.Callable[[], t.Any]) -> t.Any:
    """What the function answers in the mount namespace, with the caller's rights over the host."""
    with Handles({"mnt": os.dup(handles.fd_of("mnt"))}) as mounts_alone:
        return enter.run_inside(function, joins=mounts_alone)


def _look_in_old(
    definition: Definition, on_host: list[Mount], host: _Host
) -> tuple[list[Mount], list[_Candidate], list[tuple[Shown, str]]]:
    """In the old root: its mount table, what shows it, and what may, with why that does not follow."""
    rows = table.read("self/mountinfo", dir_fd=host.proc)
    there = Table(on_host)
    candidates: list[_Candidate] = []
    unclear: list[tuple[Shown, str]] = []
    with _root() as root:
        own = shows.own_of(rows, files.place_of(root).mount_id, _bound(definition))
        found = [
            whats for row in _of_the_host(definition, on_host) if (whats := shows.shown(row, own))
        ]
        # What came with another one (rbind) goes with that.
        came = {each.id for whats in found for each in shows.came_with(whats[0], there, rows)}
        for what, *more in found:
            if what.host.id in came:
                continue
            if more:
                unclear.append((what, f"that is {more[0].path} there as well"))
                continue
            is_shown, is_inside = _shown_by(what.host, host), _file_at(root, what.path)
            if is_shown is None:  # gone meanwhile
                continue
            if is_shown != is_inside:
                unclear.append((what, "that was removed, renamed or covered in it"))
                continue
            places = [each.path for each in shows.others_on(what, there, rows)]
            below = [path[len(what.host.path) :] for path in places]
            candidates.append(_Candidate(what, is_shown, below))
    # The one on top first: the one below takes it along as it is by then.
    candidates.sort(key=lambda each: -each.what.host.path.count("/"))
    return rows, candidates, unclear


def _of_the_host(definition: Definition, on_host: list[Mount]) -> list[Mount]:
    """The mounts that an operator may have made, and that can be seen."""
    ours = [host_paths.BASE]
    if definition.own_root is not None:
        ours.append(definition.own_root.home)
    found = table.reachable(on_host)
    return [row for row in found if not any(is_below(row.path, path) for path in ours)]


def _bound(definition: Definition) -> list[str]:
    """The paths inside where the steps have mounted something of the host."""
    steps = definition.all_steps
    layout = Layout(tuple(each.new_root for each in steps if isinstance(each, PivotStep)))
    return [
        layout.now(each.path)
        for each in steps
        if isinstance(each, MountStep)
        and each.src_in == "host"
        and not {"bind", "rbind"}.isdisjoint(each.words)
    ]


def _file_at(root: int, path: str) -> _File | None:
    """What the path leads to in the open ``root``, which may be hostile; None where that is nothing."""
    try:
        with resolve.opened_in(root, path) as fd:
            return _file_of(fd)
    except KernelError as error:
        if error.errno in _NO_WAY:
            return None
        raise


def _file_of(fd: int) -> _File:
    place = files.place_of(fd)
    return _File(place.device, place.inode, resolve.is_directory(fd))


def _shown_by(mount: Mount, host: _Host) -> _File | None:
    """What the mount of the host shows; None where it is there no more."""
    try:
        with resolve.opened_in(host.root, mount.path) as fd:
            return _file_of(fd) if files.place_of(fd).mount_id == mount.id else None
    except KernelError as error:
        if error.errno in _NO_WAY:
            return None
        raise


def _look_in_new(candidates: list[_Candidate]) -> list[tuple[_File | None, list[str]]]:
    """In the new root: what is at the path of each, and which places below are missing there."""
    with _root() as root:
        return [
            (_file_at(root, each.what.path), _missing(root, each.what.path, each.places))
            for each in candidates
        ]


def _missing(root: int, path: str, places: t.Sequence[str]) -> list[str]:
    found = []
    for below in places:
        try:
            with resolve.opened_in(root, path) as top:
                os.close(swap.open_place(top, below))
        except KernelError as error:
            if error.errno not in _NO_WAY:
                raise
            found.append(below)
    return found


def _follow(what: Shown, rows: list[Mount], new: Handles) -> None:
    """Put the path of the new root in the place of the mount. ``rows`` is the table of the old one."""
    with _host() as host:
        there = Table(table.read())
        below = shows.came_with(what, there, rows)
        peer = _peer_of_inside(what.host, rows)
        tree, bits = _cloned(new, what.path, peer, host, recursive=bool(below))
        try:
            successor = swap.Successor(
                tree,
                attributes=shows.attributes(what, bits),
                on_all=shows.common_restrictions([what.host, *below]) if below else 0,
                propagation=what.host.propagation,
                carried=shows.others_on(what, there, rows),
            )

            def change() -> None:
                # In a process of its own: TargetView changes the working directory.
                view = TargetView(host.proc, Layout(), HOST)
                swap.replace(view, what.host, successor, rows)

            enter.run_inside(change)
        finally:
            tree.close()


def _peer_of_inside(mount: Mount, rows: t.Iterable[Mount]) -> str:
    """Whether it shares what is mounted on it with the inside, or gets it from there; else empty."""
    groups = {peers.group_of(row).partition(":")[2] for row in rows} - {""}
    for peer in mount.peers:
        kind, _colon, number = peer.partition(":")
        if number in groups:
            return _SHARED if kind == "shared" else _SLAVE
    return ""


def _cloned(
    new: Handles, path: str, peer: str, host: _Host, *, recursive: bool
) -> tuple[Tree, int]:
    """A detached mount of the path in the new root, and the MOUNT_ATTR_* bits that the inside has there.

    ``peer`` is as _peer_of_inside() answers.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def clone() -> tuple[int, bool]:
            with _root() as root, resolve.opened_in(root, path) as fd:
                read = functools.partial(table.read, "self/mountinfo", dir_fd=host.proc)
                source = observe.source_of(fd, {}, read=read)
                tree = detached.open_tree(fd, "", recursive=recursive)
                sent, is_settled = [tree], True
                if peer == _SHARED and source.is_shared:
                    sent.append(detached.open_tree(fd, ""))
                else:
                    is_settled = _leave_peers(tree, peer)
                # This process ends, and they with it, but for who gets them.
                socket.send_fds(theirs, [b"x"], sent)
                return source.attributes, is_settled

        bits, is_settled = _in_mounts_of(new, clone)
        fds = socket.recv_fds(ours, 1, 2, socket.MSG_CMSG_CLOEXEC)[1]
    origin = fds[1] if len(fds) > 1 else -1
    return Tree(fds[0], settled=is_settled, origin=origin), bits


def _leave_peers(tree: int, peer: str) -> bool:
    """Have the mounts leave the inside's peer groups; False before Linux 5.12."""
    kind = mounts.MS_SLAVE if peer == _SLAVE else mounts.MS_PRIVATE
    try:
        detached.mount_setattr(tree, propagation=kind, recursive=True)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        return peer == _SLAVE
    return True
