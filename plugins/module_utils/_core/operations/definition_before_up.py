# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What comes before a named namespace is brought up, as at boot: going back from what a killed run has begun.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..definition import generations
from ..namespace import lock


def settle(name: str, *, timeout: float) -> list[str]:
    """Leave nothing half done of another generation. ``timeout`` is how long to wait for its lock, in seconds.

    Returns the names of the actions. Raises Refused, StepFailed, OSError.
    """
    if not generations.is_there(name):
        return []
    # At boot each namespace pays for what is loaded: this is for one that has had another root.
    from . import definition_back

    with lock.held(name, timeout=timeout):
        return definition_back.settle(name, check=False)
