# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is asked for a named namespace as a whole, and what came of it.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..definition.root import OwnRoot, home_of
from ..rootfs.progress import Progress, silent

if t.TYPE_CHECKING:
    from ..definition.host_files import HostFile
    from ..definition.link import Link
    from ..definition.steps import Step
    from ..mount.wanted import WantedMount
    from ..rootfs.request import RootRequest
    from ..service.model import ServiceRequest
    from . import namespace


class WantedService(t.NamedTuple):
    """A service of it."""

    name: str
    # Whether it is an image that says what it runs.
    is_of_image: bool
    # What is asked for, by what an image says of how to run it; empty for what is none. Raises Refused.
    request: t.Callable[[t.Mapping[str, t.Any]], ServiceRequest]


class WantedFile(t.NamedTuple):
    """A file on the host, and what is to be in it."""

    file: HostFile
    # Nothing in a directory.
    content: bytes


class DefinitionRequest(t.NamedTuple):
    """A named namespace as it should be, all of it."""

    namespace: namespace.NamespaceRequest
    # None for the root of the host.
    root: OwnRoot | None = None
    # What is unpacked for it.
    unpacked: RootRequest | None = None
    # Those that it has beside those of its root, as they are called inside.
    mounts: tuple[WantedMount, ...] = ()
    # In place of a root and mounts: all that is done in it, and whether each outlives a reboot.
    steps: tuple[tuple[Step, bool], ...] = ()
    services: tuple[WantedService, ...] = ()
    # What is written on the host for it and its services.
    files: tuple[WantedFile, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.namespace.name

    def with_leaving(self, links: tuple[Link, ...]) -> DefinitionRequest:
        """The same for one in whose place it comes, and whose interfaces these are."""
        return self._replace(namespace=self.namespace._replace(leaving=links))

    @property
    def places(self) -> set[str]:
        """The paths of its files."""
        return {each.file.dest for each in self.files}

    @property
    def home(self) -> str:
        """The directory on the host of its root and its files."""
        return home_of(self.name) if self.root is None else self.root.home


@dataclasses.dataclass
class Outcome:
    """What was done with one namespace, or in check mode would be."""

    name: str
    actions: list[str] = dataclasses.field(default_factory=list)
    # For the diff, by what each line is about.
    before: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    after: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    # What an image says of how to run it; None where that is not known yet.
    config: dict[str, t.Any] | None = None
    # It was not there before.
    is_new: bool = False
    # It was removed, and made anew.
    is_anew: bool = False
    # The number of the next generation, where one was built beside it and is to serve; else 0.
    generation: int = 0
    # What its root was made of, for people.
    made_of: str = ""

    def note(
        self,
        done: t.Iterable[str],
        before: t.Mapping[str, t.Any] | None = None,
        after: t.Mapping[str, t.Any] | None = None,
        *,
        warnings: t.Iterable[str] = (),
    ) -> None:
        """Add what a part of it has done."""
        self.actions += done
        self.before.update(before or {})
        self.after.update(after or {})
        self.warnings += warnings


def differing(
    before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """What is different between the two, as it was and as it is."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return (
        {key: before[key] for key in keys if key in before},
        {key: after[key] for key in keys if key in after},
    )


class How(t.NamedTuple):
    """How it is brought there."""

    check: bool
    # Whether one that cannot be changed into what is wanted may be removed first.
    recreate: bool = False
    # Whether the processes in it may be ended for that.
    force: bool = False
    progress: Progress = silent
    # The names of those that go in the same run.
    going: frozenset[str] = frozenset()
