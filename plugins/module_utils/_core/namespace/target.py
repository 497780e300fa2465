# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a module acts on: a named namespace, those of a process, a namespace file, or the host.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import time

from .. import host_paths, kinds, once
from ..errors import KernelError, Refused
from ..process import proc
from ..process.become_root import become_root
from ..syscalls import namespaces, processes, regular_files
from ..values import Value
from . import gate, nsfs, pins

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# Another generation of a name takes the place of one in an instant, and not often.
_ATTEMPTS, _PAUSE = 20, 0.001


class Handles:
    """Open namespace files of a target, ready to be joined. Close it, or use it in a with."""

    def __init__(self, fds: t.Mapping[str, int], pidfd: int = -1) -> None:
        self._fds = dict(fds)
        self._pidfd = pidfd
        # Where files lie for programs in it that have the mounts of the caller: see netns_files.py.
        self.etc = ""

    @property
    def kinds(self) -> t.Collection[str]:
        """The kinds it joins."""
        return self._fds.keys()

    def id_of(self, kind: str) -> int:
        """The id of the namespace of this kind. KeyError where it has none."""
        return nsfs.id_of(self._fds[kind])

    def fd_of(self, kind: str) -> int:
        """The open namespace file of this kind. KeyError where it has none."""
        return self._fds[kind]

    def join(self) -> None:
        """Join all of them, for pid and time by the next child. Raises KernelError.

        At once by pidfd where the target is a process (Linux 5.8), else one by one.
        """
        once.forget()
        privileged = os.geteuid() == 0
        if self._pidfd >= 0 and self._fds:
            try:
                namespaces.setns_process(self._pidfd, kinds.flags_of(self._fds))
                self._become_root()
                return
            except KernelError as error:
                # EINVAL: this kernel has no pidfds in setns(2).
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    raise
        for name in kinds.in_join_order(self._fds, privileged=privileged):
            try:
                namespaces.setns(self._fds[name], kinds.KINDS[name].flag)
            except KernelError as error:
                error.arguments["kind"] = name
                raise
        self._become_root()

    def _become_root(self) -> None:
        if "user" in self._fds:
            become_root()

    def only(self, names: t.Collection[str]) -> Handles:
        """Close the files of all other kinds; return self."""
        for name in [name for name in self._fds if name not in names]:
            os.close(self._fds.pop(name))
        return self

    def close(self) -> None:
        """Close the files."""
        for fd in self._fds.values():
            os.close(fd)
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._fds, self._pidfd = {}, -1

    def __enter__(self) -> Handles:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class Target(Value):
    """What to act on; at most one of the three, none of them means the host itself."""

    __slots__ = ("namespace", "namespace_path", "pid")

    def __init__(
        self,
        namespace: str | None = None,
        pid: int | None = None,
        namespace_path: str | None = None,
    ) -> None:
        # The name of a named namespace.
        self.namespace = namespace
        # A process: what it lives in.
        self.pid = pid
        # A namespace file.
        self.namespace_path = namespace_path

    def __str__(self) -> str:
        if self.namespace is not None:
            return f"namespace {self.namespace}"
        if self.pid is not None:
            return f"process {self.pid}"
        if self.namespace_path is not None:
            return self.namespace_path
        return "the host"

    @property
    def is_host(self) -> bool:
        """Whether it is the host's own namespaces."""
        return self == Target()

    def checked(self) -> Target:
        """This target when its options make sense by themselves. Raises Refused."""
        if sum(value is not None for value in self.fields().values()) > 1:
            raise Refused("give at most one of namespace, pid and namespace_path")
        if self.namespace is not None:
            host_paths.checked_name(self.namespace)
        if self.pid is not None and self.pid < 1:
            raise Refused(f"pid must be a positive number, not {self.pid}")
        if self.namespace_path is not None and not self.namespace_path.startswith("/"):
            raise Refused(f"namespace_path must be an absolute path, not {self.namespace_path!r}")
        return self

    def open(
        self,
        names: t.Collection[str] | None = None,
        *,
        needs: str = "",
        closed_too: bool = False,
    ) -> Handles:
        """Open its namespaces: of the kinds ``names``, or all that it has of its own.

        ``needs`` is a kind without which the request makes no sense. ``closed_too`` is for who
        builds a named namespace, or looks at it, and for who was asked by name to enter it as it
        is: see gate.py. Namespaces that are the caller's own are left out. Raises Refused where
        the target or a kind is missing, or the gate is closed.
        """
        self.checked()
        if self.namespace is not None:
            handles = _open_named(self.namespace, names, closed_too=closed_too)
        elif self.pid is not None:
            handles = self._open_process(self.pid, names)
        elif self.namespace_path is not None:
            handles = self._open_file(self.namespace_path, names)
        else:
            handles = Handles({})
        if self.namespace is None and not closed_too:
            _check_not_closed(handles)
        if needs and not self.is_host and self.pid is None and needs not in handles.kinds:
            has = ", ".join(sorted(handles.kinds)) or "none"
            handles.close()
            raise Refused(
                f"{self} has no {needs} namespace (it has: {has})",
                "Name another target, or create it with that kind.",
            )
        return handles

    def exists(self) -> bool:
        """Whether the target is there. Raises Refused where it can never be."""
        self.checked()
        if self.namespace is not None:
            return bool(pins.pinned(self.namespace))
        if self.pid is not None:
            return os.path.exists(f"/proc/{self.pid}")
        return self.namespace_path is None or os.path.exists(self.namespace_path)

    def _open_process(self, pid: int, names: t.Collection[str] | None) -> Handles:
        gone = Refused(
            f"there is no process {pid} on this host",
            "It may have ended; name a living process or a named namespace.",
        )
        try:
            pidfd = processes.pidfd_open(pid)
        except KernelError as error:
            if error.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL: a thread, no process
                raise gone from error
            raise
        fds: dict[str, int] = {}
        own = proc.ids_of_process("self")
        try:
            for kind in sorted(names if names is not None else kinds.KINDS):
                try:
                    fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    if kind in own:  # a zombie lives nowhere: never take that for "with us"
                        raise gone from None
                    continue  # a kind that this kernel lacks
                except PermissionError as error:
                    raise Refused(
                        f"the namespaces of process {pid} may not be opened",
                        "It takes root, or the same user and a process that may be traced.",
                    ) from error
                if nsfs.id_of(fd) == own.get(kind):
                    os.close(fd)  # joining one's own is useless, and EINVAL for user
                else:
                    fds[kind] = fd
            # The files were opened by number: only now is it certain whose they are.
            processes.pidfd_send_signal(pidfd, 0)
        except KernelError as error:
            Handles(fds, pidfd).close()
            if error.errno == errno.ESRCH:
                raise gone from error
            raise
        except BaseException:
            Handles(fds, pidfd).close()
            raise
        return Handles(fds, pidfd)

    def _open_file(self, path: str, names: t.Collection[str] | None) -> Handles:
        try:
            # A namespace file is one, as pins are and those of /proc.
            fd = regular_files.open_regular(path)
        except regular_files.NotRegular as error:
            raise nsfs.no_file(path) from error
        except OSError as error:
            raise Refused(f"{path} cannot be opened: {error.strerror}") from error
        try:
            kind = nsfs.kind_of(fd, path=path)
            if names is not None and set(names) != {kind}:
                raise Refused(f"{path} is a {kind} namespace, not {', '.join(sorted(names))}")
        except BaseException:
            os.close(fd)
            raise
        return Handles({kind: fd})


