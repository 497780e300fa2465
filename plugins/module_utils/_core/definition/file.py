# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files that keep a definition.

    /etc/linux-namespaces/web.json          what is there again after a reboot
    /run/linux-namespaces/web/state.json    what is true until then, and what is still missing

Steps that are not persistent, and what only holds for the namespace that lives now, are in the
second.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import typing as t

from .. import host_paths, once
from ..errors import Refused
from ..storage import atomic, json_file
from . import boot, steps
from .data import Fields, check_version, shortened, unreadable
from .host_files import HostFile
from .layout import PivotNote
from .model import LINKS, Definition
from .properties import Properties
from .root import OwnRoot

if t.TYPE_CHECKING:
    from .link import Link

DIRECTORY = host_paths.DEFINITIONS
VERSION = 3
# Of definitions that earlier versions read as well: of the first, and of those that knew a root of its own.
_OLDEST, _WITH_ROOT = 1, 2


def path_of(name: str) -> str:
    """The file of a definition that outlives a reboot."""
    return f"{DIRECTORY}/{host_paths.file_name(name)}.json"


def state_path(name: str) -> str:
    """The file of what is true of it until the reboot."""
    return f"{host_paths.kept_in(name)}/state.json"


@once.kept
def names() -> list[str]:
    """The names that have a definition that outlives a reboot, sorted."""
    try:
        found = [name[:-5] for name in os.listdir(DIRECTORY) if name.endswith(".json")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if host_paths.is_name(name))


def naming(word: str) -> list[str]:
    """The names of other definitions that outlive a reboot, and hold the word between quotes."""
    found = []
    for name in names():
        with contextlib.suppress(OSError, ValueError):
            text = json_file.text_of(path_of(name)) if name != word else None
            if text is not None and f'"{word}"' in text:
                found.append(name)
    return found


class _Content(t.NamedTuple):
    """What one of the two files says."""

    properties: Properties
    steps: tuple[steps.Step, ...]
    pivoted: tuple[PivotNote, ...]
    missing: tuple[str, ...]
    own_root: OwnRoot | None
    files: tuple[HostFile, ...]
    links: tuple[Link, ...]


@once.kept
def load(name: str) -> Definition | None:
    """The definition of ``name``, or None where there is none.

    Raises Refused when a file is not one that this version can read.
    """
    atomic.close(DIRECTORY, mode=host_paths.DEFINITIONS_MODE)
    record = _read(path_of(name), name)
    state = _read(state_path(name), name)
    own = record or state
    if own is None:
        return None
    lasting = record.steps if record is not None else ()
    every = (*lasting, *(state.steps if state is not None else ()))
    missing = state.missing if state is not None else ()
    if missing:
        # Somebody may have taken a step out of the record that could not be taken.
        titles = {step.title for step in every} | ({LINKS} if own.links else set())
        missing = tuple(title for title in missing if title in titles)
    if state is None and host_paths.is_directory(host_paths.closed_directory(name)):
        # Somebody has removed it: which are missing nobody knows, so none of them counts as taken.
        missing = (*(step.title for step in lasting), *((LINKS,) if own.links else ()))
    return Definition(
        name=name,
        properties=own.properties,
        persistent=record is not None,
        steps=lasting,
        volatile=state.steps if state is not None else (),
        pivoted=state.pivoted if state is not None else (),
        missing=missing,
        own_root=own.own_root,
        files=own.files,
        links=own.links,
    )


def load_state(name: str) -> Definition | None:
    """What is true until the reboot alone: of what lives now, whatever is to be there after one.

    None where nothing lives. Raises Refused as load() does.
    """
    state = _read(state_path(name), name)
    if state is None:
        return None
    return Definition(
        name,
        state.properties,
        False,
        volatile=state.steps,
        pivoted=state.pivoted,
        missing=state.missing,
        own_root=state.own_root,
        files=state.files,
        links=state.links,
    )


def save_state(definition: Definition) -> None:
    """Write what is true until the reboot alone. The lock is held. Raises OSError."""
    json_file.write(state_path(definition.name), _state(definition))


def save(definition: Definition) -> bool:
    """Write the definition; what is not persistent goes where a reboot forgets it.

    Call it with the lock held. Returns whether systemd has to read anew what it is told of it.
    Raises OSError.
    """
    return Saving(definition).finish()


class Saving:
    """save() in two phases: what there is no room for is known before anything is changed.

    It must be finished or given up. Making it raises OSError, after which nothing is left of it.
    """

    def __init__(self, definition: Definition) -> None:
        self.name = definition.name
        self._definition = definition
        self._files: list[atomic.Beside] = []
        try:
            self._write()
        except OSError:
            self.give_up()
            raise

    def _write(self) -> None:
        definition = self._definition
        own = _own(definition)
        if definition.persistent:
            atomic.make_directory(DIRECTORY, mode=host_paths.DEFINITIONS_MODE)
            atomic.close(DIRECTORY, mode=host_paths.DEFINITIONS_MODE)
            record = {**own, "steps": [step.to_data() for step in definition.steps]}
            self._files.append(json_file.beside(path_of(definition.name), record))
        if host_paths.is_kept(definition.name):
            state = _state(definition)
            self._files.append(json_file.beside(state_path(definition.name), state))

    def finish(self) -> bool:
        """What was to be recorded has been done: record it. Returns and raises what save() does."""
        is_other = False
        try:
            if self._definition.persistent:
                is_other = boot.write(self._definition)
            for file in self._files:
                file.put()
        finally:
            self.give_up()
        if not self._definition.persistent:
            forget(self.name)
        return is_other

    def give_up(self) -> None:
        """Leave nothing of it, where it was not finished."""
        for file in self._files:
            file.drop()
        if not has_record(self.name):
            atomic.remove_directory(DIRECTORY)


