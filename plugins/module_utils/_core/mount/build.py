# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making mounts that are not attached yet: file systems, and binds of open files.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import typing as t

from ..errors import KernelError
from ..syscalls import detached
from ..syscalls import mounts as calls
from . import block_devices, by_page, layers, loop, options, overlay, own_copy, subdir, table
from .compare import Source
from .overlay import View
from .wanted import WantedMount

_ALL_ATTRIBUTES = (
    calls.MOUNT_ATTR_RDONLY
    | calls.MOUNT_ATTR_NOSUID
    | calls.MOUNT_ATTR_NODEV
    | calls.MOUNT_ATTR_NOEXEC
    | calls.MOUNT_ATTR_NOSYMFOLLOW
    | calls.MOUNT_ATTR_NODIRATIME
    | calls.MOUNT_ATTR__ATIME
)
_PEERS = ("slave", "rslave", "shared", "rshared")


# Files that a process has open besides.
_OTHER_FILES = 256


class Tree(t.NamedTuple):
    """A mount that is not attached yet."""

    fd: int
    # Whether its attributes and peers are as wanted already.
    settled: bool = True
    # A copy of it, where it is in a peer group: see peers.apart(). Else -1.
    origin: int = -1
    # Whether who attaches it may put it into that group again, once it has left it.
    may_be_parted: bool = True

    def kept_whole(self) -> Tree:
        """This for who may not put it into its peer group again."""
        return self._replace(may_be_parted=self.origin < 0)

    def close(self) -> None:
        """Let go of it: what is not attached ends."""
        for fd in (self.fd, self.origin):
            if fd >= 0:
                os.close(fd)


@contextlib.contextmanager
def room_for(number: int) -> t.Iterator[None]:
    """Let the process have this many detached mounts within the block: each is an open file.

    Up to the hard limit, and only there: a program is to start with the limits of its caller.
    """
    soft, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def build(wanted: WantedMount, view: View, *, userns: int = -1, replaces: bool = False) -> Tree:
    """A detached mount of the wanted file system. Raises KernelError, Refused.

    ``view`` is where the caller is: what the mount is made of is looked up there. An image gets a
    loop device, which ends with the mount. ``userns`` is as in clone(). ``replaces``: it comes in the
    place of another mount.
    """
    asked = wanted.options
    generic = (("ro", None),) if asked.read_only else ()
    with contextlib.ExitStack() as stack:
        source = wanted.src
        if asked.loop:
            image = stack.enter_context(view.opened(source))
            source = stack.enter_context(
                loop.device_of(
                    loop.Image(
                        image,
                        source,
                        read_only=asked.reads_only,
                        offset=asked.loop_offset,
                        size=asked.loop_sizelimit,
                        replaces_read_only=replaces,
                    )
                )
            )
        elif "src" in dict(wanted.paths):
            device = block_devices.at(source)
            source = device.path if device is not None else source
        if wanted.fstype == "overlay":
            fd = overlay.make(wanted, view, generic=generic)
        else:
            fd = _filesystem(wanted, source, generic, host_proc=view.host_proc)
    if asked.subdir:
        fd = subdir.taken(fd, asked.subdir, where=wanted.path, host_proc=view.host_proc)
    try:
        if userns >= 0:
            _set_id_map(fd, userns, recursive=False)
    except KernelError:
        os.close(fd)
        raise
    return Tree(fd)


def _filesystem(wanted: WantedMount, source: str, generic: layers.Pairs, *, host_proc: int) -> int:
    asked = wanted.options
    filesystem = asked.filesystem
    if wanted.fstype == "cgroup2":
        filesystem = (*filesystem, *flags_of_cgroup2(host_proc))

    def made(words: layers.Pairs) -> int:
        if by_page.is_needed(source, words):
            with own_copy.entered(host_proc):
                return by_page.make(
                    wanted.fstype,
                    source=source,
                    pairs=words,
                    attributes=asked.attr_set,
                    where=wanted.path,
                )
        return detached.make_filesystem(
            wanted.fstype, source=source, options=words, attributes=asked.attr_set
        )

    try:
        return made((*filesystem, *generic))
    except KernelError as error:
        if error.errno != errno.EBUSY or not generic:
            raise
    # It is mounted already, to be written to: what is shown here is read-only, and that is not.
    return made(filesystem)


