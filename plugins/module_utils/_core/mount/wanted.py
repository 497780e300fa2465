# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A mount as it should be: what a step of a definition says, and what is to become of it.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.layout import Layout, is_below
from ..definition.steps import MountStep
from ..errors import Refused
from . import option_paths, options, resolve

# Of which there is one, whoever mounts it.
_ONE_FOR_ALL = (
    "binfmt_misc", "cgroup", "cgroup2", "configfs", "debugfs", "devtmpfs", "efivarfs", "fusectl",
    "mqueue", "pstore", "securityfs", "sysfs", "tracefs",
)  # fmt: skip


class WantedMount(MountStep):
    """One mount as it should be."""

    __slots__ = ("given", "left_out", "state")

    def __init__(
        self,
        path: str,
        src: str = "",
        fstype: str = "",
        words: tuple[str, ...] = (),
        propagation: str = "",
        src_in: str = "host",
        state: str = "mounted",
        given: MountStep | None = None,
        left_out: str = "",
    ) -> None:
        super().__init__(path, src, fstype, words, propagation, src_in)
        # mounted, remounted or unmounted, as in ns_mount.
        self.state = state
        # What was asked for, where src or fstype were looked up on the host: see lookup.py.
        self.given = given
        # Why nothing is done for it, where its device does not exist and need not (nofail).
        self.left_out = left_out

    @classmethod
    def of(cls, step: MountStep) -> WantedMount:
        """The mount that a step records."""
        return cls(**step.fields())

    def step(self) -> MountStep:
        """The step that records this mount: as it was asked for."""
        if self.given is not None:
            return self.given
        fields = self.fields()
        for name in WantedMount.__slots__:
            del fields[name]
        return MountStep(**fields)

    @property
    def options(self) -> options.Options:
        """The words, understood. Raises Refused."""
        return options.parse(self.words, self.fstype)

    @property
    def title(self) -> str:
        """What is mounted, for people."""
        if self.options.bind:
            return f"{'rbind' if self.options.bind_recursive else 'bind'} of {self.src}"
        fstype = self.fstype or "auto"
        if self.given is not None and self.given.has_tag:
            return f"{fstype} of {self.src} ({self.given.src})"
        return f"{fstype} of {self.src}" if self.has_tag else fstype

    @property
    def is_open(self) -> bool:
        """Whether the host has to be asked for its device or its type: see lookup.py."""
        if self.state != "mounted" or self.left_out:
            return False
        if self.may_be_absent and self.src_in == "host" and self.files:
            return True
        return not self.options.bind and (self.has_tag or self.has_open_type)

    @property
    def files(self) -> list[str]:
        """What of src is the path of a directory, an image or a device: not a share, as //host/name."""
        if self.options.bind or self.options.loop:
            return [self.src]
        is_device = (
            self.has_open_type
            or self.src.startswith("/dev/")
            or option_paths.is_on_device(self.fstype)
        )
        if self.has_tag or not is_device:
            return []
        return option_paths.of_source(self.fstype, self.src, self.options)

    @property
    def may_be_absent_inside(self) -> bool:
        """Whether only in the target it shows that its source is not there, and need not be."""
        return self.may_be_absent and self.needs_target and self.options.bind

    @property
    def has_open_type(self) -> bool:
        """Whether fstype leaves it to what is there: auto, or a list of what may be there."""
        if self.fstype in ("", "auto") or "," in self.fstype:
            return True
        names_device = self.src.startswith("/") or self.has_tag
        return names_device and self.fstype.startswith("no")

    @property
    def needs_host(self) -> bool:
        """Whether its source is looked up on the host, before the target is entered.

        A bind's, an overlay's directories, a device or an image. All others have no source
        in the file system, and must be made inside to belong to the target's namespaces.
        """
        if self.src_in != "host" or self.state != "mounted" or self.left_out:
            return False
        return self._is_made_of_directories or self.options.loop or bool(self.paths)

    @property
    def needs_target(self) -> bool:
        """Whether its source is looked up in the target, where an earlier mount may bring it."""
        return self.src_in != "host" and self._is_made_of_directories and not self.left_out

    @property
    def _is_made_of_directories(self) -> bool:
        return self.options.bind or self.fstype == "overlay"

    @property
    def paths(self) -> list[tuple[str, str]]:
        """What the kernel looks up by itself: (option, path)."""
        if self.options.bind:
            return []
        found = option_paths.named(self.fstype, self.options)
        if not self.options.loop and not self.has_tag:
            found += [
                ("src", path)
                for path in option_paths.of_source(self.fstype, self.src, self.options)
            ]
        return found

    def checked(self) -> WantedMount:
        """This with clean paths, when it makes sense by itself. Raises Refused."""
        path = resolve.checked_absolute(self.path, option="path")
        asked = self.options
        src = self.src
        if self.state == "mounted":
            if asked.bind:
                if self.fstype not in ("", "none", "bind", "auto"):
                    raise Refused(
                        f"a bind on {path} has no file-system type of its own, not {self.fstype!r}",
                        "Leave fstype out.",
                    )
                if not src:
                    raise Refused(f"the bind on {path} needs src")
                src = resolve.checked_absolute(src, option="src")
            else:
                self._check_device(path)
            if asked.loop:
                src = resolve.checked_absolute(src, option="src")
        if self.fstype in _ONE_FOR_ALL and {("ro", None), ("rw", None)} & {*asked.filesystem}:
            raise Refused(
                f"{self.fstype} on {path} is one file system for all who mount it: ro=fs would take it from "
                "them",
                "Use ro=vfs, which is for this mount alone.",
            )
        clean = self.replace(path=path, src=src)
        for word, is_asked in (("loop", asked.loop), ("X-mount.idmap", bool(asked.idmap))):
            if self.state == "mounted" and is_asked and not clean.needs_host:
                raise Refused(
                    f"{word} of the mount on {path} needs a source on the host",
                    "Use src_in: host, with a bind, a device or an image.",
                )
        clean._check_paths()
        return clean

    def _check_device(self, path: str) -> None:
        """Raises Refused where its device or its type could never be found out."""
        if self.has_tag:
            # For who names a device so.
            from ..definition import tag

            tag.of(self.src)
        elif not self.has_open_type:
            return
        elif not self.src.startswith("/") or self.src.startswith("//"):
            raise Refused(
                f"the mount on {path} needs fstype"
                + (f": src {self.src!r} is no device and no image" if self.fstype else ""),
                "Give fstype, or add bind to opts.",
            )
        if self.src_in != "host":
            raise Refused(
                f"src {self.src} of the mount on {path} is a device, and those are the host's",
                "Use src_in: host.",
            )

    def _check_paths(self) -> None:
        """Raises Refused for a path that can never be looked up where it belongs."""
        if self.state == "unmounted":
            return
        is_source = self.state == "mounted" and not self.options.bind and not self.has_tag
        src = self.src if is_source else ""
        option_paths.check(self.fstype, self.options, where=self.path, src=src)
        if not self.paths:
            return
        option, path = self.paths[0]
        if self.state == "remounted" and option != "src":
            raise Refused(f"{option}={path} cannot be changed in place", "Use state: mounted.")
        if self.state == "mounted" and self.src_in == "namespace":
            raise Refused(
                f"{option} {path} of the mount on {self.path} cannot be looked up in the namespace:"
                " the kernel would follow any link there",
                "Use src_in: host, with a path of the host.",
            )


def surplus_below(
    paths: t.Iterable[str], above: str, wanted: t.Sequence[WantedMount], layout: Layout
) -> list[str]:
    """Which of the mounted ``paths`` lie below ``above`` and were not asked for, deepest first."""
    top = layout.now(above)
    kept = {layout.now(mount.path) for mount in wanted if mount.state != "unmounted"}
    found = {path for path in paths if path != top and is_below(path, top) and path not in kept}
    return sorted(found, key=lambda path: (-path.count("/"), path))
