# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A tar archive on the host as the source of a root file system.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import typing as t

from ... import exhaustion
from ...errors import Refused
from ...mount import host_view, resolve
from ...syscalls import regular_files
from .. import digests
from . import cache
from .source import Config, Content, Options

if t.TYPE_CHECKING:
    from ..progress import Progress


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive on the host."""

    verb: t.ClassVar[str] = "unpack"
    is_followed: t.ClassVar[bool] = False

    path: str
    # That of what it was kept of (cache.py); else empty.
    known_digest: str = ""

    def __str__(self) -> str:
        return self.path

    @classmethod
    def of_options(cls, options: Options) -> Archive:
        """See Source."""
        return cls(resolve.checked_absolute(options["archive"], option="archive"))

    def recorded(self, digest: str) -> dict[str, str]:  # noqa: ARG002
        """See Source."""
        return {"archive": self.path}

    @contextlib.contextmanager
    def opened(self, *, may_be_missing: bool) -> t.Iterator[OpenedArchive]:
        """See Source."""
        if may_be_missing and not os.path.lexists(self.path):
            yield OpenedArchive(self, -1)  # an earlier task of the play would have made it
            return
        if self.known_digest and not os.path.lexists(self.path):
            raise cache.lost(self.path, "missing")
        with open_file(self.path) as fd:
            yield OpenedArchive(self, fd)


@contextlib.contextmanager
def open_file(path: str) -> t.Iterator[int]:
    """Open the archive ``path``. Raises Refused where it is not a readable file."""
    try:
        with host_view.opened(path) as found:
            fd = regular_files.reopen(found, os.O_RDONLY, path=path)
    except regular_files.NotRegular as error:
        raise Refused(f"the archive {path} is not a file") from error
    except OSError as error:
        if any(exhaustion.explain(error)):  # which is no fault of the archive
            raise
        raise Refused(
            f"the archive {path} cannot be opened: {error.strerror}",
            "It has to be a file on the managed host: copy it there first.",
        ) from error
    try:
        yield fd
    finally:
        os.close(fd)


class OpenedArchive:
    """An archive, opened once: what is hashed is what is unpacked."""

    def __init__(self, archive: Archive, fd: int) -> None:
        """``fd`` is the open file; -1 where it is missing."""
        self._archive = archive
        self._fd = fd
        self._digest = archive.known_digest  # empty until it was taken
        self.missing = fd < 0
        self.facts: dict[str, t.Any] = {"source": str(archive)}
        self.facts_suffice = not self.missing
        if not self.missing:
            self.facts.update(digests.stamp(fd))

    def digest(self) -> str:
        """See Opened."""
        if not self._digest:
            self._digest = digests.of_file(self._fd)
        return self._digest

    def aliases(self) -> list[str]:
        """See Opened."""
        return []

    def config(self) -> Config:
        """See Opened."""
        return {}

    @contextlib.contextmanager
    def content(
        self,
        *,
        on_host: bool,  # noqa: ARG002
        patience: float,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> t.Iterator[Content]:
        """See Opened. The digest is taken by a thread, beside the unpacking."""
        if self._archive.known_digest:
            cache.check(self._fd, self._archive.path)
        given_up = threading.Event()
        failures: list[OSError] = []

        def take_digest() -> None:
            # Whoever unpacks is waited for longest, and goes first where processors are few.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
            try:
                self._digest = self._digest or digests.of_file(
                    self._fd, is_wanted=lambda: not given_up.is_set()
                )
            except OSError as error:
                failures.append(error)

        hashing = threading.Thread(target=take_digest, daemon=True)

        def finished() -> str:
            hashing.join()
            for error in failures:
                raise error
            if {**self.facts, **digests.stamp(self._fd)} != self.facts:
                raise Refused(f"{self._archive} was changed while it was unpacked", "Run it again.")
            return self._digest

        try:
            yield Content(
                name=str(self._archive), fd=self._fd, begin=hashing.start, digest=finished
            )
        finally:
            # Before the archive is closed: by then its descriptor may be that of another file.
            given_up.set()
            if hashing.ident is not None:
                hashing.join()
