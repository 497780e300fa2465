# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What of a wanted mount has to be asked of the host: the device of a tag, the type of fstype auto.

So a definition keeps the tag and the word auto, and whoever makes the mount finds what is there then.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from ..errors import Refused
from . import host_view, observe, probe, sources, tags
from .wanted import WantedMount


def looked_up(wanted: WantedMount, *, may_be_missing: bool) -> WantedMount:
    """The mount with its device and its type; or left out, where the device need not be there.

    With ``may_be_missing`` an earlier task would have made what is not there: then it stays as it is.
    Raises Refused.
    """
    found = wanted
    if wanted.has_tag:
        device = tags.device_of(wanted.src)
        if not device:
            reason = f"no device of this host has {wanted.src}"
            return _without(wanted, reason, may_be_missing=may_be_missing)
        found = wanted.replace(src=device, given=wanted.step())
    elif wanted.may_be_absent:
        absent = next(filter(_is_absent, wanted.files), "")
        if absent:
            return wanted.replace(left_out=f"{absent} does not exist on this host")
    if wanted.options.bind or not wanted.has_open_type:
        return found
    try:
        return found.replace(fstype=_type_of(found), given=wanted.step())
    except (_NotThere, probe.NothingThere):
        if not may_be_missing:
            raise
        return found


class _NotThere(Refused):
    """The source cannot be opened."""


def _without(wanted: WantedMount, reason: str, *, may_be_missing: bool) -> WantedMount:
    if wanted.may_be_absent:
        return wanted.replace(left_out=reason)
    if may_be_missing:
        return wanted
    hint = "`lsblk --fs` shows what there is. With nofail in opts the mount is left out until then."
    if wanted.src.startswith("ID="):
        hint = "udev gives these names: see /dev/disk/by-id. UUID= and LABEL= do without it."
    raise Refused(reason, hint)


def _is_absent(path: str) -> bool:
    try:
        with host_view.opened(path):
            return False
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)


def _type_of(wanted: WantedMount) -> str:
    """What is on its device, or in its image, by a file that is open: no link leads elsewhere then."""
    asked = wanted.options
    sources.check_paths(wanted)
    with contextlib.ExitStack() as stack:
        try:
            fd = stack.enter_context(observe.source_on_host(wanted.src))
        except Refused as error:
            raise _NotThere(error.reason, error.hint) from error
        _check_kind(wanted, os.fstat(fd).st_mode)
        return probe.type_of(
            fd,
            wanted.src,
            allowed=_allowed(wanted),
            offset=asked.loop_offset,
            size=asked.loop_sizelimit,
        )


def _allowed(wanted: WantedMount) -> str:
    return wanted.options.auto_fstypes if wanted.fstype in ("", "auto") else wanted.fstype


def _check_kind(wanted: WantedMount, mode: int) -> None:
    """Raises Refused for what no file system can be on; it is never opened."""
    is_right = stat.S_ISREG(mode) if wanted.options.loop else stat.S_ISBLK(mode)
    if is_right:
        return
    if stat.S_ISDIR(mode):
        raise Refused(f"src {wanted.src} is a directory", "Add bind to opts, or give fstype.")
    if stat.S_ISREG(mode):
        raise Refused(f"src {wanted.src} is a file", "Add loop to opts for the image in it.")
    kind = "no file that could hold an image" if wanted.options.loop else "no block device"
    raise Refused(
        f"src {wanted.src} is {kind}", "Name a device or an image that has a file system."
    )
