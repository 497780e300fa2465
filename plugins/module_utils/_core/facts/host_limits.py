# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which namespaces the kernel has, how many of them are allowed, and to whom.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import stat

from .. import kinds, once
from ..namespace import explain, id_map
from ..process import proc
from .host_look import LIMITED, MISSING, OK, UNKNOWN, Check, Found, Host

# For people; the others are called as they are.
_TITLES = {"mnt": "mount"}
# What the kernel has to be built with; mount namespaces are always there.
_BUILT_WITH = {
    "cgroup": "CONFIG_CGROUPS",
    "ipc": "CONFIG_IPC_NS",
    "net": "CONFIG_NET_NS",
    "pid": "CONFIG_PID_NS",
    "time": "CONFIG_TIME_NS",
    "user": "CONFIG_USER_NS",
    "uts": "CONFIG_UTS_NS",
}
_NEEDED_FOR = {
    "mnt": "all but the modules that only look",
    "net": "ns_link, kinds: net; programs of others in ns_rootfs, which get no network",
    "pid": "kinds: pid; programs of others in ns_rootfs, which end with it",
    "user": "kinds: user; ns_unshare_run without root",
}
_REQUIRED = ("mnt", "net", "pid")
# Above this part of a limit it is told.
_NEAR = 0.9
# Of more processes their namespaces are not counted: it takes 20 microseconds each.
_MOST_PROCESSES = 500
_MOUNTS = "/proc/self/mountinfo"
_HELPERS = ("newuidmap", "newgidmap")


def _of_kind(kind: str, host: Host) -> Found:
    if not os.path.exists("/proc/self/ns/mnt"):
        return Found(UNKNOWN, "no proc is mounted on /proc")
    if not os.path.exists(f"/proc/self/ns/{kind}"):
        return Found(
            MISSING,
            "this kernel was built without",
            f"Boot a kernel that was built with {_BUILT_WITH.get(kind, 'them')}.",
        )
    seen = _seen().get(kind) if host.is_root else None
    return of_limit(f"user.max_{kind}_namespaces", host.number(f"user/max_{kind}_namespaces"), seen)


def of_limit(name: str, limit: int | None, seen: int | None) -> Found:
    """What a limit of the kernel is said to be, when as many as ``seen`` are there; None is unknown."""
    used = "" if seen is None else f", {seen} seen"
    if limit is None:
        return Found(OK, f"there, with no limit that is known{used}")
    remedy = f"Allow more: sysctl -w {name}={max(10000, 2 * limit)}."
    text = f"at most {limit}{used}"
    if limit == 0:
        return Found(MISSING, f"none is allowed: {name} is 0", remedy)
    if seen is not None and seen >= limit * _NEAR:
        return Found(LIMITED, text, remedy)
    return Found(OK, text)


@once.kept
def _seen() -> dict[str, int]:
    """How many namespaces of each kind processes live in; empty where there are too many to count.

    A limit counts what each user has made, pinned ones as well, and so not the same: this is a hint.
    """
    pids = proc.all_pids()
    if len(pids) > _MOST_PROCESSES:
        return {}
    found: dict[str, set[int]] = {kind: set() for kind in kinds.NAMES}
    for pid in pids:
        for kind, number in proc.ids_of_process(pid).items():
            found[kind].add(number)
    return {kind: len(ids) for kind, ids in found.items()}


def _mounts(host: Host) -> Found:
    return of_limit("fs.mount-max", host.number("fs/mount-max"), host.text(_MOUNTS).count("\n"))


def _plain_users(host: Host) -> Found:
    reason, hint = explain.forbidding_switch(lambda name: host.setting(name) or None)
    if reason:
        return Found(LIMITED, reason, hint)
    return Found(OK, "nothing forbids them")


def _subordinates(host: Host) -> Found:
    tables = [host.text(path) for path in (id_map.SUBUID, id_map.SUBGID)]
    if host.is_root:
        users = set.intersection(*map(users_in, tables))
        return (
            Found(OK, f"{len(users)} users have some")
            if users
            else Found(MISSING, "nobody has any")
        )
    uid = os.geteuid()
    name = _name_of(uid)
    ranges = [id_map.subordinates(text, uid=uid, name=name) for text in tables]
    if not all(ranges):
        return Found(MISSING, f"user {name or uid} has none")
    return Found(OK, f"user {name or uid} has {sum(each.count for each in ranges[0])}")


def users_in(text: str) -> set[str]:
    """Who has a line in the text of subuid(5)."""
    lines = (line.split(":") for line in text.splitlines())
    return {fields[0] for fields in lines if len(fields) == 3}


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _helpers(_host: Host) -> Found:
    places = {name: shutil.which(name) for name in _HELPERS}
    absent = [name for name, place in places.items() if place is None]
    if absent:
        return Found(MISSING, f"no {', '.join(absent)}")
    weak = [name for name, place in places.items() if place and not _gives_rights(place)]
    if weak:
        return Found(
            MISSING,
            f"{', '.join(weak)}: neither set-user-ID nor with capabilities",
            "Install the Debian package uidmap anew.",
        )
    return Found(OK, str(places["newuidmap"]))


def _gives_rights(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_ISUID) or bool(
            os.getxattr(path, "security.capability")
        )
    except OSError:
        return False


CHECKS: tuple[Check, ...] = (
    *(
        Check(
            f"{_TITLES.get(kind, kind)} namespaces",
            _NEEDED_FOR.get(kind, f"kinds: {kind}"),
            functools.partial(_of_kind, kind),
            required=kind in _REQUIRED,
        )
        for kind in sorted(kinds.KINDS, key=lambda kind: (kind not in _REQUIRED, kind))
    ),
    Check("mounts in a namespace", "mounts", _mounts, required=True),
    Check("user namespaces for plain users", "ns_unshare_run without root", _plain_users),
    Check(
        "subordinate ids",
        "ns_unshare_run without root: id_map: auto",
        _subordinates,
        remedy="Add some: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER.",
    ),
    Check(
        "newuidmap, newgidmap",
        "ns_unshare_run without root: more ids than its own",
        _helpers,
        remedy="Install the Debian package uidmap.",
    ),
)
