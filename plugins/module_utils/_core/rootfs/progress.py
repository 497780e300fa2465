# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Telling how far a long step is.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

# Called with a line of text for people.
Progress = t.Callable[[str], None]


def silent(_text: str) -> None:
    """Tell nobody."""
