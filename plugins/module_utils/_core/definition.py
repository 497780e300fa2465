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
import json
import os
import typing as t

from . import pins
from .errors import Refused
from .layout import Layout, is_below
from .mounts.compare import WantedMount

DIRECTORY = "/etc/linux-namespaces"
VERSION = 1

Step = dict[str, t.Any]


@dataclasses.dataclass
class Definition:
    """``properties`` are those of ns_namespace (kinds and the rest), ``steps`` the ordered list.

    A step is a dictionary with "do": mount, unpack or pivot, and what that takes.
    ``volatile`` are the steps that end with the namespace. ``pivoted`` holds for the namespace
    that lives now: the new roots with the id of the mount that became the root.
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
        """What was done to the namespace's tree; Inside settles which pivots were done."""
        return Layout(
            mounted=tuple(step["path"] for step in self.all_steps if step["do"] == "mount"),
            noted=tuple((pivot["new_root"], pivot["mount"]) for pivot in self.pivoted),
        )

    def within_reach(self, pivoted: t.Collection[str]) -> list[Step]:
        """The steps whose places can still be reached after the pivots to these new roots.

        What was mounted outside of a new root went with the old one.
        """
        found = []
        for index, step in enumerate(self.all_steps):
            path = "" if step["do"] == "pivot" else step["path"]
            for later in self.all_steps[index + 1 :]:
                if not path or later["do"] != "pivot" or later["new_root"] not in pivoted:
                    continue
                new_root = later["new_root"]
                path = (path[len(new_root) :] or "/") if is_below(path, new_root) else ""
            if path or step["do"] == "pivot":
                found.append(step)
        return found

    def find(self, do: str, path: str) -> Step | None:
        """The step of the kind ``do`` at the place that ``path`` names now, or None."""
        index = _index(self.all_steps, do, path)
        return None if index is None else self.all_steps[index]

    def recorded_mount(self, path: str) -> WantedMount | None:
        """The mount recorded for the place that ``path`` names now, or None."""
        step = self.find("mount", path)
        return None if step is None else wanted_of(step)

    def with_step(self, step: Step, *, persistent: bool) -> Definition:
        """This definition with the step: in its old place when it changes one, else last."""
        path = step["new_root"] if step["do"] == "pivot" else step["path"]
        index = _index(self.all_steps, step["do"], path)
        keeps = persistent and self.persistent
        if index is not None and keeps == (index < len(self.steps)):
            changed = self.all_steps
            changed[index] = step
            return self._split(changed, len(self.steps))
        without = self.without_step(step["do"], path)
        if keeps:
            return dataclasses.replace(without, steps=[*without.steps, step])
        return dataclasses.replace(without, volatile=[*without.volatile, step])

    def without_step(self, do: str, path: str) -> Definition:
        """This definition without the step at that place."""
        index = _index(self.all_steps, do, path)
        if index is None:
            return self
        kept = len(self.steps) - (1 if index < len(self.steps) else 0)
        return self._split(self.all_steps[:index] + self.all_steps[index + 1 :], kept)

    def _split(self, steps: list[Step], kept: int) -> Definition:
        return dataclasses.replace(self, steps=steps[:kept], volatile=steps[kept:])


def _place(steps: list[Step], index: int, path: str) -> str:
    """The name of a step's path after all pivots: two steps with the same one share a place.

    What was mounted outside of a new root before that pivot is out of reach after it.
    """
    for position, step in enumerate(steps):
        if step["do"] != "pivot":
            continue
        new_root = step["new_root"]
        if is_below(path, new_root):
            path = path[len(new_root) :] or "/"
        elif index < position:
            return f"before pivot {position}: {path}"
    return path


def _index(steps: list[Step], do: str, path: str) -> int | None:
    if do == "pivot":
        for index, step in enumerate(steps):
            if step["do"] == "pivot" and step["new_root"] == path:
                return index
        return None
    place = _place(steps, len(steps), path)
    for index, step in enumerate(steps):
        if step["do"] == do and _place(steps, index, step["path"]) == place:
            return index
    return None


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
    return f"{DIRECTORY}/{pins.checked_name(name)}.json"


def _state_path(name: str) -> str:
    return f"{pins.directory(name)}/state.json"


def names() -> list[str]:
    """The names that have a definition that outlives a reboot, sorted."""
    with contextlib.suppress(FileNotFoundError):
        found = [name[:-5] for name in os.listdir(DIRECTORY) if name.endswith(".json")]
        return sorted(name for name in found if not name.startswith("."))
    return []


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
    if definition.persistent:
        record = dict(state, properties=definition.properties, steps=definition.steps)
        if not os.path.isdir(DIRECTORY):
            os.makedirs(DIRECTORY, mode=0o755, exist_ok=True)
            _sync(os.path.dirname(DIRECTORY))
        _write(record_path, record)
    else:
        state["properties"] = definition.properties
        forget(definition.name)
    state["steps"] = definition.volatile
    state["pivoted"] = definition.pivoted
    if os.path.isdir(pins.directory(definition.name)):
        _write(state_path, state)


def forget(name: str) -> None:
    """Remove the definition that outlives a reboot, and its directory with the last one."""
    path = _record_path(name)
    for leftover in (path, f"{path}.new"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(leftover)
    try:
        os.rmdir(DIRECTORY)
    except FileNotFoundError:
        return
    except OSError:  # there are others
        _sync(DIRECTORY)
    else:
        _sync(os.path.dirname(DIRECTORY))


def has_record(name: str) -> bool:
    """Whether a definition that outlives a reboot is kept for ``name``."""
    return os.path.exists(_record_path(name))


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
    return t.cast("dict[str, t.Any]", content)


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


def _sync(directory: str) -> None:
    """Have the names in the directory on disk as well: neither lost nor back after a crash."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