def _own(definition: Definition) -> dict[str, t.Any]:
    """What both of the files say."""
    is_new = definition.own_root or definition.properties.share or definition.files
    version = VERSION if definition.links else _WITH_ROOT if is_new else _OLDEST
    own = {"version": version, "name": definition.name}
    own["properties"] = definition.properties.to_data()
    if definition.own_root is not None:
        own["own_root"] = definition.own_root.to_data()
    if definition.files:
        own["files"] = [each.to_data() for each in definition.files]
    if definition.links:
        own["links"] = [each.to_data() for each in definition.links]
    return own


def _state(definition: Definition) -> dict[str, t.Any]:
    """What the file says that a reboot forgets."""
    state = {**_own(definition), "steps": [step.to_data() for step in definition.volatile]}
    state["pivoted"] = [note.to_data() for note in definition.pivoted]
    if definition.missing:
        state["missing"] = list(definition.missing)
    return state


def to_data(definition: Definition) -> dict[str, t.Any]:
    """The JSON form of a definition, but for what is true only of the namespace that lives now."""
    return {
        **_own(definition),
        "persistent": definition.persistent,
        "steps": [step.to_data() for step in definition.steps],
        "volatile": [step.to_data() for step in definition.volatile],
    }


def from_data(data: dict[str, t.Any], name: str) -> Definition:
    """The definition of the namespace of that name in a JSON form. Raises ValueError."""
    left = dict(data)
    persistent, volatile = left.pop("persistent", None), left.pop("volatile", None)
    lasting = _content_of(left, name)
    passing = _content_of({**left, "steps": volatile}, name)
    if not isinstance(persistent, bool):
        raise ValueError("it does not say whether the namespace is persistent")
    return Definition(
        name,
        lasting.properties,
        persistent,
        lasting.steps,
        passing.steps,
        own_root=lasting.own_root,
        files=lasting.files,
        links=lasting.links,
    )


def forget(name: str) -> None:
    """Remove the definition that outlives a reboot, and its directory with the last one."""
    atomic.remove(path_of(name))
    atomic.remove_directory(DIRECTORY)
    boot.forget(name)


def forget_state(name: str) -> None:
    """Remove what is true of ``name`` until the reboot."""
    atomic.remove(state_path(name))


def archives_of(definition: Definition) -> set[str]:
    """The archives that a definition unpacks."""
    roots = [step for step in definition.all_steps if isinstance(step, steps.RootStep)]
    return {step.archive for step in roots if step.archive}


def has_record(name: str) -> bool:
    """Whether a definition that outlives a reboot is kept for ``name``."""
    return os.path.lexists(path_of(name))


def has_state(name: str) -> bool:
    """Whether it is written down what is true of ``name`` until the reboot."""
    return os.path.lexists(state_path(name))


def has_files(name: str) -> bool:
    """Whether forget() has something to do, be it what a killed run was writing."""
    return atomic.is_there(path_of(name))


def _read(path: str, name: str) -> _Content | None:
    try:
        text = json_file.closed_text_of(path)
        return None if text is None else _content_in(text, path, name)
    except ValueError as error:
        raise Refused(
            f"{path} is damaged: {error}", "Mend it, or remove it and run the play again."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


# Who works on a namespace asks again and again, and gets what does not change (both files, before and after).
@functools.lru_cache(maxsize=4)
def _content_in(text: str, path: str, name: str) -> _Content:
    """What the text of the file says. Raises ValueError, Refused."""
    found = json_file.object_of(text)
    version = found.get("version")
    if version in range(_OLDEST, VERSION + 1) and not isinstance(version, bool):
        return _content_of(found, name)
    check_version(path, found, VERSION)
    raise ValueError("it does not say of which version it is")


def _content_of(found: dict[str, t.Any], name: str) -> _Content:
    """What a file of the namespace ``name`` says. Raises ValueError."""
    fields = Fields(found, "the definition")
    fields.take("version", int)
    own = fields.take("name", str)
    if own != name:
        # A copy, or a link to another's: what it says of roots and pivots is that one's.
        raise ValueError(f"it is of namespace {shortened(own)!r}")
    properties = Properties.from_data(fields.take("properties", dict))
    listed = enumerate(fields.take("steps", list, []), start=1)
    every = tuple(steps.from_data(each, f"step {number}") for number, each in listed)
    noted = fields.take("pivoted", list, [])
    missing = fields.texts("missing", [])
    own_root = fields.maybe("own_root", dict)
    files = tuple(HostFile.from_data(each) for each in fields.take("files", list, []))
    linked = fields.take("links", list, [])
    fields.done()
    begun = [PivotNote.from_data(Fields(each, "a pivot that was begun")) for each in noted]
    root = None if own_root is None else OwnRoot.from_data(own_root)
    return _Content(properties, every, tuple(begun), missing, root, files, _links_of(linked))


def _links_of(listed: list[t.Any]) -> tuple[Link, ...]:
    if not listed:
        return ()
    return _links_in(json.dumps(listed))


# Both files have them, before and after each change of something else.
@functools.lru_cache(maxsize=4)
def _links_in(text: str) -> tuple[Link, ...]:
    # 20 ms to compile, with what it loads, for a namespace that has none.
    from . import link_file

    return link_file.of_data(json.loads(text))
