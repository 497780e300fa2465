# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A mount call that failed, with what can be looked up about it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ... import redact
from ...errors import KernelError, Refused
from ...process import proc
from ...syscalls import files
from ...syscalls.kernel_log import KernelLog
from .. import block_names, table
from ..table import Mount
from ..view import TargetView, open_host_proc
from ..wanted import WantedMount
from . import kernel_words

# A cause (reason, hint) that was not found.
NOTHING = ("", "")


class Failure:
    """The failed call of a mount, remount or unmount."""

    def __init__(
        self,
        error: OSError,
        view: TargetView | None,
        wanted: WantedMount,
        log: KernelLog | None = None,
    ) -> None:
        self.error = error if isinstance(error, KernelError) else KernelError("", error.errno or 0)
        # None where the call was made on the host.
        self.view = view
        self.wanted = wanted
        # What the kernel wrote to its own log since the call; None where nobody listened.
        self._log = log

    @property
    def call(self) -> str:
        """The name of the system call; empty where it is not known."""
        return self.error.call

    @property
    def is_making(self) -> bool:
        """Whether it was to make a file system, in place of changing one."""
        given = self.error.arguments
        if "reconfigured" in given:
            return False
        # By mount(2) where the options are too long for fsconfig(2).
        return self.call == "fsconfig" or (self.call == "mount" and bool(given.get("fstype")))

    @property
    def where(self) -> str:
        """Where the call was made, for people."""
        return "on the host" if self.view is None else self.view.where.there

    def is_any(self, *numbers: int) -> bool:
        """Whether it failed with one of these."""
        return self.error.errno in numbers

    def said(self) -> str:
        """What the kernel says of it: to who mounts, or else to its own log (dmesg); or nothing."""
        return self.error.log or "; ".join(self._words)

    @functools.cached_property
    def _words(self) -> list[str]:
        if self._log is None:
            return []
        fstype, device = self.wanted.fstype, self.device_name
        row = self.row() if "reconfigured" in self.error.arguments else None
        if row is not None:
            # To change a mount takes neither its type nor its source.
            fstype, device = row.fstype, os.path.basename(row.src)
        lines = kernel_words.about(self._log.lines(), fstype=fstype, device=device)
        secrets = redact.secrets_of(self.wanted.options.filesystem)
        return [redact.without(line, secrets, self.wanted.src) for line in lines]

    @property
    def device(self) -> str:
        """The path of the device that was to be mounted: of an image that of its loop device."""
        given = str(self.error.arguments.get("source", ""))
        return given if self.wanted.options.loop else self.wanted.src

    @functools.cached_property
    def device_name(self) -> str:
        """The kernel's name of that device, as in /sys/block; empty where it is none of the host's."""
        if self.view is not None or not self.device.startswith("/"):
            return ""
        return block_names.at(self.device)

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

    def is_in_user_namespace(self) -> bool:
        """Whether the call was made in a user namespace that has not all ids of the host."""
        return self.text_in_proc("self/uid_map").split() != ["0", "0", "4294967295"]

    def is_known(self, fstype: str) -> bool:
        """Whether the kernel has this type of file systems (proc_filesystems(5))."""
        return fstype in self.known_filesystems()

    def known_filesystems(self) -> list[str]:
        """The types of file systems that the kernel has, sorted."""
        lines = self.text_in_proc("filesystems").splitlines()
        return sorted(line.split()[-1] for line in lines if line.strip())

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
