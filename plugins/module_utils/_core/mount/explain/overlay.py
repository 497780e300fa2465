# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why an overlay was not mounted: what is wrong with its directories (overlayfs.rst of the kernel).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ...errors import Refused
from ...syscalls import files
from .. import layers, table
from ..host_view import HostView
from ..layers import Layer
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer

_IS_LOWER = (layers.LOWER, layers.DATA)
_WRITTEN = (layers.UPPER, layers.WORK)


def by_layers(failed: Failure) -> Answer:
    """What is wrong with the directories of an overlay."""
    wanted = failed.wanted
    if wanted.fstype != "overlay" or not failed.is_making:
        return NOTHING
    try:
        asked = layers.of(wanted.options.filesystem)
    except Refused:
        return NOTHING
    with contextlib.ExitStack() as stack:
        opened = []
        for layer in asked:
            try:
                opened.append(_Opened(layer, _open(stack, failed, layer)))
            except OSError as error:
                return _unreachable(failed, layer, error)
            except Refused as refused:
                return refused.reason, refused.hint
        for look in (_by_number, _by_mounts, _by_place, _by_use):
            answer = look(failed, opened)
            if any(answer):
                return answer
    return NOTHING


class _Opened:
    """A directory of the overlay that could be opened."""

    def __init__(self, layer: Layer, fd: int) -> None:
        self.layer = layer
        self.fd = fd
        self.place = files.place_of(fd)

    def __str__(self) -> str:
        return f"{self.layer.key.rstrip('+')} {self.layer.path}"


def _open(stack: contextlib.ExitStack, failed: Failure, layer: Layer) -> int:
    view = failed.view or HostView(stack.enter_context(failed.host_proc()))
    found = stack.enter_context(view.opened(layer.path))
    fd = files.openat2(found, ".", flags=os.O_PATH | os.O_DIRECTORY)
    stack.callback(os.close, fd)
    return fd


def _unreachable(failed: Failure, layer: Layer, error: OSError) -> Answer:
    what = f"{layer.key.rstrip('+')}={layer.path}"
    if error.errno == errno.ENOENT:
        return f"{what} names a directory that does not exist {failed.where}", "Create it first."
    if error.errno == errno.ENOTDIR:
        return (
            f"{what} names no directory {failed.where}: it is a file, or leads through one",
            "Name a directory. A single file is shown by a bind (opts: bind).",
        )
    return (
        f"{what} cannot be opened {failed.where}: {error.strerror}",
        "Correct the path, or the mode of what leads there.",
    )


def _by_number(failed: Failure, opened: t.Sequence[_Opened]) -> Answer:
    """Whether there are those that it takes at least."""
    if not failed.is_any(errno.EINVAL):
        return NOTHING
    keys = [each.layer.key for each in opened]
    lower = sum(key in _IS_LOWER for key in keys)
    if not lower:
        return (
            "an overlay shows lower directories, and opts name none",
            "Add lowerdir=DIRECTORY to opts.",
        )
    if layers.UPPER in keys and layers.WORK not in keys:
        return (
            "an overlay with an upperdir needs a workdir as well",
            "Add workdir=DIRECTORY to opts: an empty one beside upperdir, on the same mount.",
        )
    if layers.UPPER not in keys and lower == 1:
        return (
            "an overlay without an upperdir needs two lower directories at least",
            "Add another one (lowerdir=/upper:/lower), or show that one with a bind (opts: bind,ro).",
        )
    return NOTHING


