# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a path given by a playbook names inside a namespace, before and after its pivots.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t


def is_below(path: str, above: str) -> bool:
    """Whether ``path`` is ``above`` or lies below it (both absolute and clean)."""
    return path == above or path.startswith(above.rstrip("/") + "/")


class Layout(t.NamedTuple):
    """What was done to a namespace's tree, in order.

    ``pivoted`` are the new roots it was pivoted into; ``mounted`` the paths where its
    definition mounts something, as they were given. ``noted`` are the pivots that were begun,
    each with the id of the mount that was to become the root: settled() tells which were done.
    """

    pivoted: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()
    noted: tuple[tuple[str, int], ...] = ()

    def settled(self, root_mount: int) -> Layout:
        """This layout where the mount ``root_mount`` is the root now.

        A pivot was done when that is the mount noted before it, or when a later one was noted.
        """
        done = []
        for index, (new_root, mount_id) in enumerate(self.noted):
            if index < len(self.noted) - 1 or mount_id == root_mount:
                done.append(new_root)
        return self._replace(pivoted=tuple(done))

    def now(self, path: str) -> str:
        """The name that ``path`` has now.

        A path below an old ``new_root`` names the same place before and after the pivot, so
        that a playbook of mount, pivot, mount runs again without change.
        """
        for new_root in self.pivoted:
            if is_below(path, new_root):
                path = path[len(new_root) :] or "/"
        return path

    def base_of(self, path: str) -> str:
        """The directory that is the root for resolving ``path`` (a name from now()).

        Below a mount that the definition made, links lead where they will lead after the
        pivot: /srv/web/var/run -> /run is /srv/web/run, never the host's /run. Of several such
        mounts it is the outermost, which holds the others. After a pivot it is the root.
        """
        if self.pivoted:
            return "/"
        bases = [mount for mount in self.mounted if path != mount and is_below(path, mount)]
        return min(bases, key=len, default="/")
