# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a named namespace should be: its definition, kept on the host, and its steps.

    /etc/linux-namespaces/web.json          what is there again after a reboot
    /run/linux-namespaces/web/state.json    what is true until then

The first is to a named namespace what /etc/fstab is to the host's mounts. Steps that are not
persistent, and what only holds for the namespace that lives now, are in the second.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import typing as t

from . import host_paths
from .errors import Refused
from .layout import Layout, Note
from .mounts.compare import WantedMount
from .places import Places, Step, name_after, path_of, pivots_of

DIRECTORY = "/etc/linux-namespaces"
VERSION = 1
# What each kind of step takes at least.
_NEEDED = {
    "mount": ("path", "src", "fstype", "opts"),
    "unpack": ("path", "archive", "digest"),
    "pivot": ("new_root",),
}


@dataclasses.dataclass
class Definition:
    """``properties`` are those of ns_namespace (kinds and the rest), ``steps`` the ordered list.

    A step is a dictionary with "do": mount, unpack or pivot, and what that takes.
    ``volatile`` are the steps that end with the namespace. ``pivoted`` holds for the namespace
    that lives now: the fields of a layout.Note each.
    """

    name: str
    properties: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    persistent: bool = True
    steps: list[Step] = dataclasses.field(default_factory=list)
    volatile: list[Step] = dataclasses.field(default_factory=list)
    pivoted: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)

    @property
    def all_steps(self) -> list[Step]:
        """The steps of both files."""
        return self.steps + self.volatile

    @property
    def layout(self) -> Layout:
        """What was done to the namespace's tree; Inside settles which pivots were done.

        Mounts count until the first pivot: what is mounted later has names that belong to the
        new root, where nothing has to be told apart from the host's any more.
        """
        before = itertools.takewhile(lambda step: step["do"] != "pivot", self.steps)
        first = itertools.chain(before, self.volatile)
        return Layout(
            mounted=frozenset(each["path"] for each in first if each["do"] == "mount"),
            noted=tuple(Note(**pivot) for pivot in self.pivoted),
        )

    def within_reach(self, pivoted: t.Collection[str]) -> list[Step]:
        """The steps whose places can still be reached after the pivots to these new roots.

        What was mounted outside of a new root went with the old one.
        """
        every = self.all_steps
        pivots = pivots_of(every, pivoted)
        return [
            step
            for index, step in enumerate(every)
            if step["do"] == "pivot" or name_after(path_of(step), index, pivots)[1] is None
        ]

    def find(self, do: str, path: str) -> Step | None:
        """The step of the kind ``do`` at the place that ``path`` names now, or None."""
        return self.find_all(do, [path])[0]

    def find_all(self, do: str, named: t.Iterable[str]) -> list[Step | None]:
        """What find() answers for each of these paths."""
        every = self.all_steps
        places = Places(every)
        indexes = [places.index(do, path) for path in named]
        return [None if index is None else every[index] for index in indexes]

    def with_step(self, step: Step, *, persistent: bool) -> Definition:
        """This definition with the step: in its old place when it changes one, else last."""
        return self.with_changes([(step["do"], path_of(step), step)], persistent=persistent)

    def without_step(self, do: str, path: str) -> Definition:
        """This definition without the step at that place."""
        return self.with_changes([(do, path, None)], persistent=True)

    def with_changes(
        self, changes: t.Iterable[tuple[str, str, Step | None]], *, persistent: bool
    ) -> Definition:
        """This definition with many steps set, or with None removed: (do, path, step) each.

        What changes a step stands in its old place, under the path that it has there: before a
        pivot another one would name another place. What is new comes last, in this order.
        """
        keeps = persistent and self.persistent
        every = [(step, index < len(self.steps)) for index, step in enumerate(self.all_steps)]
        places = Places([step for step, _kept in every])
        removed = set()
        added: list[tuple[Step, bool]] = []
        for do, path, new in changes:
            index = places.index(do, path)
            if new is not None and index is not None and every[index][1] == keeps:
                old = every[index][0]
                every[index] = ({**new, "path": old["path"]} if "path" in old else new, keeps)
                continue
            if index is not None:
                removed.add(index)
            if new is not None:
                added.append((new, keeps))
        left = [pair for index, pair in enumerate(every) if index not in removed] + added
        return dataclasses.replace(
            self,
            steps=[step for step, kept in left if kept],
            volatile=[step for step, kept in left if not kept],
        )


def mount_step(wanted: WantedMount) -> Step:
    """The step that records a mount."""
    step: Step = {"do": "mount", "path": wanted.path, "src": wanted.src, "fstype": wanted.fstype}
    step["opts"] = list(wanted.words)
    if wanted.propagation:
        step["propagation"] = wanted.propagation
    if wanted.src_in != "host":
        step["src_in"] = wanted.src_in
    return step


