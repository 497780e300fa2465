# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The actions of a plan: each is one change of a mount, has a name, and applies itself.

Pure, but for apply(), which has attach.Mounter do it.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import redact
from . import options
from .compare import Differences, RootOf
from .wanted import WantedMount

if t.TYPE_CHECKING:

    class Mounter(t.Protocol):
        """Who does it, inside the target: see attach.py. Each raises KernelError, Refused."""

        def attach(self, wanted: WantedMount) -> None:
            """Mount it on its path."""

        def replace(self, wanted: WantedMount) -> None:
            """Mount it in place of what is mounted on its path."""

        def unstack(self, path: str) -> None:
            """Leave the topmost of the mounts on the path alone there."""

        def unmount(self, path: str) -> None:
            """Unmount what is mounted on the path, and below."""

        def reconfigure(self, path: str, words: t.Sequence[tuple[str, str | None]]) -> None:
            """Change options of the file system."""

        def set_flags(self, wanted: WantedMount, attributes: int) -> None:
            """Give the mount these MOUNT_ATTR_* bits; those below what is wanted, if asked for."""

        def set_root(self, path: str, root: RootOf) -> None:
            """Set the owner, the group and the mode of the root of the mount."""

        def set_propagation(self, path: str, word: str) -> None:
            """Set the propagation of the mount."""


class _Fields(t.NamedTuple):
    # The mount that it is for; for one that nobody asked for, that it is to be unmounted.
    wanted: WantedMount
    # What it sets right.
    found: Differences = Differences()


class Change(_Fields):
    """One change of the mount on a path."""

    __slots__ = ()

    # Whether a new mount is built for it.
    needs_source = False
    # Whether what was seen below the path holds no longer afterwards.
    renews = False
    # Whether what is mounted there goes.
    replaces = False

    @property
    def path(self) -> str:
        """Where."""
        return self.wanted.path

    @property
    def name(self) -> str:
        """For people."""
        raise NotImplementedError

    def apply(self, mounter: Mounter) -> None:
        """Carry it out. Raises KernelError, Refused."""
        raise NotImplementedError


class Attach(Change):
    """Mount it: on what is there, which is seen no longer."""

    __slots__ = ()
    needs_source = renews = True

    @property
    def name(self) -> str:
        return f"mount {self.wanted.title} on {self.path}"

    def apply(self, mounter: Mounter) -> None:
        mounter.attach(self.wanted)


class Replace(Change):
    """Mount it in place of a mount that no change makes the wanted one."""

    __slots__ = ()
    needs_source = renews = replaces = True

    @property
    def name(self) -> str:
        reasons = ", ".join(self.found.replace)
        return f"replace with {self.wanted.title} on {self.path} (differs: {reasons})"

    def apply(self, mounter: Mounter) -> None:
        mounter.replace(self.wanted)


class Unmount(Change):
    """Unmount it, and what is mounted below."""

    __slots__ = ()
    renews = True

    @property
    def name(self) -> str:
        return f"unmount {self.path}"

    def apply(self, mounter: Mounter) -> None:
        mounter.unmount(self.path)


class Unstack(Change):
    """Take away what is mounted on the same path beneath it."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return f"unstack the mounts on {self.path}"

    def apply(self, mounter: Mounter) -> None:
        mounter.unstack(self.path)


class Reconfigure(Change):
    """Change options of its file system."""

    __slots__ = ()

    @property
    def name(self) -> str:
        words = [
            key if value is None else f"{key}={redact.shown(key, value)}"
            for key, value in self.found.reconfigure
        ]
        return f"change options of {self.path}: {','.join(words)}"

    def apply(self, mounter: Mounter) -> None:
        mounter.reconfigure(self.path, self.found.reconfigure)


class SetFlags(Change):
    """Set its flags, as ro and nosuid."""

    __slots__ = ()

    @property
    def _attributes(self) -> int:
        if self.found.attributes is None:  # none is not 0, which clears them all
            raise ValueError(f"there are no flags to set of {self.path}")
        return self.found.attributes

    @property
    def name(self) -> str:
        return f"set flags of {self.path}: {','.join(options.words_of(self._attributes))}"

    def apply(self, mounter: Mounter) -> None:
        mounter.set_flags(self.wanted, self._attributes)


class SetPropagation(Change):
    """Set its propagation."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return f"make {self.path} {self.found.propagation}"

    def apply(self, mounter: Mounter) -> None:
        mounter.set_propagation(self.path, self.found.propagation)


class SetRoot(Change):
    """Set who owns its root, and with which mode."""

    __slots__ = ()

    @property
    def name(self) -> str:
        owner, group, mode = self.found.root
        parts = [
            f"{what} {value}"
            for what, value in (("owner", owner), ("group", group))
            if value is not None
        ]
        parts += [f"mode {mode:04o}"] if mode is not None else []
        return f"give {self.path} {', '.join(parts)}"

    def apply(self, mounter: Mounter) -> None:
        mounter.set_root(self.path, self.found.root)
