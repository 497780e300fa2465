# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How the options of mounts are logged: by themselves, and in a list of mounts.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import _module
from ._core import redact
from ._core.errors import Refused
from ._core.mount import options
from ._core.options.mount import OPTIONS


def _mask_opts(given: t.Any) -> t.Any:
    try:
        return redact.words(options.split_words(given))
    except (AttributeError, Refused, TypeError):
        return redact.MASK


def _mask_mounts(given: t.Any) -> t.Any:
    if not isinstance(given, list):
        return redact.MASK
    return [
        _module.masked(each, OPTIONS, MASKS) if isinstance(each, dict) else redact.MASK
        for each in given
    ]


# With what nobody has checked yet.
MASKS: dict[str, _module.Mask] = {
    "src": lambda given: redact.address(str(given)),
    "opts": _mask_opts,
    "mounts": _mask_mounts,
}
