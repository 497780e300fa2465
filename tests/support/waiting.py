# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what another process does."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc


def wait_until(question: t.Callable[[], bool], *, seconds: float = 30.0) -> bool:
    """Ask again and again for up to that long; the last answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.01)
    return question()


def has_ended(pid: int) -> bool:
    """Whether the process lives no more. A zombie may stay: of orphans, with these tests."""
    facts = proc.process_facts(pid)
    return facts is None or facts.state in "ZX"
