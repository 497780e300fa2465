# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The states of a named namespace that `nsctl list` and `nsctl show` tell.

The controller loads this, to know them in what a host answers.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

UP = "up"
DOWN = "down"
PARTIAL = "partial"
FAILED = "failed"
STATES = (UP, DOWN, PARTIAL, FAILED)
