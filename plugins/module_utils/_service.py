# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How the options of services are logged.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from . import _module
from ._core.definition.service_words import SECRETS

MASKS: dict[str, _module.Mask] = {
    "environment": _module.mask_variables,
    **dict.fromkeys(SECRETS, _module.mask_values),
}