def wanted_of(step: Step) -> WantedMount:
    """The mount that a step records."""
    return WantedMount(
        path=step["path"],
        src=step["src"],
        fstype=step["fstype"],
        words=tuple(step["opts"]),
        propagation=step.get("propagation", ""),
        src_in=step.get("src_in", "host"),
    )


def _record_path(name: str) -> str:
    return f"{DIRECTORY}/{host_paths.checked_name(name)}.json"


def _state_path(name: str) -> str:
    return f"{host_paths.directory(name)}/state.json"


def names() -> list[str]:
    """The names that have a definition that outlives a reboot, sorted."""
    try:
        found = [name[:-5] for name in os.listdir(DIRECTORY) if name.endswith(".json")]
    except FileNotFoundError:
        return []
    return sorted(name for name in found if host_paths.is_name(name))


def load(name: str) -> Definition | None:
    """The definition of ``name``, or None where there is none.

    Raises Refused when a file is not one that this version can read.
    """
    record = _read(_record_path(name))
    state = _read(_state_path(name))
    if record is None and state is None:
        return None
    state = state or {}
    own = record if record is not None else state
    return Definition(
        name=name,
        properties=own.get("properties", {}),
        persistent=record is not None,
        steps=record.get("steps", []) if record is not None else [],
        volatile=state.get("steps", []),
        pivoted=state.get("pivoted", []),
    )


def save(definition: Definition) -> None:
    """Write the definition; what is not persistent goes where a reboot forgets it.

    Call it with the lock held. Raises OSError.
    """
    record_path, state_path = _record_path(definition.name), _state_path(definition.name)
    state: dict[str, t.Any] = {"version": VERSION, "name": definition.name}
    state["properties"] = definition.properties
    if definition.persistent:
        record = dict(state, steps=definition.steps)
        if not os.path.isdir(DIRECTORY):
            os.makedirs(DIRECTORY, mode=0o755, exist_ok=True)
            _sync(os.path.dirname(DIRECTORY))
        _write(record_path, record)
    state.update(steps=definition.volatile, pivoted=definition.pivoted)
    if os.path.isdir(host_paths.directory(definition.name)):
        _write(state_path, state)
    if not definition.persistent:
        forget(definition.name)


def forget(name: str) -> None:
    """Remove the definition that outlives a reboot, and its directory with the last one."""
    _unlink(_record_path(name))
    try:
        os.rmdir(DIRECTORY)
    except FileNotFoundError:
        return
    except OSError:  # there are others
        _sync(DIRECTORY)
    else:
        _sync(os.path.dirname(DIRECTORY))


def forget_state(name: str) -> None:
    """Remove what is true of ``name`` until the reboot."""
    _unlink(_state_path(name))


def archives(of: t.Iterable[str]) -> set[str]:
    """The archives that the definitions of these names unpack. Raises Refused as load() does."""
    every = [definition for definition in map(load, of) if definition is not None]
    return {
        step["archive"]
        for definition in every
        for step in definition.all_steps
        if "archive" in step
    }


def has_record(name: str) -> bool:
    """Whether a definition that outlives a reboot is kept for ``name``."""
    return os.path.exists(_record_path(name))


def has_files(name: str) -> bool:
    """Whether forget() has something to do, be it what a killed run was writing."""
    return has_record(name) or os.path.exists(f"{_record_path(name)}.new")


def _read(path: str) -> dict[str, t.Any] | None:
    try:
        with open(path, encoding="utf-8") as record:
            content = json.load(record)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except ValueError as error:
        raise Refused(f"{path} is damaged: {error}", "Remove it and run the play again.") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise Refused(
            f"{path} has version {version}, this collection reads version {VERSION}",
            "Use the version of the collection that wrote it, or remove the file.",
        )
    found = t.cast("dict[str, t.Any]", content)
    for number, step in enumerate(found.get("steps", []), start=1):
        missing = _missing(step)
        if missing:
            raise Refused(
                f"{path} is damaged: step {number} has no {missing}",
                "Mend it, or remove it and run the play again.",
            )
    return found


def _missing(step: t.Any) -> str:
    """What a step lacks, which people edit too, or "" for nothing."""
    if not isinstance(step, dict) or step.get("do") not in _NEEDED:
        return f"do: {', '.join(_NEEDED)}"
    return ", ".join(key for key in _NEEDED[step["do"]] if key not in step)


def _write(path: str, content: dict[str, t.Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=True) + "\n"
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as old:
        if old.read() == text:
            return
    beside = f"{path}.new"
    fd = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as record:
        record.write(text)
        record.flush()
        os.fsync(record.fileno())
    os.rename(beside, path)
    _sync(os.path.dirname(path))


def _unlink(path: str) -> None:
    for leftover in (path, f"{path}.new"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(leftover)


def _sync(directory: str) -> None:
    """Have the names in the directory on disk as well: neither lost nor back after a crash."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
