# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What came of looking at something that is to become a named namespace.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..definition.layout import is_below
from ..errors import Refused
from ..options import definition, mount, table

Options = dict[str, t.Any]

# They are empty when they are mounted.
EMPTY = ("tmpfs", "ramfs")
_MKDIR = "X-mount.mkdir"


@dataclasses.dataclass
class Adopted:
    """The options of the namespace, and what is not in them."""

    name: str
    kinds: set[str] = dataclasses.field(default_factory=lambda: {"mnt"})
    properties: Options = dataclasses.field(default_factory=dict)
    # Where it has a root of its own: what that is, as a mount at new_root.
    root: Options | None = None
    # As they are called inside.
    mounts: list[Options] = dataclasses.field(default_factory=list)
    services: list[Options] = dataclasses.field(default_factory=list)
    # A line each.
    left: list[str] = dataclasses.field(default_factory=list)

    def leave(self, what: str, why: str) -> None:
        """Say that this is not in the definition."""
        self.left.append(f"{what}: {why}")

    def set(self, option: str, value: t.Any, what: str) -> None:
        """Take over an option of the namespace, or say why not; ``what`` it is, for that."""
        said = {"name": self.name, "kinds": sorted(self.kinds), option: value}
        if self._makes_sense(said, what):
            self.properties[option] = value

    def add_mount(self, said: Options, what: str) -> None:
        """Take over a mount, or say why not; ``what`` it is, for that."""
        try:
            wanted = mount.wanted(table.read(mount.LIST["options"], said, what))
        except Refused as error:
            self.leave(what, error.reason)
            return
        if wanted.path == "/":
            self.leave(what, "the root is another matter: see rootfs")
        elif self.mounted_on(wanted.path) is not None:
            self.leave(
                what, f"something else is mounted on {wanted.path}, and mounts are never stacked"
            )
        else:
            self.mounts.append({**said, "path": wanted.path})

    def mounted_on(self, path: str) -> Options | None:
        """The mount on this clean path, where there is one."""
        return next((each for each in self.mounts if each["path"] == path), None)

    def add_service(self, said: Options, what: str) -> None:
        """Take over a service, or say why not; ``what`` it is, for that."""
        if self._makes_sense({"name": self.name, "services": [said]}, what):
            self.services.append(said)

    def settle(self) -> None:
        """Have places made for the mounts on what is empty at first. Call it when all are known."""
        for each in self.mounts:
            lower = self._lower(each)
            if lower is None or lower.get("fstype") not in EMPTY:
                continue
            if _MKDIR not in each.get("opts", ()):
                each["opts"] = [*each.get("opts", ()), _MKDIR]
            if "ro" in lower.get("opts", ()):
                where = "the root" if lower is self.root else lower["path"]
                self.leave(
                    f"ro of {where}", "places have to be made in it for what is mounted there"
                )
                lower["opts"] = [word for word in lower["opts"] if word != "ro"]

    def _lower(self, upper: Options) -> Options | None:
        """What the mount is mounted on, where that was taken over."""
        found = self.root
        for each in self.mounts:
            if each is not upper and is_below(upper["path"], each["path"]):
                is_nearer = found in (None, self.root) or is_below(each["path"], found["path"])  # type: ignore[index]
                found = each if is_nearer else found
        return found

    def options(self) -> Options:
        """The options of the namespace, as ns_definition and `nsctl apply` take them."""
        said: Options = {"name": self.name, "kinds": sorted(self.kinds), **self.properties}
        if self.root is not None:
            new_root = self.root["path"]
            said["steps"] = [
                {"do": "mount", **self.root},
                *({"do": "mount", **_moved(each, new_root)} for each in self.mounts),
                {"do": "pivot", "new_root": new_root},
            ]
        elif self.mounts:
            said["mounts"] = self.mounts
        if self.services:
            said["services"] = self.services
        return said

    def check(self) -> None:
        """Raises Refused where the whole makes no sense: it is not to be printed then."""
        params = table.read(definition.NAMESPACE, self.options(), self.name)
        definition.requests_of([params], lock_timeout=0)

    def _makes_sense(self, said: Options, what: str) -> bool:
        try:
            params = table.read(definition.NAMESPACE, said, what)
            definition.requests_of([params], lock_timeout=0)
        except Refused as error:
            while isinstance(error.__cause__, Refused):
                error = error.__cause__  # without where in a list it stands
            self.leave(what, error.reason)
            return False
        return True


def _moved(said: Options, new_root: str) -> Options:
    """The mount as it is called before the root is the root."""
    moved = {**said, "path": f"{new_root}{said['path']}"}
    if said.get("src_in") == "namespace":
        moved["src"] = f"{new_root}{said['src']}"
    return moved
