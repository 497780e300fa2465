# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: namespaces as wholes, in all of its states."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from processes_inside import inside, living, mounts_inside
from results import Converge, Result, RunModule, is_failure

Entry = dict[str, t.Any]


def tmpfs(path: str, *opts: str) -> Entry:
    return {"path": path, "src": "test", "fstype": "tmpfs", "opts": list(opts)}


def of(result: Result, name: str) -> Result:
    """What became of the namespace."""
    (found,) = [each for each in result["namespaces"] if each["name"] == name]
    return dict(found)


@pytest.fixture
def names(new_name: NewName, run_module: RunModule) -> t.Iterator[list[str]]:
    found = [new_name() for _each in range(3)]
    yield found
    gone = {"namespaces": [{"name": name} for name in found], "state": "absent", "force": True}
    assert not run_module("ns_definition", gone).get("failed")


def test_from_nothing_to_nothing(names: list[str], converge: Converge, nsctl: Nsctl) -> None:
    one, two, _three = names
    listed = [
        {
            "name": one,
            "kinds": ["mnt", "uts"],
            "hostname": "inner",
            "mounts": [tmpfs("/mnt", "size=1m")],
        },
        {"name": two, "kinds": ["net"]},
    ]
    made = converge("ns_definition", {"namespaces": listed})
    assert of(made, one)["actions"] == [
        "create mnt, uts",
        "mount tmpfs on /mnt",
        "record the definition",
    ]
    assert of(made, two)["actions"] == [
        "create net",
        f"show {two} to ip netns",
        "record the definition",
    ]
    assert [each["state"] for each in nsctl.data("list", one, two)] == ["up", "up"]
    for state, shown in (("down", "down"), ("up", "up"), ("present", "up")):
        converge("ns_definition", {"namespaces": listed, "state": state})
        assert [each["state"] for each in nsctl.data("list", one, two)] == [shown, shown]
    assert inside(one, lambda: pathlib.Path("/proc/sys/kernel/hostname").read_text()) == "inner\n"
    converge("ns_definition", {"namespaces": [{"name": one}, {"name": two}], "state": "absent"})
    assert not {one, two} & {each["name"] for each in nsctl.data("list")}


def test_what_is_not_listed_any_more_goes(names: list[str], converge: Converge) -> None:
    name = names[0]
    every = {
        "name": name,
        "kinds": ["mnt", "uts", "ipc"],
        "hostname": "inner",
        "mounts": [tmpfs("/mnt"), tmpfs("/mnt/below", "X-mount.mkdir"), tmpfs("/media")],
    }
    converge("ns_definition", {"namespaces": [every]})
    fewer = {"name": name, "kinds": ["mnt"], "mounts": [tmpfs("/media")]}
    done = converge("ns_definition", {"namespaces": [fewer]})
    assert of(done, name)["actions"] == [
        "drop ipc",
        "drop uts",
        "unmount /mnt/below",
        "unmount /mnt",
        "record the definition",
    ]
    assert [each.path for each in mounts_inside(name) if each.src == "test"] == ["/media"]


def test_what_single_tasks_made_goes_as_well(names: list[str], converge: Converge) -> None:
    name = names[0]
    converge("ns_namespace", {"name": name})
    converge("ns_mount", {"namespace": name, **tmpfs("/mnt")})
    converge("ns_mount", {"namespace": name, **tmpfs("/media"), "persistent": False})
    done = converge("ns_definition", {"namespaces": [{"name": name, "mounts": [tmpfs("/srv")]}]})
    assert of(done, name)["actions"][:2] == ["unmount /media", "unmount /mnt"]
    assert [each.path for each in mounts_inside(name) if each.src == "test"] == ["/srv"]


def test_the_order_of_the_list_is_that_of_the_next_boot(
    names: list[str], converge: Converge, nsctl: Nsctl
) -> None:
    name = names[0]
    one, other = tmpfs("/mnt"), tmpfs("/media")
    converge("ns_definition", {"namespaces": [{"name": name, "mounts": [one, other]}]})
    turned = {"namespaces": [{"name": name, "mounts": [other, one]}]}
    done = converge("ns_definition", turned)
    assert of(done, name)["actions"] == ["record the definition"]
    (exported,) = nsctl_export(nsctl, name)
    assert [each["path"] for each in exported["mounts"]] == ["/media", "/mnt"]


def nsctl_export(nsctl: Nsctl, *names: str) -> list[Entry]:
    import json

    found: list[Entry] = json.loads(nsctl("export", *names).stdout)["namespaces"]
    return found


