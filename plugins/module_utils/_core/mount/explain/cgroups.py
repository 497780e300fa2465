# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why a hierarchy of control groups was not mounted (cgroups(7), cgroup v1).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .. import table
from .failure import NOTHING, Failure

if t.TYPE_CHECKING:
    from ...actions import Answer

# Words of its options that name no controller.
_OTHER_WORDS = (
    "none",
    "all",
    "noprefix",
    "clone_children",
    "cpuset_v2_mode",
    "xattr",
    "favordynmods",
)
_FIRST_NAMESPACE = "cgroup:[4026531835]"  # PROC_CGROUP_INIT_INO of the kernel
_MOST = 3  # hierarchies that are named
_UNIFIED = 0  # the hierarchy of cgroup2, in /proc/cgroups


def by_hierarchy(failed: Failure) -> Answer:
    """EBUSY: which hierarchy has the controllers already. EPERM: who may make a new one."""
    wanted = failed.wanted
    if wanted.fstype not in ("cgroup", "cpuset") or not failed.is_making:
        return NOTHING
    if not failed.is_any(errno.EPERM, errno.EBUSY):
        return NOTHING
    hierarchies = of_controllers(failed.text_in_proc("cgroups"))
    given = dict(wanted.options.filesystem)
    asked = {key for key, value in given.items() if value is None and key not in _OTHER_WORDS}
    if wanted.fstype == "cpuset":
        asked = {"cpuset"}
    rows = _rows(failed)
    named = _named(given.get("name") or "", rows)
    if failed.is_any(errno.EPERM):
        numbers = {hierarchies.get(each, _UNIFIED) for each in asked}
        if named is not None or (len(numbers) == 1 and numbers != {_UNIFIED}) or _is_first(failed):
            return NOTHING  # it is there: who may mount it is said of rights
        return (
            "a new hierarchy of cgroup v1 cannot be made in a cgroup namespace of its own",
            "Bind one of the host (src_in: host), or name the controllers of one that it has.",
        )
    if named is not None:
        return (
            f"the hierarchy name={given['name']} has other controllers: {_shown(named)}",
            f"Ask for that one alone: opts none,name={given['name']}. Or give another name.",
        )
    return _taken(asked or set(hierarchies), hierarchies, rows)


def _is_first(failed: Failure) -> bool:
    """Whether the call was made in the first cgroup namespace, in which all can be made."""
    with failed.host_proc() as host_proc, contextlib.suppress(OSError):
        return os.readlink("self/ns/cgroup", dir_fd=host_proc) == _FIRST_NAMESPACE
    return False


def _named(name: str, rows: t.Iterable[table.Mount]) -> table.Mount | None:
    """A mount of the hierarchy with this name."""
    if not name:
        return None
    named = (row for row in rows if row.fstype == "cgroup")
    return next((row for row in named if f"name={name}" in row.options), None)


def _taken(
    asked: t.Collection[str], hierarchies: t.Mapping[str, int], rows: t.Sequence[table.Mount]
) -> Answer:
    """Which hierarchies have these controllers."""
    places: list[str] = []
    words: list[str] = []
    binds: list[str] = []
    numbers = {hierarchies[each] for each in asked if each in hierarchies}
    # Of cgroup2 they may be taken, unless groups use them there.
    for number in sorted(numbers - {_UNIFIED}) or sorted(numbers):
        together = sorted(each for each, other in hierarchies.items() if other == number)
        row = _row_of(number, together, rows)
        if number == _UNIFIED and row is None:
            continue
        ours = ", ".join(sorted(set(asked).intersection(together)))
        where = f"that on {row.path} of the host" if row is not None else "one that is not mounted"
        if len(places) == _MOST:
            places.append("others elsewhere")
            break
        places.append(f"{ours} in {where}")
        words += [] if number == _UNIFIED else [",".join(together)]
        binds += [] if row is None else [row.path]
    if not places:
        return NOTHING
    hint = f"Mount each as it is there (opts: {' or '.join(words)})" if words else "Mount cgroup2"
    hint += f", or bind it: src {' or '.join(binds)}." if binds else "."
    return f"controllers are in hierarchies that are there already: {'; '.join(places)}", hint


def _row_of(
    number: int, together: t.Collection[str], rows: t.Iterable[table.Mount]
) -> table.Mount | None:
    """A mount of the hierarchy that has these controllers."""
    if number == _UNIFIED:
        return next((row for row in rows if row.fstype == "cgroup2"), None)
    of_version_1 = (row for row in rows if row.fstype == "cgroup")
    return next((row for row in of_version_1 if set(together) <= set(row.options)), None)


def of_controllers(text: str) -> dict[str, int]:
    """The number of the hierarchy that has each controller, by the text of /proc/cgroups. Pure.

    Those that are switched off (cgroup_disable=) are left out.
    """
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {line[0]: int(line[1]) for line in lines if len(line) == 4 and line[3] == "1"}


def _shown(row: table.Mount) -> str:
    words = [word for word in row.options if word not in ("rw", "ro") and "=" not in word]
    return ",".join(words) or "none"


def _rows(failed: Failure) -> list[table.Mount]:
    """The host's mounts, or those that can be seen."""
    with failed.host_proc() as host_proc, contextlib.suppress(OSError):
        return table.read("1/mountinfo", dir_fd=host_proc)
    return failed.rows()
