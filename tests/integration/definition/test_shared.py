# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: namespaces of one list that share kinds, in whatever order they are listed."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from named_namespaces import NewName, id_inside, present
from processes_inside import living
from results import Converge, Result, RunModule, is_failure

from ansible_collections.linux.namespaces.plugins.module_utils._core import actions
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc

Entry = dict[str, t.Any]


def of(result: Result, name: str) -> Result:
    """What became of the namespace."""
    (found,) = [each for each in result["namespaces"] if each["name"] == name]
    return dict(found)


class Three(t.NamedTuple):
    """The names of the last, which has kinds of the middle one, and that of the first."""

    first: str
    middle: str
    last: str

    def entries(self, **changes: Entry) -> list[Entry]:
        """Them as a list, the last first; ``changes`` by their fields."""
        every = {
            "last": {"name": self.last, "share": {"ipc": self.middle, "net": self.first}},
            "middle": {
                "name": self.middle,
                "kinds": ["mnt", "ipc"],
                "share": {"net": self.first},
            },
            "first": {"name": self.first, "kinds": ["mnt", "net"]},
        }
        return [{**entry, **changes.get(field, {})} for field, entry in every.items()]

    def check(self) -> None:
        """That they have in common what they should."""
        for name in (self.middle, self.last):
            assert id_inside(name, "net") == pins.pinned(self.first)["net"]
        assert id_inside(self.last, "ipc") == pins.pinned(self.middle)["ipc"]


def wanted(entries: t.Iterable[Entry], **options: t.Any) -> Entry:
    return {"namespaces": list(entries), **options}


@pytest.fixture
def three(new_name: NewName, run_module: RunModule) -> t.Iterator[Three]:
    found = Three(new_name(), new_name(), new_name())
    yield found
    gone = wanted([{"name": name} for name in found], state="absent", force=True)
    assert not run_module("ns_definition", gone).get("failed")


@pytest.fixture
def made(three: Three, converge: Converge) -> Three:
    converge("ns_definition", wanted(three.entries()))
    three.check()
    return three


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_any_order(
    order: tuple[int, ...], three: Three, converge: Converge, new_name: NewName, nsctl: Nsctl
) -> None:
    present(converge, new_name())  # so that nsctl stays
    entries = [three.entries()[each] for each in order]
    done = converge("ns_definition", wanted(entries))
    assert of(done, three.last)["actions"] == [
        "create mnt",
        f"share ipc of {three.middle}",
        f"share net of {three.first}",
        "record the definition",
    ]
    three.check()
    names = [{"name": each["name"]} for each in entries]
    for state in ("down", "up", "absent"):
        converge("ns_definition", wanted(names, state=state))
    assert not {*three} & {each["name"] for each in nsctl.data("list")}


def test_exclusive(made: Three, converge: Converge, new_name: NewName, nsctl: Nsctl) -> None:
    other = new_name()
    done = converge("ns_definition", wanted([{"name": other}], exclusive=True))
    assert [each["name"] for each in done["namespaces"]] == [other, *sorted(made)]
    assert [each["name"] for each in nsctl.data("list")] == [other]


def test_exclusive_keeps_what_is_shared_of(made: Three, run_module: RunModule) -> None:
    entries = made.entries()[:2]
    for check in (True, False):
        done = run_module("ns_definition", wanted(entries, exclusive=True), check=check)
        assert done["failed"]
        assert not done["changed"], done
        assert "share what is of" in of(done, made.first)["reason"]
    made.check()


def test_the_owner_is_made_anew(made: Three, converge: Converge) -> None:
    was = pins.pinned(made.first)["net"]
    entries = made.entries(first={"propagation": "slave"})
    done = converge("ns_definition", wanted(entries, recreate=True))
    assert f"remove namespace {made.first}" in of(done, made.first)["actions"]
    assert of(done, made.middle)["actions"] == [f"share net of {made.first}"]
    assert of(done, made.last)["actions"] == [f"share net of {made.first}"]
    assert pins.pinned(made.first)["net"] != was
    made.check()


def test_it_moves_within_a_list(made: Three, converge: Converge) -> None:
    """The net moves to the middle one: who has it of the first lets go of it before that drops it."""
    entries = made.entries(
        first={"kinds": ["mnt"]},
        middle={"kinds": ["mnt", "net", "ipc"], "share": {}},
        last={"share": {"ipc": made.middle, "net": made.middle}},
    )
    converge("ns_definition", wanted(entries))
    assert id_inside(made.last, "net") == pins.pinned(made.middle)["net"]
    assert "net" not in pins.pinned(made.first)


