# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Importing nothing more: for a process that is about to enter a root that may be hostile.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import sys


def end() -> None:
    """What has not been imported by now never is, but for what is built into Python.

    It would come from the root that is joined or pivoted into, and be run with our rights
    (CVE-2019-14271).
    """
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if getattr(finder, "__module__", "") == "_frozen_importlib"
    ]
