# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_mount did or would do, and how a diff shows it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import redact
from ..definition.steps import MountStep
from ..mount.compare import Observed
from ..mount.table import Mount
from ..mount.wanted import WantedMount

if t.TYPE_CHECKING:
    from ..definition.steps import Step
    from ..mount.changes import Change

# What a line of a diff ends with that is about the definition, behind a path.
RECORDED = " in the definition"
# A step that mounts on a path, and whether it outlives a reboot.
Recorded = tuple[MountStep, bool]


class MountResult(t.NamedTuple):
    """What was (or in check mode: would be) done, and the mounts at the wanted paths."""

    actions: list[str]
    # Those that are there.
    mounts: list[Mount]
    persistent: bool
    wanted: tuple[WantedMount, ...]
    # What was at the place of each wanted mount.
    observed: list[Observed]
    planned: list[Change]
    # What the definition had for each of them, and has then.
    recorded: list[Recorded | None]
    to_record: list[Recorded | None]
    # What goes from the definition with what is unmounted.
    gone: list[Step]
    warnings: list[str]

    @property
    def left_out(self) -> list[str]:
        """That a mount is not made, and why: its source does not exist, and need not (nofail)."""
        made = {change.wanted for change in self.planned}
        found = []
        for mount, seen in zip(self.wanted, self.observed):
            reason = mount.left_out
            if mount.may_be_absent_inside and seen.mount is None and mount not in made:
                reason = f"{mount.src} does not exist in the target"
            if reason:
                found.append(left_out_in_words(mount.path, reason))
        return found

    @property
    def before(self) -> dict[str, str]:
        """A line for each wanted path: what was there, and in the definition where that changes."""
        gone = {f"{step.title}{RECORDED}": "recorded" for step in self.gone}
        return {**_described(self.wanted, self.observed, ()), **self._noted(self.recorded), **gone}

    @property
    def after(self) -> dict[str, str]:
        """A line for each path that is wanted or changes: what is there then."""
        lines = _described(self.wanted, self.observed, self.planned)
        gone = {f"{step.title}{RECORDED}": "nothing" for step in self.gone}
        return {**lines, **self._noted(self.to_record), **gone}

    def _noted(self, side: list[Recorded | None]) -> dict[str, str]:
        return {
            f"{mount.path}{RECORDED}": _line_of_recorded(found)
            + (_changed_secrets(old, new) if found is new else "")
            for mount, old, new, found in zip(self.wanted, self.recorded, self.to_record, side)
            if old != new
        }


def left_out_in_words(path: str, reason: str) -> str:
    """What whoever asked for the mount is told where nofail lets it be left out."""
    return f"the mount on {path} is left out: {reason}, as nofail allows"


def _described(
    wanted: t.Sequence[WantedMount], observed: t.Sequence[Observed], planned: t.Sequence[Change]
) -> dict[str, str]:
    touched = {action.wanted for action in planned}
    lines = {}
    for mount, seen in zip(wanted, observed):
        if mount in touched:
            lines[mount.path] = _line_of_wanted(mount)
        elif seen.mount is None:
            lines[mount.path] = "not mounted"
        else:
            lines[mount.path] = _line_of_mount(seen.mount)
    # What nobody asked for.
    for surplus in touched.difference(wanted):
        lines[surplus.path] = "not mounted"
    return lines


def _line_of_wanted(wanted: WantedMount) -> str:
    return "not mounted" if wanted.state == "unmounted" else wanted.line


def _line_of_mount(mount: Mount) -> str:
    words = ",".join(redact.words((*mount.flags, *mount.options)))
    return " ".join([mount.fstype, redact.address(mount.src) or "none", words, mount.propagation])


def _changed_secrets(old: Recorded | None, new: Recorded | None) -> str:
    """That a secret changes, which the lines do not show."""
    if old is None or new is None:
        return ""
    names = redact.changed(old[0].words, new[0].words)
    return f", another {', another '.join(names)}" if names else ""


def _line_of_recorded(recorded: Recorded | None) -> str:
    if recorded is None:
        return "nothing"
    step, lasts = recorded
    where = "" if step.src_in == "host" else ", the source in the namespace"
    return f"{step.line}{where}{'' if lasts else ', until a reboot'}"
