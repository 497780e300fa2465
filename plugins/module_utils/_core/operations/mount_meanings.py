# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_mount notes of the words that the kernel shows in another spelling: see mount/meanings.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths, redact
from ..mount import compare_options, layers

if t.TYPE_CHECKING:
    from ..definition.steps import MountStep
    from ..mount.apply import Applied
    from ..mount.changes import Change
    from ..mount.compare import Observed, Source
    from ..mount.meanings import Key
    from ..mount.table import Mount
    from ..mount.wanted import WantedMount
    from .session import Session

Notes = dict["Key", compare_options.Meaning]


def read(opened: Session) -> Notes:
    """What is noted of the mounts of the target."""
    if opened.is_to_come or not os.path.lexists(host_paths.MEANINGS):
        return {}
    # For a host that has any.
    from ..mount import meanings

    return meanings.read(_namespace_of(opened))


def _namespace_of(opened: Session) -> int:
    if "mnt" in opened.handles.kinds:
        return os.fstat(opened.handles.fd_of("mnt")).st_ino
    return os.stat("self/ns/mnt", dir_fd=opened.host_proc).st_ino


def note(
    opened: Session,
    applied: Applied,
    planned: t.Sequence[Change],
    wanted: t.Sequence[WantedMount],
    *,
    recorded: t.Mapping[int, MountStep],
    sources: t.Mapping[int, Source],
    notes: Notes,
) -> None:
    """Note what the kernel shows of the mounts that were changed, in other words than it was given.

    ``recorded`` are the steps that record the mounts, by index as ``sources``. Raises OSError.
    """
    after = dict(notes)
    changed = {change.wanted for change in planned}
    for index, (mount, seen) in enumerate(zip(wanted, applied.observed)):
        if mount not in changed or seen.mount is None or not mount.options.filesystem:
            continue
        source = sources.get(index)
        pairs = _in_other_words(mount, seen.mount, recorded.get(index), source)
        key = (seen.unique, seen.mount.id)
        after.pop(key, None)
        if pairs:
            after[key] = compare_options.Meaning(
                tuple(compare_options.words(pairs)), seen.mount.options
            )
    if after or notes:
        # For who needs it.
        from ..mount import meanings

        meanings.write(_namespace_of(opened), after, applied.there)


def warnings(
    wanted: t.Sequence[WantedMount],
    observed: t.Sequence[Observed],
    recorded: t.Mapping[int, MountStep],
    sources: t.Mapping[int, Source],
) -> list[str]:
    """A sentence for each mount of what others have mounted too, and whose options may so be others."""
    found = []
    for index, (mount, seen) in enumerate(zip(wanted, observed)):
        if seen.mount is None or not seen.is_shared or mount.state != "mounted":
            continue
        if mount.options.filesystem and mount.fstype == seen.mount.fstype:
            step, source = recorded.get(index), sources.get(index)
            pairs = _in_other_words(mount, seen.mount, step, source, seen.meaning)
            found += [_not_for_itself(mount, seen.mount, pairs)] if pairs else []
    return found


def _not_for_itself(
    wanted: WantedMount, mount: Mount, pairs: t.Iterable[compare_options.Pair]
) -> str:
    words = ",".join(redact.words(compare_options.word(pair) for pair in pairs))
    return (
        f"The {mount.fstype} on {wanted.path} is mounted elsewhere too, and has the options that it got "
        f"there: {','.join(redact.words(mount.options))}. What of {words} they do not say was not taken; "
        "state: remounted changes it for all."
    )


def _in_other_words(
    wanted: WantedMount,
    mount: Mount,
    recorded: MountStep | None,
    source: Source | None,
    meaning: compare_options.Meaning | None = None,
) -> list[compare_options.Pair]:
    names = (source.names if source is not None else None) or {}
    fstype = wanted.fstype if wanted.state == "mounted" else mount.fstype
    changed = compare_options.changed_options(
        fstype, wanted.options, mount, recorded, names, meaning
    )
    return [pair for pair in changed if pair[0] not in layers.KEYS]
