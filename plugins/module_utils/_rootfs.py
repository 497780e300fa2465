# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How the options of root file systems are logged.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import _module
from ._core import redact


def _mask_image(given: t.Any) -> str:
    # 1 ms to compile, for a root that comes from elsewhere.
    from ._core.rootfs.sources import reference

    return reference.shown(str(given))


def _mask_bootstrap(given: t.Any) -> t.Any:
    if not isinstance(given, dict):
        return redact.MASK
    mirror = given.get("mirror")
    return {**given, "mirror": mirror and redact.address(str(mirror))}


# Those that hold a password are refused.
MASKS: dict[str, _module.Mask] = {
    "image": _mask_image,
    "bootstrap": _mask_bootstrap,
}