@pytest.mark.parametrize("state", ["absent", "down"])
def test_the_owner_stays_while_others_share(
    state: str, made: Three, converge: Converge, run_module: RunModule
) -> None:
    service = {"name": "idle", "argv": ["/usr/bin/sleep", "1000"], "supervisor": "none"}
    converge("ns_definition", wanted(made.entries(first={"services": [service]})))
    with living(made.first, ["mnt"]) as pid:
        before = host_state()
        for check, force in itertools.product((True, False), (False, True)):
            gone = wanted([{"name": made.first}], state=state, force=force)
            done = run_module("ns_definition", gone, check=check)
            assert done["failed"]
            assert not done["changed"]
            assert of(done, made.first)["shared_by"] == sorted([made.middle, made.last])
        assert host_state() == before
        assert proc.process_facts(pid) is not None
    assert not converge("ns_definition", wanted(made.entries(first={"services": [service]})))[
        "changed"
    ]


def test_refused(three: Three, run_module: RunModule, converge: Converge) -> None:
    entries = three.entries()
    cases: list[tuple[list[Entry], str]] = [
        (
            entries[:2],
            f"namespaces[0] ('{three.last}'): share: there is no namespace '{three.first}'",
        ),
        (
            three.entries(first={"kinds": ["mnt"]}),
            f"namespaces[0] ('{three.last}'): share: {three.first} has no net",
        ),
        (
            three.entries(middle={"kinds": ["mnt"], "share": {"ipc": three.first}}),
            f"share: {three.middle} has no ipc of its own: it shares that of {three.first}",
        ),
        (
            three.entries(first={"share": {"ipc": three.middle}}),
            "share: namespaces share of one another in a circle: ",
        ),
        (
            three.entries(first={"persistent": False}),
            f"share: {three.first} is not persistent: after a reboot {three.last} had no net",
        ),
        (
            three.entries(first={"share": {"net": three.last}, "kinds": ["mnt"]}),
            "One of them has to have it",
        ),
    ]
    before = host_state()
    for listed, reason in cases:
        for check in (True, False):
            done = run_module("ns_definition", wanted(listed), check=check)
            is_failure({**done, "reason": f"{done['reason']} {done['hint']}"}, reason, "")
    assert host_state() == before
    # What is on the host need not be listed, but has to be up.
    converge("ns_definition", wanted(entries[2:]))
    converge("ns_definition", wanted([{"name": three.first}], state="down"))
    down = run_module("ns_definition", wanted(entries[:2]))
    is_failure(down, f"namespace {three.first}, whose net {three.last} shares, is not up", "")
    converge("ns_definition", wanted([{"name": three.first}], state="up"))
    converge("ns_definition", wanted(entries[:2]))
    three.check()


def test_who_shares_of_one_that_fails_is_not_there(three: Three, run_module: RunModule) -> None:
    bad = {"mounts": [{"path": "/mnt", "src": "/nowhere/at/all", "opts": ["bind"]}]}
    before = host_state()["definitions"]
    done = run_module("ns_definition", wanted(three.entries(first=bad)))
    assert [each["failed"] for each in done["namespaces"]] == [True, True, True]
    assert f"namespace {three.first}, whose net" in of(done, three.middle)["reason"]
    assert host_state()["definitions"] == before


def test_killed(three: Three, run_module: RunModule, new_name: NewName, converge: Converge) -> None:
    """Before each of its steps; the next run completes it, or takes all of it away."""
    present(converge, new_name())  # so that nsctl stays
    before = host_state()
    make = wanted(three.entries())
    gone = wanted([{"name": name} for name in three], state="absent")
    for task in (make, gone):
        for number in itertools.count(1):
            if task is gone:
                assert not run_module("ns_definition", make).get("failed")
            if not _is_killed(run_module, task, number):
                break
            done = run_module("ns_definition", make)
            assert not done.get("failed"), (number, done)
            three.check()
            assert run_module("ns_definition", make)["actions"] == [], number
            done = run_module("ns_definition", gone)
            assert not done.get("failed"), (number, done)
            assert host_state() == before, number
        assert number > 5
        assert not run_module("ns_definition", gone).get("failed")


def _is_killed(run_module: RunModule, task: Entry, number: int) -> bool:
    try:
        done = run_module("ns_definition", task, env={actions.KILL_VARIABLE: str(number)})
    except AssertionError as error:
        assert "status -9" in str(error)
        return True
    assert not done.get("failed"), done
    return False
