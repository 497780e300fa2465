# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which lines of the kernel's log are about a mount that failed.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ...printable import printable
from ...syscalls.kernel_log import Line

_WARNING = 4  # syslog(3); what is less urgent tells of success
_MOST = 3
_LONGEST = 300  # characters of a line: an image may have chosen them
# What a file system writes before its lines: "EXT4-fs (loop0): ", "BTRFS error (device loop0): ".
_DEVICE = re.compile(r"^[\w.-]+(?: \w+)? \((?:device )?([^)\s]+)\)")


def about(lines: t.Iterable[Line], *, fstype: str, device: str = "") -> list[str]:
    """The lines about a mount of ``fstype`` from the ``device``, as /sys/block has it; the first first.

    What counts is the worst: of errors and warnings, errors alone. Others may mount at the same time:
    a line of another device is left out.
    """
    ours = [line for line in lines if line.level <= _WARNING and _is_about(line, fstype, device)]
    errors = [line for line in ours if line.level < _WARNING]
    texts = dict.fromkeys(_short(line.text) for line in errors or ours)
    return list(texts)[:_MOST]


def _is_about(line: Line, fstype: str, device: str) -> bool:
    named = _DEVICE.match(line.text)
    if device and named is not None:
        return named[1] == device
    if device and re.search(rf"(?<![\w-]){re.escape(device)}(?![\w-])", line.text):
        return True
    # All of them are one driver, which has a name of its own.
    family = "ext" if fstype in ("ext2", "ext3", "ext4") else fstype
    return bool(family) and line.text.casefold().startswith(family.casefold())


def _short(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
