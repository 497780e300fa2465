# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Being in another namespace for a while, without a child for it: that would be a copy of this process first.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import kinds
from ..syscalls import namespaces

# Who has joined one of another kind cannot go back, or sees other files meanwhile.
KINDS = ("ipc", "net", "uts")


@contextlib.contextmanager
def within(fd: int, kind: str) -> t.Iterator[None]:
    """Be in the namespace of the open file, of one of KINDS, while the block runs (setns(2)).

    Only this thread is. Raises KernelError.
    """
    # Who stays where it is needs no right for that.
    if os.path.samestat(os.fstat(fd), os.stat(_own(kind))):
        yield
        return
    with _coming_back([kind]):
        namespaces.setns(fd, kinds.KINDS[kind].flag)
        yield


@contextlib.contextmanager
def new(names: t.Collection[str]) -> t.Iterator[int]:
    """Be in new namespaces of these of KINDS while the block runs (unshare(2)). Raises KernelError.

    Only this thread is, which is the main one. Yields the pid by which they are found.
    """
    with _coming_back(names):
        namespaces.unshare(kinds.flags_of(names))
        yield os.getpid()


def _own(kind: str) -> str:
    return f"/proc/thread-self/ns/{kind}"


@contextlib.contextmanager
def _coming_back(names: t.Collection[str]) -> t.Iterator[None]:
    """Be in the namespaces of these kinds afterwards that are the own ones now."""
    with contextlib.ExitStack() as stack:
        for kind in names:
            own = os.open(_own(kind), os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, own)
            stack.callback(namespaces.setns, own, kinds.KINDS[kind].flag)
        yield
