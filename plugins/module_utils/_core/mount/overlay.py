# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making an overlay of directories that we have opened.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..errors import KernelError
from ..syscalls import detached, files, mounts
from . import by_page, layers, options, own_copy, resolve, table
from .layers import Layer

if t.TYPE_CHECKING:
    from .wanted import WantedMount


class View(t.Protocol):
    """Where the directories are looked up: TargetView, HostView."""

    host_proc: int

    def opened(self, path: str) -> t.ContextManager[int]:
        """Open what ``path`` leads to, with O_PATH. Raises OSError, Refused."""

    def path_of(self, fd: int) -> str:
        """The path of the open file. Raises OSError."""


def make(wanted: WantedMount, view: View, *, generic: layers.Pairs) -> int:
    """A detached overlay; ``generic`` are further options. Its descriptor. Raises KernelError."""
    asked = wanted.options
    others = [(key, value) for key, value in asked.filesystem if key not in layers.KEYS]
    found = layers.of(asked.filesystem)

    def made(named: t.Sequence[detached.Option]) -> int:
        return detached.make_filesystem(
            wanted.fstype,
            source=wanted.src,
            options=(*named, *others, *generic),
            attributes=asked.attr_set,
        )

    def made_as_text(named: t.Sequence[Layer]) -> int:
        in_one = layers.as_text(named)
        if not by_page.is_needed(wanted.src, in_one):
            return made(in_one)
        try:
            # One by one (Linux 6.7): as long as each is short enough there may be any number.
            return made(layers.one_by_one(named))
        except KernelError as error:
            if error.errno != errno.EINVAL:
                raise
        return by_page.make(
            wanted.fstype,
            source=wanted.src,
            # In one text a comma ends an option, unless a backslash stands before it.
            pairs=(*[(key, text.replace(",", "\\,")) for key, text in in_one], *others, *generic),
            attributes=asked.attr_set,
            where=wanted.path,
        )

    with contextlib.ExitStack() as stack:
        fds = [_open(stack, view, layer) for layer in found]
        try:
            return made([(layer.key, fd) for layer, fd in zip(found, fds)])
        except KernelError as error:
            # EINVAL: it takes them as text only (before Linux 6.13), or it has another reason,
            # which it has for the text as well.
            if error.errno != errno.EINVAL or not found:
                raise
            refused = error
        names = [view.path_of(fd) for fd in fds]
        with _links_unfollowed(view.host_proc):
            # One that lies in another mount namespace has a name that means nothing here.
            if not all(_leads_to(name, fd) for name, fd in zip(names, fds)):
                raise refused
            return made_as_text([Layer(layer.key, name) for layer, name in zip(found, names)])


def _leads_to(name: str, fd: int) -> bool:
    try:
        there = files.openat2(
            files.AT_FDCWD, name, flags=os.O_PATH, resolve=files.RESOLVE_NO_SYMLINKS
        )
    except KernelError:
        return False
    try:
        return os.path.samestat(os.fstat(there), os.fstat(fd))
    finally:
        os.close(there)


def _open(stack: contextlib.ExitStack, view: View, layer: Layer) -> int:
    try:
        with view.opened(layer.path) as fd:
            # Before Linux 6.15 it takes no descriptor with O_PATH.
            flags = os.O_RDONLY | os.O_DIRECTORY
            opened = files.openat2(fd, ".", flags=flags)
    except OSError as error:
        shown = {"key": layer.key.rstrip("+"), "value": layer.path}
        raise KernelError("fsconfig", error.errno or errno.EIO, shown) from error
    stack.callback(os.close, opened)
    return opened


@contextlib.contextmanager
def _links_unfollowed(host_proc: int) -> t.Iterator[None]:
    """A copy of the mount namespace for the block, in which the kernel follows no link.

    The name of an open directory holds none. Where one has come into its place meanwhile, it
    leads nowhere then.
    """
    with own_copy.entered(host_proc):
        _forbid_links(host_proc)
        yield


def _forbid_links(host_proc: int) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for mount in table.read("self/mountinfo", dir_fd=host_proc):
            # What another mount hides cannot be reached by a name either.
            with contextlib.suppress(KernelError), resolve.opened_in(root, mount.path) as fd:
                if files.place_of(fd).mount_id == mount.id:
                    _forbid_on(fd, mount, host_proc)
    finally:
        os.close(root)


def _forbid_on(fd: int, mount: table.Mount, host_proc: int) -> None:
    try:
        detached.mount_setattr(fd, attr_set=mounts.MOUNT_ATTR_NOSYMFOLLOW)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        bits = options.attributes_of(mount.flags) | mounts.MOUNT_ATTR_NOSYMFOLLOW
        own_files = os.open("self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=host_proc)
        try:
            os.fchdir(own_files)
        finally:
            os.close(own_files)
        flags = mounts.MS_REMOUNT | mounts.MS_BIND | options.classic_flags(bits)
        mounts.mount("none", str(fd), flags=flags)
