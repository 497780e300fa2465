# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Taking turns where systemd starts hundreds of us at once.

It forks for all jobs that can run before it looks at anything else. With the CPUs full of those that it has
forked that takes until the last namespace is up, and ssh, D-Bus and multi-user.target wait for it.
So we wait, before we have loaded much: with 300 namespaces the rest of the host boots as without any.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import fcntl
import os

from ..host_paths import turn_path

# In seconds: who has waited for so long goes on; and a turn ends, for one may hang.
_PATIENCE = 10.0
_LONGEST_TURN = 1.0


class _Late(Exception):
    """The turn has not come."""


def wait(name: str) -> None:
    """Wait for the turn of a namespace. It lasts as long as the process, or for a second. Raises OSError."""
    at_once = 2 * (os.cpu_count() or 1)
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(turn_path(sum(name.encode()) % at_once), flags, 0o600)
    try:
        _signal.signal(_signal.SIGALRM, _raise_late)
        _signal.setitimer(_signal.ITIMER_REAL, _PATIENCE)
        fcntl.flock(fd, fcntl.LOCK_EX)
    except _Late:
        return
    # Not by closing it: a child of ours may have it as well.
    _signal.signal(_signal.SIGALRM, lambda *_about: fcntl.flock(fd, fcntl.LOCK_UN))
    _signal.setitimer(_signal.ITIMER_REAL, _LONGEST_TURN)


def _raise_late(*_about: object) -> None:
    raise _Late
