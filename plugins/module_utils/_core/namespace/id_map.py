# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The id maps of a user namespace: which ids inside are which outside (user_namespaces(7)).

Everything but IdMaps.write() and Caller.of_this_process() is pure.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
import subprocess
import typing as t

from ..errors import Refused
from ..printable import in_sentence
from ..process import capabilities, proc

SUBUID = "/etc/subuid"
SUBGID = "/etc/subgid"

# (uid_t)-1 is no id, so that a range ends before it.
_IDS = (1 << 32) - 1
# Both from map_write() in kernel/user_namespace.c: 340 since Linux 4.15, and less than a page.
_MOST_RANGES = 340
_LONGEST_MAP = 4096


@dataclasses.dataclass(frozen=True)
class Range:
    """A line of /proc/PID/uid_map (user_namespaces(7))."""

    # The first id in the namespace.
    inside: int
    # What that is in the parent.
    outside: int
    count: int

    def __str__(self) -> str:
        return (
            f"inside {_span(self.inside, self.count)} = outside {_span(self.outside, self.count)}"
        )


_FIELDS = ("inside", "outside", "count")


@dataclasses.dataclass(frozen=True)
class Subordinate:
    """A line of subuid(5): ids that a user may map."""

    first: int
    count: int


class Caller(t.NamedTuple):
    """Who makes the namespace."""

    uid: int
    gid: int
    # Empty for a uid without one.
    name: str
    # What it may map besides itself.
    uids: tuple[Subordinate, ...] = ()
    gids: tuple[Subordinate, ...] = ()

    @classmethod
    def of_this_process(cls) -> Caller:
        """The caller itself, with its lines in /etc/subuid and /etc/subgid."""
        uid, gid = os.geteuid(), os.getegid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = ""
        uids, gids = (
            tuple(subordinates(_text_of(path), uid=uid, name=name)) for path in (SUBUID, SUBGID)
        )
        return cls(uid, gid, name, uids, gids)


class IdMaps(t.NamedTuple):
    """The two maps of a user namespace. Make it with parse()."""

    uid: tuple[Range, ...]
    gid: tuple[Range, ...]

    def as_data(self) -> dict[str, list[dict[str, int]]]:
        """In the form of the option ``id_map``, for definitions and results."""
        return {
            "uid": [dataclasses.asdict(each) for each in self.uid],
            "gid": [dataclasses.asdict(each) for each in self.gid],
        }

    def write(self, pid: int) -> None:
        """Give the new user namespace of the process ``pid`` these maps, from outside of it.

        Directly where the caller has CAP_SETUID and CAP_SETGID, or maps itself alone; through
        newuidmap(1) and newgidmap(1) otherwise. Raises KernelError, Refused.
        """
        # A map is written in one go: there is no second one (user_namespaces(7)).
        if capabilities.has("setgid"):
            proc.write(f"/proc/{pid}/gid_map", _text(self.gid))
        elif _is_only(self.gid, os.getegid()):
            # Who leaves a group might get more rights by it: the kernel takes the map of an
            # unprivileged caller only where nobody can (CVE-2014-8989).
            proc.write(f"/proc/{pid}/setgroups", "deny")
            proc.write(f"/proc/{pid}/gid_map", _text(self.gid))
        else:
            _run_helper("newgidmap", pid, self.gid)
        if capabilities.has("setuid") or _is_only(self.uid, os.geteuid()):
            proc.write(f"/proc/{pid}/uid_map", _text(self.uid))
        else:
            _run_helper("newuidmap", pid, self.uid)


def parse(value: t.Any, caller: Caller) -> IdMaps:
    """The maps that the option ``id_map`` asks for. Raises Refused.

    ``root``: the caller is root inside, and nobody else is there. ``current``: the caller is
    itself inside. ``auto``: root inside and its subordinate ids, from 1 on; for a caller that
    is root its subordinate ids alone, from 0 on, so that root inside is nobody outside. A
    dictionary of ``uid`` and ``gid``: lists of ranges with ``inside``, ``outside``, ``count``.
    """
    if value == "root":
        return IdMaps((Range(0, caller.uid, 1),), (Range(0, caller.gid, 1),))
    if value == "current":
        return IdMaps((Range(caller.uid, caller.uid, 1),), (Range(caller.gid, caller.gid, 1),))
    if value == "auto":
        return _checked_maps(
            _auto(caller.uid, caller.uids, SUBUID, caller),
            _auto(caller.gid, caller.gids, SUBGID, caller),
        )
    if not isinstance(value, t.Mapping):
        raise Refused(
            f"id_map must be root, current, auto or a dictionary, not {value!r}",
            "A dictionary has uid and gid, each a list of {inside, outside, count}.",
        )
    if set(value) != {"uid", "gid"}:
        has = ", ".join(sorted(map(str, value))) or "neither"
        raise Refused(
            f"id_map must have uid and gid, and nothing else (it has: {has})",
            "Each is a list of {inside, outside, count}.",
        )
    uid, gid = (
        tuple(_range(each, which) for each in _listed(value[which], which))
        for which in ("uid", "gid")
    )
    return _checked_maps(uid, gid)


