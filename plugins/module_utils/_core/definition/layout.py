# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a path given by a playbook names inside a namespace, before and after its pivots.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .data import Fields


def is_below(path: str, above: str) -> bool:
    """Whether ``path`` is ``above`` or lies below it (both absolute and clean)."""
    return path == above or path.startswith(above.rstrip("/") + "/")


def ancestors(path: str) -> t.Iterator[str]:
    """The directories above ``path``, from the root down: /, /srv, /srv/web of /srv/web/run."""
    end = path.find("/", 1)
    if path != "/":
        yield "/"
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)


def below(path: str, above: str) -> str:
    """The name of ``path``, which lies below ``above``, once that is the root."""
    return path[len(above.rstrip("/")) :] or "/"


def as_called_then(new_roots: t.Iterable[str]) -> list[str]:
    """The new roots of pivots, one after the other, each as it was called when it became one.

    A new root may be named as it was before the pivots that came first.
    """
    found: list[str] = []
    for new_root in new_roots:
        for earlier in found:
            new_root = below(new_root, earlier) if is_below(new_root, earlier) else new_root
        found.append(new_root)
    return found


class PivotNote(t.NamedTuple):
    """A pivot that was begun."""

    new_root: str
    # The id of the mount that was to become the root: one that is never given to another, where
    # the kernel has such (STATX_MNT_ID_UNIQUE, Linux 6.8).
    mount: int
    # Its id in mountinfo.
    listed: int
    # What tells the mount that was the root before from all others: TargetView.identity_of(). Empty
    # in notes of version 0.1.0.
    old: str = ""

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data = self._asdict()
        if not self.old:
            del data["old"]
        return data

    @classmethod
    def from_data(cls, fields: Fields) -> PivotNote:
        """The note of a JSON form. Raises ValueError."""
        taken = fields.take("new_root", str), fields.take("mount", int), fields.take("listed", int)
        old = fields.take("old", str, "")
        fields.done()
        return cls(*taken, old)


class Layout(t.NamedTuple):
    """What was done to a namespace's tree, in order.

    ``pivoted`` are the new roots it was pivoted into; ``mounted`` the paths where its
    definition mounts something, as they were given. ``noted`` are the pivots that were begun:
    settled() tells which were done.
    """

    pivoted: tuple[str, ...] = ()
    mounted: frozenset[str] = frozenset()
    noted: tuple[PivotNote, ...] = ()

    def settled(self, root_mount: int) -> Layout:
        """This layout where the mount ``root_mount`` is the root now.

        A pivot was done when that is the mount noted before it, or when a later one was noted.
        """
        done = []
        for index, note in enumerate(self.noted):
            if index < len(self.noted) - 1 or note.mount == root_mount:
                done.append(note.new_root)
        return self._replace(pivoted=tuple(done))

    def now(self, path: str) -> str:
        """The name that ``path`` has now.

        A path below an old ``new_root`` names the same place before and after the pivot, so
        that a playbook of mount, pivot, mount runs again without change.
        """
        for new_root in as_called_then(self.pivoted):
            path = below(path, new_root) if is_below(path, new_root) else path
        return path

    def earlier_names(self, path: str) -> list[str]:
        """The names that ``path``, a name of now, has had: before no pivot, the last one, ..."""
        found = [path]
        for new_root in reversed(as_called_then(self.pivoted)):
            found.append((new_root.rstrip("/") + found[-1]).rstrip("/") or "/")
        return found

    def base_of(self, path: str) -> str:
        """The directory that is the root for resolving ``path`` (a name from now()).

        Below a mount that the definition made, links lead where they will lead after the
        pivot: /srv/web/var/run -> /run is /srv/web/run, never the host's /run. Of several such
        mounts it is the outermost, which holds the others. After a pivot it is the root.
        """
        if self.pivoted:
            return "/"
        return next((above for above in ancestors(path) if above in self.mounted), "/")
