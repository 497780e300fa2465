# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a program finds around it in new namespaces: host name, lo, mounts, /proc, its root.

Runs in the process that lives in them. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
import stat
import typing as t

from .. import actions
from ..definition.layout import Layout
from ..errors import KernelError, Refused, StepFailed
from ..mount import attach, build, host_view, ids, observe, resolve, sources, table, words
from ..mount.compare import Source
from ..mount.explain import mount as explain
from ..mount.host_view import HostView
from ..mount.plan import plan
from ..mount.view import TargetView
from ..mount.wanted import WantedMount
from ..mount.where import RUN
from ..namespace import network, pins
from ..syscalls import detached, mounts, namespaces
from ..syscalls.kernel_log import KernelLog

PROC = WantedMount(path="/proc", src="proc", fstype="proc", words=("nosuid", "nodev", "noexec"))


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What is arranged before a program starts."""

    # The directory that becomes its root, as the process sees it before.
    root: str = ""
    # Made in the root, in their order.
    mounts: tuple[WantedMount, ...] = ()
    # Of all mounts in a new mount namespace: private, slave, shared, or unchanged; empty where
    # the namespace is not new and nothing may be changed in it.
    propagation: str = ""
    hostname: str = ""
    # Whether a proc of the own pid namespace is mounted; None: where the root has a place for it.
    mount_proc: bool | None = False
    # Whether lo is brought up.
    loopback: bool = False

    def checked(self, creates: t.Collection[str]) -> Surroundings:
        """These, when they can be arranged in new namespaces of these kinds. Raises Refused."""
        for option, value, kind in (
            ("root", self.root, "mnt"),
            ("mounts", self.mounts, "mnt"),
            ("mount_proc", self.mount_proc, "mnt"),
            ("mount_proc", self.mount_proc, "pid"),
            ("propagation", self.propagation, "mnt"),
            ("hostname", self.hostname, "uts"),
            ("loopback", self.loopback, "net"),
        ):
            if value and kind not in creates:
                raise Refused(f"{option} needs the kind {kind}", f"Add {kind} to kinds.")
        if self.root and self.propagation in ("shared", "unchanged"):
            raise Refused(
                f"root and propagation: {self.propagation} exclude each other",
                "pivot_root(2) takes no root whose mounts are shared: use private or slave.",
            )
        if self.hostname and len(os.fsencode(self.hostname)) > 64:
            raise Refused(f"hostname has more than 64 bytes (sethostname(2)): {self.hostname!r}")
        if self.root:
            resolve.checked_absolute(self.root, option="root")
        for mount in self.mounts:
            if mount.options.idmap:
                raise Refused(
                    f"the mount on {mount.path} cannot have X-mount.idmap here",
                    "Make it with linux.namespaces.ns_mount in a named namespace.",
                )
        return self

    def all_mounts(self) -> list[WantedMount]:
        """The mounts with the one of proc before them, if that is wanted."""
        has_own = any(mount.path == PROC.path for mount in self.mounts)
        wants = self.mount_proc is not False and not has_own
        return [*([PROC] if wants else []), *self.mounts]


def arrange(
    wanted: Surroundings,
    host_proc: int,
    *,
    own_kinds: t.Collection[str],
    copy_of_host: bool,
    may_make_paths: bool = True,
) -> list[str]:
    """Arrange them in the namespaces of the caller; return the names of the steps taken.

    ``host_proc`` is an open /proc. ``own_kinds`` are the kinds of namespace that are not the
    host's; ``copy_of_host`` says that the mount namespace is a new
    copy of the host's. Without ``may_make_paths`` nothing is made in a file system that others
    see, and a mount whose place is missing is left out. Raises StepFailed, Refused.
    """
    done: list[str] = []

    def step(name: str, action: t.Callable[[], t.Any]) -> None:
        actions.run(name, action)
        done.append(name)

    if wanted.hostname:
        name = wanted.hostname
        step(f"set the host name {name}", lambda: namespaces.sethostname(name))
    if wanted.loopback:
        step("set lo up", lambda: network.set_loopback(up=True))
    if not wanted.propagation:
        return done
    if wanted.propagation != "unchanged":
        # First of all: in a peer group with the host's, each mount below would appear there.
        actions.run(
            f"make all mounts {wanted.propagation}",
            lambda: mounts.set_propagation_of_all(wanted.propagation),
        )
    if copy_of_host:
        # EINVAL: in a user namespace of its own they are locked, and go with it.
        with contextlib.suppress(KernelError):
            pins.forget_in_copy(shared_with_host=wanted.propagation in ("shared", "unchanged"))
    return done + _Mounting(wanted, host_proc, own_kinds, may_make_paths=may_make_paths).run()


class _Mounting:
    """Making the mounts: as ns_mount does, but that nothing which was copied is taken away."""

    def __init__(
        self,
        wanted: Surroundings,
        host_proc: int,
        own_kinds: t.Container[str],
        *,
        may_make_paths: bool,
    ) -> None:
        self._wanted = wanted
        self._own_kinds = own_kinds
        self._mounts = wanted.all_mounts()
        self._host_proc = host_proc
        self._may_make_paths = may_make_paths
        # Both by the index of the mount.
        self._trees: dict[int, build.Tree] = {}
        self._sources: dict[int, Source] = {}
        self._log: KernelLog | None = None

    def run(self) -> list[str]:
        """Make them; the names of the steps taken. Raises StepFailed."""
        done = []
        self._mounts = [self._with_ids(mount) for mount in self._mounts]
        try:
            with build.room_for(len(self._mounts)), KernelLog() as self._log:
                # Anything of it is the host's, whatever it is called after the pivot.
                copied = {mount.device: () for mount in self._table().values()}
                # Before the pivot: sources are the host's, and a user namespace may mount proc
                # and sysfs only as long as it sees the host's (mount_namespaces(7)).
                for index, mount in enumerate(self._mounts):
                    self._build(index, mount)
                if self._wanted.root:
                    done.append(f"pivot into {self._wanted.root}")
                    actions.run(
                        done[-1],
                        lambda: pivot_into(self._wanted.root),
                        explain=functools.partial(_no_root, root=self._wanted.root),
                    )
                view = TargetView(self._host_proc, Layout(), RUN)
                for index, mount in enumerate(self._mounts):
                    if self._has_place(view, mount):
                        done += self._make(view, index, mount, copied)
                # Looking around may have changed it to a directory of the host's /proc.
                os.chdir("/")
        finally:
            for tree in self._trees.values():
                tree.close()
        return done

    def _with_ids(self, mount: WantedMount) -> WantedMount:
        """The mount with numbers for users and groups: those of the root that the program gets."""
        if not words.have_names(mount.words):
            return mount

        def settled() -> WantedMount:
            with host_view.opened(self._wanted.root or "/") as root:
                return ids.settled_in(mount, root, self._host_proc)

        return t.cast(WantedMount, actions.run(f"mount {mount.title} on {mount.path}", settled))

    def _build(self, index: int, mount: WantedMount) -> None:
        if mount.state != "mounted" or mount.needs_target:
            return
        sources.check_paths(mount)
        self._trees[index] = actions.run(
            f"mount {mount.title} on {mount.path}",
            lambda: self._built(index, mount),
            explain=functools.partial(explain.mount, view=None, wanted=mount, log=self._skipped()),
        )

    def _built(self, index: int, mount: WantedMount) -> build.Tree:
        if not mount.options.bind:
            return build.build(mount, HostView(self._host_proc))
        with observe.source_on_host(mount.src) as fd:
            self._sources[index] = observe.source_of(fd, self._table())
            return build.clone(fd, mount, source=self._sources[index])

    def _skipped(self) -> KernelLog | None:
        if self._log is not None:
            self._log.skip()
        return self._log

    def _table(self) -> dict[int, table.Mount]:
        rows = table.read("self/mountinfo", dir_fd=self._host_proc)
        return {row.id: row for row in rows}

    def _has_place(self, view: TargetView, mount: WantedMount) -> bool:
        if mount is PROC:
            return _may_take_proc(required=self._wanted.mount_proc is True)
        return self._may_make_paths or view.exists(mount.path)

    def _make(
        self,
        view: TargetView,
        index: int,
        mount: WantedMount,
        copied: t.Mapping[str, t.Collection[str]],
    ) -> list[str]:
        source = sources.inside(view, mount, self._table())
        if source is not None:
            self._sources[index] = source
        try:
            seen = observe.observe(
                view,
                mount,
                table.Table(view.mounts()),
                host_devices=copied,
                own_kinds=self._own_kinds,
            )
        except KernelError as error:
            raise StepFailed(
                f"look at {mount.path}", error, *explain.mount(error, view, mount)
            ) from error
        planned = plan(
            [mount],
            [seen],
            layout=Layout(),
            sources={0: self._sources[index]} if index in self._sources else {},
            recorded={},
            # What was copied into a user namespace is locked there and cannot be taken away.
            covers=True,
            where=RUN,
        )
        is_built = index in self._trees and any(action.needs_source for action in planned)
        trees = {mount.path: self._trees.pop(index)} if is_built else {}
        mounter = attach.Mounter(view, trees)
        for action in planned:
            actions.run(
                action.name,
                functools.partial(action.apply, mounter),
                explain=functools.partial(
                    explain.mount, view=view, wanted=mount, log=self._skipped()
                ),
            )
        return [action.name for action in planned]


def _may_take_proc(*, required: bool) -> bool:
    """Whether /proc is a directory. A link there leads writes of tools astray (CVE-2019-19921)."""
    try:
        mode = os.lstat("/proc").st_mode
    except OSError:
        mode = 0
    if stat.S_ISDIR(mode):
        return True
    if not mode and not required:
        return False
    raise Refused(
        f"/proc of the program's root is {'no directory' if mode else 'missing'}",
        "Make it a directory there, or set mount_proc: false.",
    )


def _no_root(error: OSError, *, root: str) -> actions.Answer:
    if error.errno != errno.EACCES:
        return "", ""
    return (
        f"root {root} may not be searched by the caller",
        "Run the task as root (become: true), or correct its mode.",
    )


def pivot_into(root: str) -> None:
    """Make the directory ``root`` the root of the caller's mount namespace; the old one is gone.

    What is mounted below it comes along. Raises KernelError, Refused.
    """
    place = _open_directory(root)
    # pivot_root(2) takes a mount point only: a copy of the tree, laid over itself, is one.
    tree = detached.open_tree(place, "", recursive=True)
    detached.move_mount(tree, place)
    os.fchdir(tree)
    os.close(tree)
    os.close(place)
    mounts.pivot_root(".", ".")
    mounts.umount(".", flags=mounts.MNT_DETACH)
    os.chdir("/")


def _open_directory(path: str) -> int:
    try:
        fd = host_view.open_path(path)
        if not resolve.is_directory(fd):
            os.close(fd)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return fd
    except OSError as error:
        raise Refused(
            f"root {path} cannot be opened: {error.strerror}",
            "Name a directory that holds a root file system.",
        ) from error
