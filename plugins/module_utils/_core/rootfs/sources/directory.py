# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A directory on the host as the source of a root file system: a copy of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import stat
import subprocess
import tempfile
import typing as t

from ...errors import Refused
from ...mount import host_view, resolve
from .. import run_tool
from ..progress import Progress
from .source import Config, Content, Options


@dataclasses.dataclass(frozen=True)
class Directory:
    """A directory on the host, without what is mounted below it."""

    verb: t.ClassVar[str] = "copy"
    is_followed: t.ClassVar[bool] = True

    path: str

    def __str__(self) -> str:
        return self.path

    @classmethod
    def of_options(cls, options: Options) -> Directory:
        """See Source."""
        return cls(resolve.checked_absolute(options["directory"], option="directory"))

    def recorded(self, digest: str) -> dict[str, str]:  # noqa: ARG002
        """See Source."""
        return {"directory": self.path}

    @contextlib.contextmanager
    def opened(self, *, may_be_missing: bool) -> t.Iterator[OpenedDirectory]:
        """See Source."""
        try:
            found = host_view.open_path(self.path)
        except OSError as error:
            if may_be_missing and not os.path.lexists(self.path):
                yield OpenedDirectory(self, -1)
                return
            raise self._refused() from error
        try:
            if not resolve.is_directory(found):
                raise self._refused()
            yield OpenedDirectory(self, found)
        finally:
            os.close(found)

    def _refused(self) -> Refused:
        return Refused(
            f"directory {self.path} is no directory on the managed host",
            "Name one that is there, or copy it there first.",
        )


class OpenedDirectory:
    """A directory that was there, opened once: what is listed is what is copied."""

    facts_suffice = False  # nothing about a directory tells that nothing below it was changed

    def __init__(self, directory: Directory, fd: int) -> None:
        """``fd`` is the directory, open with O_PATH; -1 where it is missing."""
        self._path = directory.path
        self._fd = fd
        self._digest = ""  # until it was asked for
        self.missing = fd < 0
        self.facts: dict[str, t.Any] = {"source": directory.path}

    def digest(self) -> str:
        """See Opened. It is that of the listing: names, owners, modes, sizes, times, attributes.

        The content of files is not read: what was changed has another time.
        """
        if not self._digest:
            self._digest = f"sha256:{_digest_below(self._fd)}"
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
        on_host: bool,
        patience: float,  # noqa: ARG002
        progress: Progress,
    ) -> t.Iterator[Content]:
        """See Opened."""
        digest = self.digest()
        if on_host:
            yield Content(
                name=self._path,
                make=lambda work: self._copy(work, progress),
                digest=lambda: digest,
            )
            return
        command = ["tar", "--create", "--one-file-system"]
        command += ["--format=pax", "--numeric-owner", "--sparse", "--xattrs"]
        with (
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(
                [*command, "--xattrs-include=*", "."],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=_name_of(self._fd),
                start_new_session=True,  # without the caller's terminal
            ) as packing,
        ):
            output = t.cast("t.IO[bytes]", packing.stdout)

            def verify() -> None:
                output.close()
                if packing.wait():
                    complaints.seek(0)
                    raise self._failed(complaints.read().decode("utf-8", "replace").splitlines())

            try:
                yield Content(
                    name=self._path,
                    fd=output.fileno(),
                    verify=verify,
                    digest=lambda: digest,
                )
            finally:
                packing.kill()

    def _copy(self, work: str, progress: Progress) -> None:
        # A reflink shares the blocks of the original until one of the two is written to.
        words = ["--archive", "--reflink=auto", "--one-file-system", "--no-target-directory"]
        command = ["cp", *words, "--", ".", f"{work}/root"]
        try:
            run_tool.run(
                command, writable=[work], scratch=work, progress=progress, directory=self._fd
            )
        except run_tool.Failed as error:
            raise self._failed(error.lines) from error

    def _failed(self, lines: t.Sequence[str]) -> Refused:
        return Refused(
            f"{self._path} could not be copied: {lines[-1] if lines else 'it ended early'}",
            "Nothing may change in it meanwhile.",
            output=list(lines),
        )


def _name_of(fd: int) -> str:
    # On the host its /proc is at hand, and nothing swaps a descriptor.
    return f"/proc/self/fd/{fd}/."


def _digest_below(fd: int) -> str:
    top = _name_of(fd)
    found = hashlib.sha256()
    device = os.stat(top).st_dev
    waiting = [top]
    while waiting:
        path = waiting.pop()
        status = os.lstat(path)
        facts: list[t.Any] = [
            os.path.relpath(path, top),
            *(status.st_mode, status.st_uid, status.st_gid, status.st_rdev, status.st_mtime_ns),
            status.st_size if stat.S_ISREG(status.st_mode) else 0,
            [
                (name, os.getxattr(path, name, follow_symlinks=False))
                for name in sorted(os.listxattr(path, follow_symlinks=False))
                if "linux_namespaces" not in name
            ],
        ]
        if stat.S_ISLNK(status.st_mode):
            facts.append(os.readlink(path))
        found.update(f"{facts!r}\n".encode("utf-8", "surrogateescape"))
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            waiting += sorted((os.path.join(path, name) for name in os.listdir(path)), reverse=True)
    return found.hexdigest()