def _by_mounts(failed: Failure, opened: t.Sequence[_Opened]) -> Answer:
    """Whether the mounts that they lie on can serve."""
    if not failed.is_any(errno.EINVAL, errno.EROFS):
        return NOTHING
    by_id = {row.id: row for row in failed.rows()}
    written = [each for each in opened if each.layer.key in _WRITTEN]
    for each in written:
        row = by_id.get(each.place.mount_id)
        if row is not None and "ro" in (*row.flags, *row.options):
            return (
                f"{each} lies on a mount that can only be read: {row.path}",
                (
                    "Name an upperdir and a workdir where can be written, or leave both out: the overlay "
                    "is read-only then."
                ),
            )
        if "not supported as upperdir" in failed.error.log + failed.said():
            return (
                f"{each} lies on a file system that cannot be the upper one of an overlay: "
                + (row.fstype if row is not None else "see findmnt(8)"),
                "Name an upperdir and a workdir on ext4, xfs, btrfs or tmpfs.",
            )
    if len({each.place.mount_id for each in written}) > 1:
        same = len({each.place.device for each in written}) == 1
        return (
            f"{written[0]} and {written[1]} lie on "
            + ("two mounts of one file system" if same else "different file systems"),
            "Name both on the same mount, side by side.",
        )
    said = failed.said()
    if failed.is_any(errno.EINVAL) and (not said or "stacking depth" in said):
        for each in opened:
            row = by_id.get(each.place.mount_id)
            if row is not None and row.fstype in ("proc", "sysfs", "fuse"):
                return (
                    f"{each} lies on a {row.fstype} ({row.path}), which cannot be part of an overlay",
                    "Name another directory.",
                )
            if row is not None and row.fstype in ("overlay", "ecryptfs"):
                return (
                    (
                        f"{each} lies on {row.fstype} already ({row.path}), and the kernel stacks no more "
                        "than two of them"
                    ),
                    "Name the directories that lie beneath, in one lowerdir.",
                )
    return NOTHING


def _by_place(failed: Failure, opened: t.Sequence[_Opened]) -> Answer:
    """Whether one lies within another that must not."""
    if not failed.is_any(errno.EINVAL, errno.ELOOP):
        return NOTHING
    for number, one in enumerate(opened):
        for other in opened[number + 1 :]:
            keys = {one.layer.key, other.layer.key}
            if failed.is_any(errno.EINVAL) and keys != set(_WRITTEN):
                continue
            for inner, outer in ((one, other), (other, one)):
                if _lies_in(inner, outer):
                    return _overlapping(inner, outer)
    return NOTHING


def _overlapping(inner: _Opened, outer: _Opened) -> Answer:
    same = (inner.place.device, inner.place.inode) == (outer.place.device, outer.place.inode)
    how = "are the same directory" if same else "overlap: the one lies in the other"
    hint = "Name directories of which none lies in another."
    if {inner.layer.key, outer.layer.key} == set(_WRITTEN):
        hint = "Name two directories side by side: what is in workdir is removed."
    return f"{inner} and {outer} {how}", hint


def _lies_in(inner: _Opened, outer: _Opened) -> bool:
    """Whether the one directory is the other, or lies below it on the same file system."""
    if inner.place.device != outer.place.device:
        return False
    here = os.dup(inner.fd)
    try:
        while True:
            status = os.fstat(here)
            if os.path.samestat(status, os.fstat(outer.fd)):
                return True
            above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = above
            # At the root .. leads to itself; and what lies beyond the mount is another tree.
            if os.path.samestat(status, os.fstat(here)):
                return False
            if files.place_of(here).mount_id != inner.place.mount_id:
                return False
    except OSError:
        return False
    finally:
        os.close(here)


def _by_use(failed: Failure, opened: t.Sequence[_Opened]) -> Answer:
    """Whether another overlay has them, or had them with other lower ones."""
    if failed.is_any(errno.ESTALE):
        return (
            (
                "its upperdir or workdir comes from an overlay with another lowerdir (or other directories "
                "that were here by these names), which index=on does not allow"
            ),
            "Use the lowerdir that it had, or an empty upperdir and workdir, or leave index=on out.",
        )
    if not failed.is_any(errno.EBUSY):
        return NOTHING
    kind = "lowerdir" if "lowerdir is in-use" in failed.said() else "upperdir or workdir"
    used = [each for each in opened if (each.layer.key in _IS_LOWER) == (kind == "lowerdir")]
    user = _user_of(failed, used)
    where = "" if user is None else f" on {user.path}"
    return (
        f"its {kind} is in use by another overlay{where}, which index=on does not allow",
        "Unmount that one first (state: unmounted), also where it is the one to be replaced.",
    )


def _user_of(failed: Failure, used: t.Sequence[_Opened]) -> table.Mount | None:
    """The mount of the overlay that writes to one of these, where it is in the same table."""
    for row in failed.rows():
        if row.fstype != "overlay":
            continue
        for key, value in table.pairs_of(row.options):
            if key in _WRITTEN and value in [each.layer.path for each in used]:
                return row
    return None
