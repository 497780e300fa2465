# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking again at what others change meanwhile, and for how long.

A mount table is old as soon as it is read: what it has may be gone, and something else there. Whoever
works by it looks again then, and does so within limits, since others may go on for ever.
A part of `nsctl exec`, which does not load typing.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import time

from .errors import Refused

# In seconds: many times what anybody needs who mounts or unmounts something and is done with it.
SECONDS = 10.0


class Changing(Refused):
    """Others went on changing it until the end of patience."""


class Patience:
    """How long the mounts on a path are looked at again, from the first time on."""

    __slots__ = ("_deadline", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._deadline = 0.0

    def look_again(self) -> None:
        """Say that the mounts there have changed meanwhile. Raises Changing at the end of patience."""
        now = time.monotonic()
        if not self._deadline:
            self._deadline = now + SECONDS
        if now > self._deadline:
            raise Changing(
                f"what is mounted on {self._path} or below kept changing for {SECONDS:.0f} seconds: "
                "another process mounts or unmounts there",
                "Stop it (`findmnt --poll` in that mount namespace shows what it does), and run this "
                "again.",
            )
