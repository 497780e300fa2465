# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a named namespace is what its definition says, and so may be entered.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..definition import file as definitions
from ..errors import Refused
from ..namespace import gate, pins


def open_if_whole(name: str) -> bool:
    """Open its gate where everything is there that its definition says. The lock is held.

    Whether it was opened: then, without the lock, install/instance.py starts what is enabled.
    Raises OSError.
    """
    if not gate.is_closed(name):
        return False
    try:
        definition = definitions.load(name)
    except Refused:  # damaged: nobody knows what belongs to it
        return False
    if definition is None or definition.missing:
        return False
    properties = definition.properties
    if not pins.pinned(name).keys() >= set(properties.kinds):
        return False
    there = {kind: other for kind, (other, number) in pins.shared(name).items() if number}
    if there != properties.share:
        return False
    gate.open_up(name)
    return True
