# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What every source of root file systems can do. See table.py for what there is.

A source looks at itself first (opened()), so that a root that is there need not be made again, and
then fills a new root: by a tar archive, or by making its content in an empty directory.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

if t.TYPE_CHECKING:
    from ..progress import Progress

# What an image says of how to run it.
Config = dict[str, t.Any]
# The options of ns_rootfs by name, sizes in bytes.
Options = t.Mapping[str, t.Any]


def nothing(*_arguments: t.Any) -> None:
    """Do nothing."""


class Content(t.NamedTuple):
    """What fills a new root: a tar archive, or what is made in a workspace."""

    # What errors call it.
    name: str
    # The archive, compressed or not, or a pipe that one comes from; -1 where the content is made.
    fd: int = -1
    # Fills the empty directory "root" in the directory that it is given, the workspace, and may
    # use the rest of that as it likes.
    make: t.Callable[[str], None] = nothing
    # Called when it begins.
    begin: t.Callable[[], None] = nothing
    # Called after it. Raises Refused where the source turned out bad.
    verify: t.Callable[[], None] = nothing
    # Called last: the digest of the source.
    digest: t.Callable[[], str] = str
    # Filled on the way: what of it means nothing here, or could not be made.
    warnings: t.Sequence[str] = ()


class Opened(t.Protocol):
    """A source that was looked at."""

    # It is not there, which only check mode puts up with.
    missing: bool
    # What is known of it without reading it.
    facts: dict[str, t.Any]
    # A root that is there and has the same facts has the same digest.
    facts_suffice: bool

    def digest(self) -> str:
        """Its digest. Raises Refused where the source cannot be had."""

    def aliases(self) -> list[str]:
        """Other digests that the option ``digest`` may name it by; digest() comes before."""

    def config(self) -> Config:
        """What an image says of how to run it, once it has filled a root; else empty."""

    def content(
        self, *, on_host: bool, patience: float, progress: Progress
    ) -> contextlib.AbstractContextManager[Content]:
        """What fills a new root, on the host or in a target that sees no path of the host's.

        ``patience`` is how long to wait for another run that prepares the same, in seconds.
        """


class Source(t.Protocol):
    """A source as it was asked for; ``str()`` is what people call it."""

    # What is done with it: unpack, make, copy.
    verb: t.ClassVar[str]
    # It is somebody's own and may change: when a namespace comes up again, it is unpacked as it
    # is then, unless the option digest names what it has to be.
    is_followed: t.ClassVar[bool]

    @classmethod
    def of_options(cls, options: Options) -> Source:
        """The source that the options describe, one of which names it. Raises Refused."""

    def opened(self, *, may_be_missing: bool) -> contextlib.AbstractContextManager[Opened]:
        """Look at it. Raises Refused where it cannot be used."""

    def recorded(self, digest: str) -> dict[str, str]:
        """The fields of a definition's step from which it is unpacked again after a reboot.

        ``digest`` is that of the root that was made of it.
        """
