# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_namespace: bad input, and what killed runs and other hands leave."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from named_namespaces import (
    BASE,
    KINDS,
    NOBODY,
    NewName,
    holder_of,
    id_inside,
    ids_of,
    outlived,
    owner_of,
    present,
    record_of,
    refused,
)
from own_host import CLONE_NEWNS, next_number
from processes_inside import inside, living
from programs import in_child
from results import Converge, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import lock, pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace,
    namespace_removal,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)

# --- bad input


def without(options: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    return {key: value for key, value in options.items() if key != name}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kinds": []}, "kinds is empty"),
        ({"kinds": ["mount"]}, "value of kinds must be one or more of"),
        ({"name": "../etc"}, "cannot be a name"),
        ({"name": "-web"}, "cannot be a name"),
        ({"name": "w" * 65}, "cannot be a name"),
        ({"name": ""}, "cannot be a name"),
        ({"hostname": "web"}, "hostname needs the kind uts"),
        ({"domainname": "web"}, "domainname needs the kind uts"),
        ({"id_map": "root"}, "id_map needs the kind user"),
        ({"time_offsets": {"boottime": 5}}, "time_offsets needs the kind time"),
        ({"kinds": ["uts"], "hostname": "ä" * 33}, "must have 1 to 64 bytes"),
        ({"kinds": ["uts"], "hostname": ""}, "must have 1 to 64 bytes"),
        ({"kinds": ["uts"], "domainname": "d" * 65}, "must have 1 to 64 bytes"),
        ({"kinds": ["user"], "id_map": "some"}, "id_map must be root, current, auto"),
        (
            {
                "kinds": ["user"],
                "id_map": {
                    "uid": [
                        {"inside": 0, "outside": 1000, "count": 10},
                        {"inside": 5, "outside": 5000, "count": 10},
                    ],
                    "gid": [{"inside": 0, "outside": 0, "count": 1}],
                },
            },
            "0-9 and 5-14 inside overlap",
        ),
        ({"propagation": "rslave"}, "value of propagation must be one of"),
        ({"time_offsets": {"realtime": 5}}, "realtime"),
    ],
)
def test_bad_input_is_refused(
    options: dict[str, t.Any], reason: str, run_module: RunModule, new_name: NewName
) -> None:
    failure = refused(run_module, options.get("name", new_name()), **without(options, "name"))
    assert reason in failure["msg"].replace(reason.capitalize(), reason)


def test_a_plain_user_is_refused(run_module: RunModule, new_name: NewName) -> None:
    for check in (True, False):
        failure = run_module("ns_namespace", {"name": new_name()}, user=NOBODY, check=check)
        assert failure["failed"]
        assert "only root can pin them" in failure["reason"]
        assert "ns_unshare_run" in failure["hint"]


def test_a_damaged_definition_is_named(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    present(converge, name)
    record = record_of(name)
    text = record.read_text()
    try:
        for damaged, reason in (
            ("{", "is damaged"),
            (text.replace('"version": 1', '"version": 4'), "has version 4"),
        ):
            record.write_text(damaged)
            failure = refused(run_module, name)
            assert f"{record} {reason}" in failure["reason"]
            assert failure["hint"]
    finally:
        record.write_text(text)


# --- leftovers


def leave_a_plain_file(name: str, kind: str) -> None:
    """Take the pin away, but not its file."""
    mounts.umount(pins.path(name, kind), flags=mounts.MNT_DETACH)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_file_for_a_pin_is_mended(kind: str, converge: Converge, new_name: NewName) -> None:
    name = new_name()
    options = {"kinds": list(KINDS), "hostname": "web"}
    before = ids_of(present(converge, name, **options))
    leave_a_plain_file(name, kind)
    found = present(converge, name, **options)
    after = ids_of(found)
    assert {**after, kind: 0} == {**before, kind: 0}
    assert id_inside(name, kind) == after[kind]
    for other in set(KINDS) - {"user"}:
        assert owner_of(found["kinds"][other]["path"]) == after["user"], other
    assert (after["user"] == before["user"]) is True
    assert inside(name, lambda: os.uname().nodename, ["uts"]) == "web"


def test_stacked_pins_go(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    present(converge, name, kinds=["uts"])
    pin = pins.path(name, "uts")
    mounts.mount(pin, pin, flags=mounts.MS_BIND)
    converge("ns_namespace", {"name": name, "state": "absent"})


def test_the_rest_of_a_removal_is_removed(
    converge: Converge, run_module: RunModule, new_name: NewName
) -> None:
    """A run that was killed while it removed the namespace has forgotten the definition."""
    name = new_name()
    present(converge, name, kinds=["mnt"], propagation="slave")
    record_of(name).unlink()
    (BASE / name / "state.json").unlink()
    # With processes inside it is not for us to go on.
    with living(name):
        assert refused(run_module, name)["processes"]
    with outlived(name, "mnt") as old:
        done = converge("ns_namespace", {"name": name})
        assert done["actions"][0] == f"remove namespace {name}"
        assert ids_of(done["namespace"])["mnt"] != old


def test_a_lost_record_is_written_again(converge: Converge, new_name: NewName) -> None:
    name = new_name()
    before = ids_of(present(converge, name))
    record_of(name).unlink()
    done = converge("ns_namespace", {"name": name})
    assert done["actions"] == [f"record namespace {name}"]
    assert ids_of(done["namespace"]) == before


def test_absent_takes_away_what_killed_runs_leave(converge: Converge, new_name: NewName) -> None:
    """Files that were being written, and directories without anything in them."""
    name = new_name()
    pathlib.Path(definitions.DIRECTORY).mkdir()
    (pathlib.Path(definitions.DIRECTORY) / f"{name}.json.new").write_text("{")
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not pathlib.Path(definitions.DIRECTORY).exists()
    with lock.held(name, timeout=5):
        pins.prepare(name)
        place = pathlib.Path(host_paths.kept_in(name))
        (place / "state.json.new").write_text("{")
        (place / "mnt").touch()
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not BASE.exists()
    BASE.mkdir()  # killed before it was mounted
    converge("ns_namespace", {"name": name, "state": "absent"})
    assert not BASE.exists()


def test_where_new_namespaces_count_as_old(new_name: NewName) -> None:
    """In a container some CPUs may make mount namespaces that the kernel takes for older ones."""
    cpus = sorted(os.sched_getaffinity(0), key=next_number)
    if len(cpus) < 2:
        pytest.skip("a machine with one CPU gives out all numbers in order")
    name = new_name()

    def run_in_a_container() -> None:
        os.sched_setaffinity(0, cpus[-1:])
        namespaces.unshare(CLONE_NEWNS)
        mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
        mounts.mount("container", "/run", fstype="tmpfs")
        os.sched_setaffinity(0, cpus)
        wanted = namespace.NamespaceRequest(
            name, Properties(kinds=("mnt", "pid")), persistent=False, lock_timeout=5
        )
        for _round in range(6):  # the first try is made on any of them
            found = namespace.present(wanted, check=False).namespace
            assert sorted(found["kinds"]) == ["mnt", "pid"]
            assert os.sched_getaffinity(holder_of(name)) == set(cpus)
            namespace_removal.absent(name, check=False, lock_timeout=5)

    in_child(run_in_a_container)


def test_it_converges_on_a_base_half_made(converge: Converge, new_name: NewName) -> None:
    BASE.mkdir()
    name = new_name()
    present(converge, name)
    converge("ns_namespace", {"name": name, "state": "absent"})
    BASE.mkdir()
    mounts.mount("half", str(BASE), fstype="tmpfs")  # and not made private yet
    present(converge, name)
