# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A file that a named namespace has on the host, below its home: what its programs read by a bind mount.

What is in it is not recorded: it is there. Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..values import Value
from .data import Fields

# What stands in ``validate`` for the file that is to be looked at, as in ansible.builtin.template.
PLACEHOLDER = "%s"


class HostFile(Value):
    """A file or a directory, as it is recorded."""

    __slots__ = (
        *("dest", "group", "is_directory", "mode", "owner", "read", "service", "validate"),
        "written",
    )

    def __init__(
        self,
        dest: str,
        mode: int = 0o644,
        owner: str = "root",
        group: str = "root",
        is_directory: bool = False,
        service: str = "",
        validate: tuple[str, ...] = (),
        read: str = "",
        written: str = "",
    ) -> None:
        # Its path on the host.
        self.dest = dest
        self.mode = mode
        # Names or ids of the host.
        self.owner = owner
        self.group = group
        self.is_directory = is_directory
        # The service that reads it, when it starts and when it is told to reload; empty for none.
        self.service = service
        # The program that is run inside to see whether what is to be in it makes sense; empty for none.
        self.validate = validate
        # The digest of what its service has read; empty where it has read nothing.
        self.read = read
        # The digest of what was put there; empty for a directory, and where that was not noted.
        self.written = written

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        return {**self.fields(), "mode": f"{self.mode:04o}", "validate": list(self.validate)}

    @classmethod
    def from_data(cls, data: t.Any) -> HostFile:
        """That of a JSON form. Raises ValueError."""
        fields = Fields(data, "a file")
        mode = fields.text("mode")
        found = cls(
            dest=fields.text("dest"),
            mode=int(mode, 8),
            owner=fields.text("owner"),
            group=fields.text("group"),
            is_directory=fields.take("is_directory", bool),
            service=fields.take("service", str),
            validate=fields.texts("validate", []),
            read=fields.take("read", str),
            written=fields.take("written", str, ""),
        )
        fields.done()
        return found