def subordinates(text: str, *, uid: int, name: str) -> list[Subordinate]:
    """The ranges in the text of subuid(5) that belong to the user, by its name or its uid."""
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in {str(uid), name} - {""}:
            continue
        numbers = [int(field) for field in fields[1:] if field.isdecimal() and len(field) <= 10]
        if len(numbers) == 2 and numbers[1] > 0:
            found.append(Subordinate(*numbers))
    return found


def _auto(
    own: int, ranges: t.Sequence[Subordinate], path: str, caller: Caller
) -> tuple[Range, ...]:
    who = caller.name or str(caller.uid)
    if not ranges:
        option = "--add-subuids" if path == SUBUID else "--add-subgids"
        raise Refused(
            f"{path} has no range for {who}",
            f"Add one (usermod {option} 100000-165535 {who}), or use id_map: root.",
        )
    found, inside = [], 0
    if caller.uid != 0:
        found.append(Range(0, own, 1))
        inside = 1
    for each in ranges:
        found.append(Range(inside, each.first, each.count))
        inside += each.count
    return tuple(found)


def _listed(value: t.Any, which: str) -> t.Sequence[t.Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise Refused(f"{which} of id_map must be a list of ranges, not {value!r}")
    return value


def _range(value: t.Any, which: str) -> Range:
    if not isinstance(value, t.Mapping) or set(value) != set(_FIELDS):
        raise Refused(f"a range of {which} in id_map has inside, outside and count, not {value!r}")
    numbers = [_number(value[field], f"{field} of {which} in id_map") for field in _FIELDS]
    return Range(*numbers)


def _number(value: t.Any, what: str) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) <= 10:  # of 32 bits
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Refused(f"{what} must be a number, not {value!r}")


def _checked_maps(uid: tuple[Range, ...], gid: tuple[Range, ...]) -> IdMaps:
    for which, ranges in (("uid", uid), ("gid", gid)):
        _check_ranges(ranges, which)
    return IdMaps(uid, gid)


def _check_ranges(ranges: t.Sequence[Range], which: str) -> None:
    """What the kernel answers with EINVAL, named (user_namespaces(7))."""
    for each in ranges:
        if min(each.inside, each.outside) < 0 or each.count < 1:
            raise Refused(f"the {which} range {each} has a number below zero or no ids")
        for start in (each.inside, each.outside):
            if start + each.count > _IDS:
                raise Refused(
                    f"the {which} range {_span(start, each.count)} is too long: the last id is "
                    f"{_IDS - 1}",
                    "Take a smaller count.",
                )
    for side in ("inside", "outside"):
        spans = sorted((int(getattr(each, side)), each.count) for each in ranges)
        for lower, upper in zip(spans, spans[1:]):
            if lower[0] + lower[1] > upper[0]:
                raise Refused(
                    f"the {which} ranges {_span(*lower)} and {_span(*upper)} {side} overlap",
                    "Each id can be mapped once.",
                )
    if len(ranges) > _MOST_RANGES or len(_text(ranges)) >= _LONGEST_MAP:
        raise Refused(
            f"{len(ranges)} {which} ranges are more than the kernel takes",
            f"It takes {_MOST_RANGES} ranges whose text is shorter than {_LONGEST_MAP} bytes.",
        )


def _span(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def _text(ranges: t.Iterable[Range]) -> str:
    return "".join(f"{each.inside} {each.outside} {each.count}\n" for each in ranges)


def _is_only(ranges: t.Sequence[Range], own: int) -> bool:
    return len(ranges) == 1 and ranges[0].outside == own and ranges[0].count == 1


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as table:
            return table.read()
    except FileNotFoundError:
        return ""


def _run_helper(name: str, pid: int, ranges: t.Iterable[Range]) -> None:
    program = shutil.which(name)
    if program is None:
        raise Refused(
            f"{name} is missing, and the caller may not map other ids than its own by itself",
            "Install it (package uidmap or shadow-utils), or use id_map: root.",
        )
    numbers = _text(ranges).split()
    done = subprocess.run(
        [program, str(pid), *numbers],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = in_sentence((done.stderr or done.stdout).strip()) or f"exit status {done.returncode}"
        table = SUBUID if name == "newuidmap" else SUBGID
        raise Refused(
            f"{name} refused the map {', '.join(map(str, ranges))}: {said}",
            f"A user may map the ids that {table} lists for it.",
        )
