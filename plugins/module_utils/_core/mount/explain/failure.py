# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A mount call that failed, with what can be looked up about it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ...errors import KernelError, Refused
from ...process import proc
from ...syscalls import files
from .. import table
from ..table import Mount
from ..view import TargetView, open_host_proc
from ..wanted import WantedMount

# A cause (reason, hint) that was not found.
NOTHING = ("", "")


class Failure:
    """The failed call of a mount, remount or unmount."""

    def __init__(self, error: OSError, view: TargetView | None, wanted: WantedMount) -> None:
        self.error = error if isinstance(error, KernelError) else KernelError("", error.errno or 0)
        # None where the call was made on the host.
        self.view = view
        self.wanted = wanted

    @property
    def call(self) -> str:
        """The name of the system call; empty where it is not known."""
        return self.error.call

    @property
    def where(self) -> str:
        """Where the call was made, for people."""
        return "on the host" if self.view is None else "in the target"

    def is_any(self, *numbers: int) -> bool:
        """Whether it failed with one of these."""
        return self.error.errno in numbers

    def rows(self) -> list[Mount]:
        """The mount table of where the call was made. Raises OSError."""
        return table.read() if self.view is None else self.view.mounts()

    def row(self) -> Mount | None:
        """The mount that the call was about."""
        number = self.error.arguments.get("mount_id")
        if number is None and self.view is not None:
            with contextlib.suppress(OSError, Refused), self.view.opened(self.wanted.path) as fd:
                number = files.place_of(fd).mount_id
        return next((row for row in self.rows() if row.id == number), None)

    def source_row(self) -> Mount | None:
        """The mount that the source of a bind lies on."""
        if not self.wanted.options.bind:
            return None
        with contextlib.suppress(OSError, Refused), self.opened_source() as fd:
            return self._row_of(fd)
        return None

    @contextlib.contextmanager
    def opened_source(self) -> t.Iterator[int]:
        """The source, open with O_PATH, as well as it can be found now. Raises OSError, Refused."""
        if self.wanted.src_in != "host" and self.view is not None:
            with self.view.opened(self.wanted.src) as fd:
                yield fd
            return
        fd = os.open(self.wanted.src, os.O_PATH | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def row_of_file(self, path: str) -> Mount | None:
        """The mount that a file of the host lies on."""
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                return self._row_of(fd)
            finally:
                os.close(fd)
        return None

    def _row_of(self, fd: int) -> Mount | None:
        number = files.place_of(fd).mount_id
        return next((row for row in self.rows() if row.id == number), None)

    def has_regular_source(self) -> bool:
        """Whether the source is a file that could hold an image."""
        try:
            return stat.S_ISREG(os.stat(self.wanted.src).st_mode)
        except OSError:
            return False

    def text_in_proc(self, name: str) -> str:
        """The text of a file of the host's /proc; empty where it cannot be read."""
        with self.host_proc() as host_proc:
            return proc.text_of(name, dir_fd=host_proc)

    @contextlib.contextmanager
    def host_proc(self) -> t.Iterator[int]:
        """The host's /proc. Raises OSError."""
        if self.view is not None:
            yield self.view.host_proc
            return
        fd = open_host_proc()
        try:
            yield fd
        finally:
            os.close(fd)
