# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where a root file system comes from: an archive, or a bootstrap. Each answers the same questions.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import typing as t

from ..errors import Refused
from ..targets import Target
from . import archive, bootstrap, digest
from .unpack import Progress

CACHE = "/var/cache/linux-namespaces"


class Stream(t.NamedTuple):
    """What fills a new root: the tar stream ``fd``, or where that is -1 ``make(directory)``.

    ``begin`` is called when the unpacking begins, ``verify`` after it and raises Refused where
    the source turned out bad, ``digest`` answers its digest.
    """

    shown: str
    fd: int
    make: t.Callable[[str], None]
    begin: t.Callable[[], None]
    verify: t.Callable[[], None]
    digest: t.Callable[[], str]


def _nothing(*_arguments: t.Any) -> None:
    pass


class Opened(t.Protocol):
    """A source that was looked at."""

    shown: str
    is_made: bool
    missing: bool

    @property
    def facts(self) -> dict[str, t.Any]:
        """What tells that it is the one of an earlier run; it goes into the marker."""

    def digest(self) -> str:
        """Its digest."""

    def stream(
        self, target: Target, progress: Progress
    ) -> contextlib.AbstractContextManager[Stream]:
        """What fills a new root in the target."""

    def recorded_archive(self, digest: str) -> str:
        """The archive that a definition unpacks again after a reboot."""


class Source(t.Protocol):
    """A source as it was asked for."""

    def opened(self, *, may_be_missing: bool) -> contextlib.AbstractContextManager[Opened]:
        """Look at it. Raises Refused where it cannot be used."""


@dataclasses.dataclass(frozen=True)
class Archive:
    """A tar archive on the host, compressed or not."""

    path: str

    @contextlib.contextmanager
    def opened(self, *, may_be_missing: bool) -> t.Iterator[OpenedArchive]:
        """See Source."""
        if may_be_missing and not os.path.lexists(self.path):
            yield OpenedArchive(self.path, -1)  # an earlier task of the play would have made it
            return
        fd = archive.open_file(self.path)
        try:
            archive.needs_program(fd)
            yield OpenedArchive(self.path, fd)
        finally:
            os.close(fd)


class OpenedArchive:
    """An archive, opened once: what was hashed is what is unpacked."""

    is_made = False

    def __init__(self, path: str, fd: int) -> None:
        self.shown = path
        self.missing = fd < 0
        self._fd = fd
        self._digest = ""

    @property
    def facts(self) -> dict[str, t.Any]:
        """See Opened."""
        if self.missing:
            return {}
        return {"source": self.shown, **digest.stamp(self._fd)}

    def digest(self) -> str:
        """See Opened."""
        if not self._digest:
            self._digest = digest.of_file(self._fd)
        return self._digest

    @contextlib.contextmanager
    def stream(self, target: Target, progress: Progress) -> t.Iterator[Stream]:  # noqa: ARG002
        """See Opened. The digest is taken by a thread, beside the unpacking."""
        before = self.facts
        hashing = threading.Thread(target=self.digest, daemon=True)

        def finished() -> str:
            hashing.join()
            if self.facts != before:
                raise Refused(f"{self.shown} was changed while it was unpacked", "Run it again.")
            return self._digest

        with archive.opened(self._fd, name=self.shown) as tar:
            yield Stream(self.shown, tar.fd, _nothing, hashing.start, tar.verify, finished)

    def recorded_archive(self, digest: str) -> str:  # noqa: ARG002
        """See Opened."""
        return self.shown


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """A Debian root file system made on the spot."""

    specification: bootstrap.Specification

    @contextlib.contextmanager
    def opened(self, *, may_be_missing: bool) -> t.Iterator[OpenedBootstrap]:
        """See Source."""
        yield OpenedBootstrap(self.specification, tool_may_be_missing=may_be_missing)


class OpenedBootstrap:
    """A bootstrap; on the host it is made in place, for a target as an archive that is kept."""

    is_made = True
    missing = False

    def __init__(
        self, specification: bootstrap.Specification, *, tool_may_be_missing: bool
    ) -> None:
        self.shown = str(specification)
        self._specification = specification
        self._tool_may_be_missing = tool_may_be_missing

    @property
    def facts(self) -> dict[str, t.Any]:
        """See Opened."""
        return {"source": self.shown}

    def digest(self) -> str:
        """See Opened."""
        return self._specification.digest

    @contextlib.contextmanager
    def stream(self, target: Target, progress: Progress) -> t.Iterator[Stream]:
        """See Opened."""
        if target.is_host:

            def make(path: str) -> None:
                bootstrap.make(self._specification, path, progress=progress)

            yield Stream(self.shown, -1, make, _nothing, _nothing, self.digest)
            return
        path = self.recorded_archive(self.digest())
        if not os.path.exists(path):
            os.makedirs(CACHE, mode=0o700, exist_ok=True)
            beside = f"{path}.new"
            try:
                bootstrap.make(self._specification, beside, progress=progress)
                os.rename(beside, path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(beside)
        fd = archive.open_file(path)
        try:
            with archive.opened(fd, name=path) as tar:
                yield Stream(path, tar.fd, _nothing, _nothing, tar.verify, self.digest)
        finally:
            os.close(fd)

    def recorded_archive(self, digest: str) -> str:
        """See Opened."""
        return f"{CACHE}/{digest.partition(':')[2]}.tar"
