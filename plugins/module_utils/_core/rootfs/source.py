# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a source of root file systems is: an archive, an image, a bootstrap, a directory.

Each looks at itself first (opened()), so that a root that is there need not be made again, and
then fills a new root: as a tar stream, or by making its content in an empty directory.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

# Below it, what cannot be made again after a reboot without the network is kept as archives.
CACHE = "/var/cache/linux-namespaces"

Progress = t.Callable[[str], None]
Config = dict[str, t.Any]


def nothing(*_arguments: t.Any) -> None:
    """Do nothing."""


class Stream(t.NamedTuple):
    """What fills a new root: the tar stream ``fd``, or where that is -1 ``make(workspace)``.

    That fills the empty directory "root" in the directory it is given, and may use the rest of
    that as it likes.

    ``begin`` is called when it begins and ``verify`` after it; that raises Refused where the
    source turned out bad. ``digest`` answers its digest.
    """

    name: str
    fd: int = -1
    make: t.Callable[[str], None] = nothing
    begin: t.Callable[[], None] = nothing
    verify: t.Callable[[], None] = nothing
    digest: t.Callable[[], str] = str


class Opened(t.Protocol):
    """A source that was looked at."""

    # It is not there, which only check mode puts up with.
    missing: bool
    # What it is, told without reading it.
    facts: dict[str, t.Any]
    # A root that is there and has the same facts has the same digest.
    facts_suffice: bool
    # It has no content of its own that could be named by a digest later on, as a directory: when
    # the namespace comes up again it is unpacked as it is then.
    is_followed: bool

    def digest(self) -> str:
        """Its digest. Raises Refused where the source cannot be had."""

    def aliases(self) -> list[str]:
        """Other digests that the option ``digest`` may name it by; digest() comes before."""

    def config(self) -> Config:
        """What an image says of how to run it, once it has filled a root; else empty."""

    def fill(
        self, *, on_host: bool, patience: float, progress: Progress
    ) -> contextlib.AbstractContextManager[Stream]:
        """What fills a new root, on the host or in a target that sees no path of the host's.

        ``patience`` is how long to wait for another run that prepares the same, in seconds.
        """

    def recorded(self) -> dict[str, str]:
        """What a definition records of it, to unpack it again after a reboot."""


class Source(t.Protocol):
    """A source as it was asked for; ``str()`` is what people call it."""

    @property
    def verb(self) -> str:
        """What is done with it: unpack, make, copy."""

    def opened(self, *, may_be_missing: bool) -> contextlib.AbstractContextManager[Opened]:
        """Look at it. Raises Refused where it cannot be used."""
