# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The steps of a definition: what is done in a namespace, in order, whenever it comes up.

A kind of step is one class here, and an operation that carries it out. The key "do" of its JSON form
names it.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import redact
from ..values import Value
from .data import Fields, shortened

# The words that the options of modules take, in the order of their documentation.
PROPAGATIONS = (
    "private",
    "slave",
    "shared",
    "unbindable",
    "rprivate",
    "rslave",
    "rshared",
    "runbindable",
)
PLACES_OF_SOURCES = ("host", "namespace")
DEVICE_NODES = ("keep", "skip")
# What names a device in src by what is on it (fstab(5)): see tag.py.
TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID")


def line_of(data: t.Mapping[str, t.Any]) -> str:
    """What is mounted by a step of this JSON form, which has no secrets, in a line for people."""
    words = [data["fstype"] or "bind", data["src"] or "none", ",".join(data["opts"]) or "defaults"]
    return " ".join([*words, data.get("propagation", "")]).strip()


class MountStep(Value):
    """A mount, as ns_mount makes it."""

    __slots__ = ("fstype", "path", "propagation", "src", "src_in", "words")
    do = "mount"

    def __init__(
        self,
        path: str,
        src: str = "",
        fstype: str = "",
        words: tuple[str, ...] = (),
        propagation: str = "",
        src_in: str = "host",
    ) -> None:
        # Where, as it was called when the step was recorded.
        self.path = path
        self.src = src
        self.fstype = fstype
        # The words of opts.
        self.words = words
        # Empty leaves what the kernel gives to a new mount.
        self.propagation = propagation
        # Where the source of a bind is looked up: host or namespace.
        self.src_in = src_in

    def key(self) -> tuple[str, str]:
        """What tells it from other steps: two with the same do the same at the same place."""
        return self.do, self.path

    @property
    def has_tag(self) -> bool:
        """Whether src names a device by what is on it."""
        name, has_value, _value = self.src.partition("=")
        return bool(has_value) and name in TAGS

    @property
    def may_be_absent(self) -> bool:
        """Whether it is no error that its device does not exist (nofail)."""
        return "nofail" in self.words

    @property
    def only_if_asked(self) -> bool:
        """Whether it is left out where a namespace comes up by itself (noauto)."""
        asked = [word for word in self.words if word in ("auto", "noauto")]
        return asked[-1:] == ["noauto"]

    def shown(self) -> MountStep:
        """This without secrets."""
        words = tuple(redact.words(self.words))
        return self.replace(src=redact.address(self.src), words=words)

    @property
    def title(self) -> str:
        """The same, for people."""
        return f"the mount on {self.path}"

    @property
    def line(self) -> str:
        """What is mounted, in a line for people."""
        return line_of(self.shown().to_data())

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form, which has its secrets: the mount is made of it again."""
        data: dict[str, t.Any] = {"do": self.do, "path": self.path, "src": self.src}
        data.update(fstype=self.fstype, opts=list(self.words))
        if self.propagation:
            data["propagation"] = self.propagation
        if self.src_in != "host":
            data["src_in"] = self.src_in
        return data

    @classmethod
    def from_data(cls, fields: Fields) -> MountStep:
        """The step of a JSON form. Raises ValueError."""
        return cls(
            path=fields.text("path"),
            src=fields.text("src"),
            fstype=fields.text("fstype"),
            words=fields.texts("opts"),
            propagation=fields.word("propagation", PROPAGATIONS, ""),
            src_in=fields.word("src_in", PLACES_OF_SOURCES, "host"),
        )


class RootStep(Value):
    """A root file system, as ns_rootfs unpacks it.

    It comes from one of two: an archive, the user's own or one that was kept of an image or a
    bootstrap (rootfs/sources/cache.py), or a directory.
    """

    __slots__ = ("archive", "device_nodes", "digest", "directory", "path")
    do = "unpack"
    may_be_absent = only_if_asked = False  # see MountStep

    def __init__(
        self,
        path: str,
        archive: str = "",
        directory: str = "",
        digest: str = "",
        device_nodes: str = "keep",
    ) -> None:
        self.path = path
        self.archive = archive
        self.directory = directory
        # What the source has to have. Empty where nobody asked for it, for a directory alone:
        # that is copied as it is whenever the namespace comes up, as a bind shows what is there
        # then.
        self.digest = digest
        # keep or skip.
        self.device_nodes = device_nodes

    def key(self) -> tuple[str, str]:
        """See MountStep."""
        return self.do, self.path

    @property
    def title(self) -> str:
        """See MountStep."""
        return f"the root at {self.path}"

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data: dict[str, t.Any] = {"do": self.do, "path": self.path}
        if self.directory:
            data["directory"] = self.directory
        else:
            data["archive"] = self.archive
        if self.digest or not self.directory:
            data["digest"] = self.digest
        if self.device_nodes != "keep":
            data["device_nodes"] = self.device_nodes
        return data

    @classmethod
    def from_data(cls, fields: Fields) -> RootStep:
        """The step of a JSON form. Raises ValueError."""
        directory = fields.text("directory", "")
        return cls(
            path=fields.text("path"),
            archive="" if directory else fields.text("archive"),
            directory=directory,
            digest=fields.text("digest", "" if directory else None),
            device_nodes=fields.word("device_nodes", DEVICE_NODES, "keep"),
        )


class PivotStep(Value):
    """A pivot, as ns_pivot_root makes it."""

    __slots__ = ("new_root", "put_old")
    do = "pivot"
    may_be_absent = only_if_asked = False  # see MountStep

    def __init__(self, new_root: str, put_old: str = "") -> None:
        self.new_root = new_root
        # Where the old root is kept; empty where it goes.
        self.put_old = put_old

    @property
    def path(self) -> str:
        """The path that the step is about, as that of other steps."""
        return self.new_root

    def key(self) -> tuple[str, str]:
        """See MountStep. A pivot is known by its new root alone."""
        return self.do, self.new_root

    @property
    def title(self) -> str:
        """See MountStep."""
        return f"the pivot to {self.new_root}"

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data = {"do": self.do, "new_root": self.new_root}
        if self.put_old:
            data["put_old"] = self.put_old
        return data

    @classmethod
    def from_data(cls, fields: Fields) -> PivotStep:
        """The step of a JSON form. Raises ValueError."""
        return cls(new_root=fields.text("new_root"), put_old=fields.text("put_old", ""))


Step = t.Union[MountStep, RootStep, PivotStep]
KINDS: dict[str, type[MountStep] | type[RootStep] | type[PivotStep]] = {
    kind.do: kind for kind in (MountStep, RootStep, PivotStep)
}


def from_data(data: t.Any, what: str) -> Step:
    """The step of a JSON form; ``what`` it is, for messages: "step 2". Raises ValueError."""
    fields = Fields(data, what)
    do = fields.take("do", str)
    if do not in KINDS:
        raise ValueError(f"{what} does {shortened(do)!r}, not one of {', '.join(KINDS)}")
    step = KINDS[do].from_data(fields)
    fields.done()
    return step
