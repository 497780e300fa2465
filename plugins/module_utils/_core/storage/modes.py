# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Modes that do not depend on the umask, which a host may have set to anything.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t


@contextlib.contextmanager
def exact() -> t.Iterator[None]:
    """Files and directories that are made meanwhile have the very mode that they are made with.

    Unlike chmod(2) afterwards that leaves no moment with another one, and needs no second look at
    a name that somebody else can turn to something else meanwhile.
    """
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)
