# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What words of mount(8) came to mean: how the kernel showed a mount right after it got them.

Each file system spells its options as it likes, compress=zstd as compress=zstd:3, and no table could
keep up with them all. So where a mount shows something else than it was given, both are noted, until
the mount is gone; on a tmpfs, since a reboot takes all mounts. Only root can keep notes; without one
the words count as different, and are set once more.

    /run/linux-namespaces.meanings/ID.json   of the mount namespace with this id

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..definition.data import Fields
from ..host_paths import MEANINGS
from ..process import proc
from ..storage import atomic, json_file
from . import table
from .compare_options import Meaning

# An id that no later mount gets (from Linux 6.8 on), and the one in the mount table.
Key = tuple[int, int]


def read(namespace: int) -> dict[Key, Meaning]:
    """What is noted of the mounts of the namespace with this id; nothing where that is damaged."""
    try:
        content = json_file.read(_path(namespace))
        return _parsed(content) if content is not None else {}
    except (OSError, ValueError):
        return {}


def _parsed(content: dict[str, t.Any]) -> dict[Key, Meaning]:
    found = {}
    whole = Fields(content, "the notes")
    for data in whole.take("mounts", list):
        fields = Fields(data, "a note")
        key = (fields.take("unique", int), fields.take("id", int))
        found[key] = Meaning(fields.texts("given"), fields.texts("shown"))
    return found


def write(namespace: int, notes: t.Mapping[Key, Meaning], there: t.Container[int]) -> None:
    """Note these, and drop those of mounts that are not ``there`` any more, by their ids in the table.

    A caller who may not keeps none. Raises OSError.
    """
    if os.geteuid() != 0:
        return
    kept = {key: note for key, note in notes.items() if key[1] in there}
    path = _path(namespace)
    if kept:
        atomic.make_directory(MEANINGS, mode=0o700)
        mounts = [
            {"unique": unique, "id": listed, "given": [*note.given], "shown": [*note.shown]}
            for (unique, listed), note in sorted(kept.items())
        ]
        json_file.write(path, {"mounts": mounts})
    elif os.path.lexists(path):
        atomic.remove(path)
    _sweep()


def forget(namespace: int) -> None:
    """Drop what is noted of a namespace that goes. Raises OSError."""
    path = _path(namespace)
    if os.path.lexists(path):
        atomic.remove(path)
        _sweep()


def _sweep() -> None:
    """Drop what is noted of namespaces that are gone."""
    with contextlib.suppress(OSError):
        names = os.listdir(MEANINGS)
        live = {_name(number) for number in _live()} if len(names) > 1 else set(names)
        for name in set(names) - live:
            atomic.remove(f"{MEANINGS}/{name}")
        os.rmdir(MEANINGS)  # fails while there are any


def _live() -> t.Iterator[int]:
    """The ids of the mount namespaces that a process or a pin of the host keeps alive."""
    for pid in proc.all_pids():
        yield proc.ids_of_process(pid, ["mnt"]).get("mnt", 0)
    for mount in table.read(only="mnt:["):
        number = mount.root.removeprefix("mnt:[").removesuffix("]")
        yield int(number) if number.isdecimal() else 0


def _name(namespace: int) -> str:
    return f"{namespace}.json"


def _path(namespace: int) -> str:
    return f"{MEANINGS}/{_name(namespace)}"
