# SPDX-License-Identifier: GPL-3.0-or-later
"""Where runs have directories for themselves, on the host, for as long as they last."""

from __future__ import annotations

import contextlib
import os
import typing as t

from waiting import wait_until

SCRATCH = "/var/tmp"


@contextlib.contextmanager
def nothing_left() -> t.Iterator[None]:
    """Nothing of what is there after the block stays there."""
    before = set(os.listdir(SCRATCH))
    yield
    left = set(os.listdir(SCRATCH)) - before
    # What another run has there is gone when that has ended.
    assert wait_until(lambda: not left.intersection(os.listdir(SCRATCH)), seconds=60), left