def test_exclusive(names: list[str], converge: Converge, nsctl: Nsctl) -> None:
    one, two, three = names
    converge("ns_definition", {"namespaces": [{"name": name} for name in names]})
    done = converge("ns_definition", {"namespaces": [{"name": two}], "exclusive": True})
    assert [each["name"] for each in done["namespaces"]] == [two, *sorted([one, three])]
    assert of(done, one)["actions"] == [
        f"forget the definition of {one}",
        f"remove namespace {one}",
    ]
    assert not of(done, two)["changed"]
    assert [each["name"] for each in nsctl.data("list")] == [two]


def test_one_that_fails_leaves_the_others_done(names: list[str], run_module: RunModule) -> None:
    one, two, three = names
    listed = [
        {"name": one, "mounts": [tmpfs("/mnt")]},
        {"name": two, "mounts": [{"path": "/mnt", "src": "/nowhere/at/all", "opts": ["bind"]}]},
        {"name": three, "mounts": [tmpfs("/media")]},
    ]
    done = run_module("ns_definition", {"namespaces": listed})
    assert done["failed"]
    assert done["changed"]
    assert done["msg"].startswith(f"1 of 3 namespaces failed. {two}: ")
    assert "/nowhere/at/all" in of(done, two)["reason"]
    assert [each["failed"] for each in done["namespaces"]] == [False, True, False]
    again = run_module("ns_definition", {"namespaces": listed})
    assert not again["changed"]
    assert again["failed"]


def test_a_new_one_is_whole_or_not_there(
    names: list[str], run_module: RunModule, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    """The first mount is made, and the second cannot be."""
    name = names[0]
    (tmp_path / "file").write_text("")
    mounts = [tmpfs("/mnt"), {"path": "/mnt/x", "src": str(tmp_path / "file"), "opts": ["bind"]}]
    done = run_module("ns_definition", {"namespaces": [{"name": name, "mounts": mounts}]})
    assert done["failed"]
    assert name not in {each["name"] for each in nsctl.data("list")}


def test_what_cannot_be_changed(
    names: list[str], run_module: RunModule, converge: Converge
) -> None:
    name = names[0]
    converge("ns_definition", {"namespaces": [{"name": name}]})
    wanted = {"namespaces": [{"name": name, "propagation": "slave"}]}
    for check in (True, False):
        refused = run_module("ns_definition", wanted, check=check)
        assert refused["failed"]
        assert not refused["changed"]
        assert "recreate: true" in of(refused, name)["hint"]
    done = converge("ns_definition", {**wanted, "recreate": True})
    assert f"remove namespace {name}" in of(done, name)["actions"]
    assert not of(done, name)["failed"]


def test_processes_inside_are_in_the_way(names: list[str], run_module: RunModule) -> None:
    name = names[0]
    assert not run_module("ns_definition", {"namespaces": [{"name": name}]}).get("failed")
    with living(name) as pid:
        for state in ("down", "absent"):
            gone = {"namespaces": [{"name": name}], "state": state}
            for check in (True, False):
                refused = run_module("ns_definition", gone, check=check)
                assert refused["failed"]
                assert str(pid) in of(refused, name)["msg"]


def test_drift_is_mended(names: list[str], converge: Converge) -> None:
    name = names[0]
    listed = {
        "namespaces": [
            {"name": name, "kinds": ["mnt", "uts"], "hostname": "h", "mounts": [tmpfs("/mnt")]}
        ]
    }
    converge("ns_definition", listed)
    from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
        mounts,
        namespaces,
    )

    inside(name, lambda: mounts.umount("/mnt"), ["mnt"])
    inside(name, lambda: namespaces.sethostname("other"), ["uts"])
    done = converge("ns_definition", listed)
    assert of(done, name)["actions"] == ["set hostname h", "mount tmpfs on /mnt"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"mouts": []}, "namespaces[1] has 'mouts', which is unknown"),
        ({"mounts": [{"path": "/a", "fstyp": "x"}]}, "namespaces[1]: mounts[0] has 'fstyp'"),
        ({"kinds": ["mtn"]}, "namespaces[1]: kinds[0] is 'mtn'"),
        (
            {"mounts": [{"path": "a", "fstype": "tmpfs"}]},
            "mounts[0]: path must be an absolute path",
        ),
        ({"services": [{"name": "x"}]}, "services[0] ('x'): it has no program"),
        ({"name": "ok"}, "namespace ok is listed twice"),
    ],
)
def test_bad_input_changes_nothing(
    entry: Entry, reason: str, names: list[str], run_module: RunModule, nsctl: Nsctl
) -> None:
    listed = [{"name": "ok"}, {"name": names[0], **entry}]
    for check in (True, False):
        is_failure(run_module("ns_definition", {"namespaces": listed}, check=check), reason, "")
    assert not {"ok", names[0]} & {each["name"] for each in nsctl.data("list")}
