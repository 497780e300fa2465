# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be seen of a name by ns_info, ns_mount_info and nsctl, and what the model says of it."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

from processes_inside import inside
from results import RunModule
from soak_host import NAMES, Host
from soak_model import Model
from soak_parts import PLACES, What

_Facts = dict[str, t.Any]


def compare(host: Host, run_module: RunModule, name: str, model: Model) -> None:
    """That all that shows the name agrees with the model."""
    seen, wanted = _seen(host, run_module, name, model), _wanted(host, model)
    differing = {what for what in {*seen, *wanted} if seen.get(what) != wanted.get(what)}
    assert not differing, {what: (seen.get(what), wanted.get(what)) for what in differing}


def compare_list(host: Host, models: t.Mapping[str, Model]) -> None:
    """That `nsctl list` has these names, and no others."""
    listed = json.loads(host.nsctl("list", "--json"))
    seen = {each["name"]: (sorted(each["kinds"]), each["persistent"]) for each in listed}
    wanted = {
        name: (sorted(models[name].pinned), models[name].persistent)
        for name in NAMES
        if models[name].is_defined
    }
    assert seen == wanted, (seen, wanted)


def _wanted(host: Host, model: Model) -> _Facts:
    facts: _Facts = {"kinds": sorted(model.pinned)}
    if "mnt" in model.pinned:
        facts["mounts"] = dict(model.live)
    if "uts" in model.pinned:
        facts["hostname"] = model.hostname_now or os.uname().nodename
    if "net" in model.pinned:
        facts["lo is up"] = model.lo_is_up
    if model.is_defined:
        facts["rows"] = model.rows()
        facts["root"] = host.path("root") if model.pivoted else "/"
        facts["persistent"] = model.persistent
        facts["processes"] = model.running
        facts["changes"] = model.up() != model
    return facts


def _seen(host: Host, run_module: RunModule, name: str, model: Model) -> _Facts:
    if not model.is_defined:
        host.nsctl("show", name, fails=True)
        return {"kinds": []}
    shown = json.loads(host.nsctl("show", name, "--json"))
    facts: _Facts = {"kinds": sorted(shown["kinds"])}
    info = run_module("ns_info", {"namespace": name}) if model.pinned else {"namespaces": []}
    assert not info.get("failed"), info
    assert sorted(each["kind"] for each in info["namespaces"]) == facts["kinds"]
    ids = {each["kind"]: each["id"] for each in info["namespaces"]}
    assert {kind: pin["id"] for kind, pin in shown["kinds"].items()} == ids
    assert all(each["name"] == name for each in info["namespaces"]), info
    if "mnt" in model.pinned:
        facts["mounts"] = _mounts(host, run_module, name, model)
    if "uts" in model.pinned:
        facts["hostname"] = inside(name, lambda: os.uname().nodename, ["uts"])
    if "net" in model.pinned:
        facts["lo is up"] = inside(name, _lo_is_up, ["net"])
    paths = {host.path_now(model, place): place for place in PLACES if model.reaches(place)}
    facts["rows"] = {paths.get(row["path"], row["path"]): row["state"] for row in shown["mounts"]}
    facts["root"] = shown["root"]
    facts["persistent"] = shown["persistent"]
    facts["processes"] = len(shown["processes"])
    facts["changes"] = bool(shown["changes"])
    return facts


def _lo_is_up() -> bool:
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        answer = fcntl.ioctl(one, 0x8913, struct.pack("16sH14x", b"lo", 0))  # SIOCGIFFLAGS
    return bool(struct.unpack("16sH14x", answer)[1] & 1)


def _mounts(host: Host, run_module: RunModule, name: str, model: Model) -> dict[str, What]:
    listed = run_module("ns_mount_info", {"namespace": name})
    assert not listed.get("failed"), listed
    table = listed["mounts"]
    found = {}
    for place in PLACES:
        if model.reaches(place):
            mount = _seen_at(table, host.path_now(model, place))
            if mount is not None:
                found[place] = _what(mount)
    return found


def _seen_at(table: list[_Facts], path: str) -> _Facts | None:
    """The mount that a path leads to, where it is one's own."""
    ids = {mount["id"] for mount in table}
    (here,) = [mount for mount in table if mount["parent"] not in ids and mount["path"] == "/"]
    for above in ["/", *map(str, reversed(pathlib.PurePath(path).parents)), path]:
        while True:
            on = [m for m in table if m["parent"] == here["id"] and m["path"] == above]
            if not on or on[0]["id"] == here["id"]:
                break
            here = on[0]
    return here if here["path"] == path else None


def _what(mount: _Facts) -> What:
    kind, variant = mount["fstype"], 0
    if mount["fstype"] == "tmpfs":
        kind = "tmpfs" if mount["src"] == "soak" else mount["src"]
        variant = int("size=2048k" in mount["opts"])
    elif mount["fstype"] == "overlay":
        lower = [word for word in mount["opts"] if word.startswith("lowerdir")]
        variant = int(",".join(lower).find("low1") < ",".join(lower).find("low0"))
    elif mount["src"].startswith("/dev/loop"):
        kind = "loop"
        device = pathlib.Path(f"/sys/dev/block/{mount['device']}/loop/backing_file")
        variant = int("disk1" in device.read_text())
    elif mount["root"].startswith("/") and pathlib.PurePath(mount["root"]).name.startswith("src"):
        kind, variant = "bind", int(mount["root"][-1])
    return What(kind, variant, "ro" in mount["opts"], mount["propagation"])
