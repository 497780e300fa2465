# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is asked of ns_rootfs, and what came of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..namespace.target import Target
from .rules import DEFAULT, Rules

if t.TYPE_CHECKING:
    from .sources.source import Source


@dataclasses.dataclass(frozen=True)
class RootRequest:
    """A request of ns_rootfs: see its documentation for the options."""

    target: Target
    path: str
    # None where no root is wanted (state: absent).
    source: Source | None = None
    # What the source has to have; empty for any.
    digest: str = ""
    force: bool = False
    # Whether users of the host may reach it.
    reachable: bool = False
    rules: Rules = DEFAULT
    # None for what the definition of the target is.
    persistent: bool | None = None
    # In seconds.
    lock_timeout: float = 60.0
    # Whether a root that is there is compared with what its source is now. Otherwise it stays
    # when it was made of this source.
    follow: bool = True


def removal_of_old(path: str) -> str:
    """The action that removes what was replaced at the path, once nothing uses it any more."""
    return f"remove the old root of {path}"


@dataclasses.dataclass
class RootResult:
    """What was (or in check mode: would be) done, and what the root comes from."""

    # A line each for the diff.
    before: str = ""
    after: str = ""
    actions: list[str] = dataclasses.field(default_factory=list)
    # Empty where it is not known yet, in check mode.
    digest: str = ""
    # What an image says of how to run it; empty for other sources.
    config: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    # Whether another root takes the place of what was there.
    replaces: bool = False
    # Whether it is in the definition of a named namespace.
    persistent: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)
