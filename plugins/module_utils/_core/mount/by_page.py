# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""File systems whose options are too long for fsconfig(2), which takes 255 bytes for each.

mount(2) takes all of them in one page. It mounts at once, on a path: so that is one that nobody sees,
in a copy of the mount namespace, and the mount is taken from there.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from .. import redact
from ..errors import KernelError, Refused
from ..syscalls import detached
from ..syscalls import mounts as calls
from . import options, own_copy
from .layers import Pairs

LONGEST_VALUE = 255  # fsconfig(2), in bytes
# mount(2): a page, in which a null ends the text.
LONGEST = os.sysconf("SC_PAGE_SIZE") - 1
# What is a flag of mount(2), and the opposite of that, which is none.
_FLAGS = {
    "ro": calls.MS_RDONLY,
    "sync": calls.MS_SYNCHRONOUS,
    "dirsync": calls.MS_DIRSYNC,
    "mand": calls.MS_MANDLOCK,
    "lazytime": calls.MS_LAZYTIME,
}
_NO_FLAGS = ("rw", "async", "nomand", "nolazytime")


def is_needed(source: str, pairs: Pairs) -> bool:
    """Whether any of these is too long for fsconfig(2)."""
    texts = (source, *(value for _key, value in pairs if value is not None))
    return any(len(os.fsencode(text)) > LONGEST_VALUE for text in texts)


def text_of(pairs: Pairs, *, where: str) -> str:
    """The options for mount(2), for the mount on ``where``. Raises Refused for what that cannot take."""
    words = []
    for key, value in pairs:
        if key in _FLAGS or key in _NO_FLAGS:
            continue
        if value is not None and "," in value.replace("\\,", ""):
            raise Refused(
                f"the option {key} of the mount on {where} holds a comma, and the options are too "
                "long to be given to the kernel one by one",
                f"The kernel takes {LONGEST_VALUE} bytes in one option: use shorter ones.",
            )
        words.append(key if value is None else f"{key}={value}")
    text = ",".join(words)
    size = len(os.fsencode(text))
    if size > LONGEST:
        raise Refused(
            f"the options of the mount on {where} are {size} bytes long, and this kernel takes no more "
            f"than {LONGEST}",
            "Use shorter paths, or fewer.",
        )
    return text


def make(fstype: str, *, source: str, pairs: Pairs, attributes: int, where: str) -> int:
    """A detached mount, for a caller in a copy of its mount namespace (own_copy.py); its descriptor.

    ``attributes`` are MOUNT_ATTR_* bits, ``where`` is for people. Raises KernelError, Refused.
    """
    text = text_of(pairs, where=where)
    flags = options.classic_flags(attributes)
    for key, _value in pairs:
        flags |= _FLAGS.get(key, 0)
    with own_copy.hidden() as above:
        os.fchdir(above)
        try:
            calls.mount(source or "none", own_copy.PLACE, fstype=fstype, flags=flags, data=text)
        except KernelError as error:
            error.arguments.update(source=redact.address(source), target=where)
            raise
        return detached.open_tree(above, own_copy.PLACE)
