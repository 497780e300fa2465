# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How texts for people speak of the place in which mounts are made: a namespace, the host, a run.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t


class Where(t.NamedTuple):
    """Words for one of them."""

    # Of what was looked for there and not found.
    there: str
    # What is mounted on / there.
    root: str
    # What to do about a mount on / that is to be another one: nobody takes it away from beneath those
    # who live on it.
    new_root: str


NAMED = Where(
    "in the target",
    "the root of the namespace",
    "Make another root with ns_pivot_root. Where the namespace was to have this one from its beginning, "
    "remove the namespace and run the play again.",
)
PROCESS = Where(
    "in the target", "the root of the namespace", "Make another root with ns_pivot_root."
)
HOST = Where(
    "on the host",
    "the host's root",
    "The host's root cannot be replaced while it runs: mount it somewhere else, or in a namespace.",
)
RUN = Where(
    "where the program runs",
    "the root that the program has",
    "Name the directory that becomes the program's root in the option root, and leave / out of mounts. "
    "What is to lie on a tmpfs is mounted and filled before.",
)