def _check_not_closed(handles: Handles) -> None:
    """Refuse what belongs to a closed named namespace, and close it: the way in does not matter."""
    name = pins.closed_one_with([handles.id_of(kind) for kind in handles.kinds])
    if name:
        handles.close()
        raise gate.refusal(name)


def _open_named(name: str, names: t.Collection[str] | None, *, closed_too: bool) -> Handles:
    for _attempt in range(_ATTEMPTS):
        try:
            return _open_as_seen(name, names, closed_too=closed_too)
        except _Changing:
            # Its next generation has just taken its place, which is as whole.
            time.sleep(_PAUSE)
    return _open_as_seen(name, names, closed_too=closed_too)


class _Changing(Refused):
    """It was another one at the end than at the begin."""


def _open_as_seen(name: str, names: t.Collection[str] | None, *, closed_too: bool) -> Handles:
    if not closed_too and gate.is_closed(name):
        raise gate.refusal(name)
    found = pins.files(name)
    shared = pins.shared(name)
    present = {kind: number for kind, number in found.items() if number}
    for kind, (other, number) in shared.items():
        if number:
            present.setdefault(kind, number)
        elif not closed_too:
            raise Refused(
                f"namespace {name!r} has lost the {kind} that it shares of {other}: the pin was"
                f" unmounted, or {other} has no such {kind} any more",
                f"`nsctl up {name}` mends it, and so does its play.",
            )
    lost = [kind for kind in found if kind not in present]
    if lost and not closed_too:
        # What is entered in its place would be the host's.
        raise Refused(
            f"namespace {name!r} has lost its {', '.join(lost)} namespace: the pin was unmounted",
            f"`nsctl up {name}` makes a new one, and so does its play.",
        )
    if not present:
        raise Refused(
            f"there is no namespace {name!r} on this host",
            "Create it with linux.namespaces.ns_namespace.",
        )
    missing = sorted(set(names or ()) - set(present))
    if missing:
        raise Refused(
            f"namespace {name!r} has no {', '.join(missing)} namespace"
            f" (it has: {', '.join(present)})",
            "Name only kinds that it has, or add them with linux.namespaces.ns_namespace.",
        )
    changing = _Changing(
        f"namespace {name!r} is changed just now by another run", "Wait for it to end."
    )
    try:
        of_others = {kind: other for kind, (other, _id) in shared.items() if not found.get(kind)}
        handles = _open_pins(name, present if names is None else names, of_others)
    except FileNotFoundError:
        raise changing from None
    # What is built is closed for as long: these are all that it has, and of one that is whole.
    is_same = pins.files(name) == found and pins.shared(name) == shared
    if "net" in handles.kinds and "mnt" not in handles.kinds:
        etc = f"{host_paths.NETNS_FILES}/{of_others.get('net', name)}"
        handles.etc = etc if os.path.isdir(etc) else ""
    if closed_too or (is_same and not gate.is_closed(name)):
        return handles
    handles.close()
    raise gate.refusal(name) if gate.is_closed(name) else changing


def _open_pins(name: str, names: t.Iterable[str], of_others: t.Mapping[str, str]) -> Handles:
    fds: dict[str, int] = {}
    try:
        for kind in sorted(names):
            path = pins.path_now(name, kind)
            if kind in of_others:
                path = pins.shared_path(name, kind, of_others[kind])
            fds[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        Handles(fds).close()
        raise
    return Handles(fds)