def flags_of_cgroup2(host_proc: int) -> list[tuple[str, None]]:
    """The flags that the host has given to it: whoever mounts it without them takes them from all.

    ``host_proc`` is the host's /proc, open. Raises OSError.
    """
    mounts = table.read("1/mountinfo", dir_fd=host_proc, only=" - cgroup2 ")
    return [(word, None) for row in mounts[:1] for word in row.options if word not in ("ro", "rw")]


def _set_id_map(fd: int, userns: int, *, recursive: bool) -> None:
    try:
        detached.mount_setattr(
            fd, attr_set=calls.MOUNT_ATTR_IDMAP, userns_fd=userns, recursive=recursive
        )
    except KernelError as error:
        error.arguments["idmap"] = True
        # What other attributes fall back to cannot do this: it is no reason for that.
        error.errno = errno.EOPNOTSUPP if error.errno == errno.ENOSYS else error.errno
        raise


def clone(fd: int, wanted: WantedMount, *, source: Source, userns: int = -1) -> Tree:
    """A detached bind of the open file ``fd``. Raises KernelError.

    ``userns`` is a user namespace whose id maps the mount gets (X-mount.idmap), or -1.
    Before Linux 5.12 (mount_setattr(2)) it is not settled until it is attached.
    """
    tree = detached.open_tree(fd, "", recursive=wanted.options.bind_recursive)
    try:
        if userns >= 0:
            _set_id_map(tree, userns, recursive=wanted.options.bind_recursive)
        cut = _is_cut(wanted)
        if cut is not None:
            detached.mount_setattr(tree, propagation=calls.MS_PRIVATE, recursive=cut)
        expected = wanted.options.applied_to(source.attributes)
        if expected != source.attributes:
            set_attributes(tree, expected)
        if wanted.options.recursive:
            set_recursively(tree, wanted)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            os.close(tree)
            raise
        return Tree(tree, settled=False)
    if cut is not None or not source.is_shared:
        return Tree(tree)
    try:
        return Tree(tree, origin=detached.open_tree(fd, ""))
    except KernelError:
        os.close(tree)
        raise


def _is_cut(wanted: WantedMount) -> bool | None:
    """Whether a bind leaves the peer groups of its source before anybody sees it.

    True: with what is below it; False: alone; None: not.
    """
    if cuts_peers(wanted):
        return True
    # An unbindable one cannot be attached to what is shared (mount_namespaces(7)), and a slave that is
    # would be one of its own mirrors in the end.
    word, recursive = options.propagation_of(wanted.propagation)
    return recursive if word == "private" else None


def cuts_peers(wanted: WantedMount) -> bool:
    """Whether a bind leaves the peer groups of its source.

    A bind of the host's is in the host's peer group: what is mounted on it inside later would
    appear on the host.
    """
    return wanted.src_in == "host" and wanted.propagation not in _PEERS


def set_attributes(fd: int, expected: int) -> None:
    """Give the mount ``fd`` exactly these MOUNT_ATTR_* bits. Raises KernelError."""
    # The atime field is cleared as a whole before a value is set in it (mount_setattr(2)).
    cleared = _ALL_ATTRIBUTES & ~expected | calls.MOUNT_ATTR__ATIME
    detached.mount_setattr(fd, attr_set=expected, attr_clr=cleared)


def set_recursively(fd: int, wanted: WantedMount) -> None:
    """Set and clear what ``wanted`` asks for on the mount ``fd`` and below. Raises KernelError."""
    asked = wanted.options
    detached.mount_setattr(fd, attr_set=asked.attr_set, attr_clr=asked.attr_clr, recursive=True)
