# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: another root takes the place of the one that serves, and goes back."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import typing as t

import pytest
from command import Nsctl
from connected import Connected
from generation_site import Site, site
from named_namespaces import NewName
from processes_inside import inside, living
from reboots import reboot
from results import Converge

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import kill, proc

KILL = "LINUX_NAMESPACES_KILL_BEFORE"
__all__ = ["site"]


def actions_of(result: t.Mapping[str, t.Any]) -> list[str]:
    (found,) = result["namespaces"]
    return list(found["actions"])


@pytest.mark.parametrize("manner", ["overlay", "bind", "tmpfs"])
@pytest.mark.parametrize("kinds", [["mnt", "net", "uts"], ["mnt", "net", "pid", "uts"]], ids=len)
def test_another_root_and_back(
    site: Site, converge: Converge, nsctl: Nsctl, manner: str, kinds: list[str]
) -> None:
    """Built beside, in the same network; check mode says so."""
    rootfs = {"root": manner}
    converge("ns_definition", site.listed(kinds=kinds, rootfs=rootfs))
    assert site.runs("one a a")
    inside(site.name, lambda: pathlib.Path("/etc/written").write_text("x"), ["mnt"])
    ids, pid = site.ids(), site.pid(nsctl)
    site.release("two")
    done = converge("ns_definition", site.listed("b", kinds=kinds, rootfs=rootfs))
    assert f"build generation 2 of {site.name}" in actions_of(done)
    at = actions_of(done).index(f"switch {site.name} to generation 2")
    assert actions_of(done)[at + 1 :][:2] == ["stop service x", "start service x"]
    assert site.runs("two b b")
    assert kill.has_ended(pid)
    now = site.ids()
    assert (now["net"], now["uts"]) == (ids["net"], ids["uts"])
    assert now["mnt"] != ids["mnt"]
    assert proc.ids_of_process(site.pid(nsctl), ["mnt"])["mnt"] == now["mnt"]
    assert not inside(site.name, lambda: os.path.exists("/etc/written"), ["mnt"])
    (listed,) = nsctl.data("list", site.name)
    assert (listed["state"], listed["generation"]["number"]) == ("up", 2)
    assert [each["number"] for each in listed["generation"]["before"]] == [1]

    # Back, and forth again: with what was written, and what it ran with.
    args = {"namespaces": [{"name": site.name}], "state": "rolled_back"}
    predicted = site.run_module("ns_definition", args, check=True)
    done = site.has(args)
    assert predicted["actions"] == done["actions"]
    assert site.runs("one a a")
    assert inside(site.name, lambda: os.path.exists("/etc/written"), ["mnt"]) == (manner != "tmpfs")
    answer = nsctl("rollback", site.name)
    assert answer.stdout.startswith(f"{site.name}: build generation 2 of {site.name}; switch")
    assert site.runs("two b b")
    done = site.run_module("ns_definition", site.listed("b", kinds=kinds, rootfs=rootfs))
    assert done["actions"] == []
    assert site.ids()["net"] == ids["net"]


def test_one_that_does_not_become_ready(site: Site, nsctl: Nsctl) -> None:
    """The one before serves again as it was, and nothing of the other is left."""
    site.has(site.listed())
    ids = site.ids()
    site.release("bad")
    refused = site.tries(site.listed("b"))
    (found,) = refused["namespaces"]
    assert found["step"] == "start service x"
    assert "gone wrong" in found["reason"]
    assert f"Generation 1 of {site.name} serves again, not 2." in found["hint"]
    assert site.runs("one a a")
    assert site.ids() == ids
    assert (site.home / "x/conf").read_text() == "a"
    (listed,) = nsctl.data("list", site.name)
    assert (listed["state"], listed["generation"]["number"]) == ("up", 1)
    assert listed["generation"]["before"] == []
    assert listed["reason"].startswith("generation 2 does not serve: ")
    assert "gone wrong" in listed["reason"]
    assert not (site.home / "generations").exists()
    assert not os.path.exists(f"/run/linux-namespaces/.next.{site.name}")
    site.release("three")
    site.has(site.listed("c"))
    assert site.runs("three c c")
    (listed,) = nsctl.data("list", site.name)
    assert listed["reason"] == ""


def test_one_that_is_not_as_it_should_be_never_serves(site: Site, nsctl: Nsctl) -> None:
    verify = {"verify": ["/bin/sh", "-c", "cat /etc/release; grep -q good /etc/release"]}
    site.has(site.listed())
    pid = site.pid(nsctl)
    site.release("two")
    refused = site.run_module("ns_definition", site.listed("b", rootfs=verify))
    (found,) = refused["namespaces"]
    assert found["step"] == "verify by /bin/sh"
    assert found["reason"] == "the check by /bin/sh ended with 1: two"
    assert site.pid(nsctl) == pid
    assert (site.home / "x/conf").read_text() == "a"
    assert not (site.home / "generations").exists()
    site.release("good")
    site.has(site.listed("b", rootfs=verify))
    assert site.runs("good b b")


@pytest.mark.parametrize("most", [0, 1, 2])
def test_as_many_are_kept_as_are_asked_for(site: Site, nsctl: Nsctl, most: int) -> None:
    rootfs = {"keep_generations": most}
    for each in ("one", "two", "three", "four"):
        site.release(each)
        site.has(site.listed(rootfs=rootfs))
    (listed,) = nsctl.data("list", site.name)
    numbers = [each["number"] for each in listed["generation"]["before"]]
    assert numbers == [1, 2, 3][3 - most :]
    there = {int(each) for each in os.listdir(site.home / "generations")}
    assert there == {*numbers, 4}
    assert not (site.home / "rootfs").exists()
    answer = nsctl("rollback", site.name, code=0 if most else 1)
    if most:
        assert site.runs("three a a")
    else:
        assert f"There is no generation of {site.name} to go back to." in answer.stderr
    # Fewer are wanted: what is not goes at once.
    site.release("three")
    site.has(site.listed(rootfs={"keep_generations": 0}))
    assert len(os.listdir(site.home / "generations")) == 1


def test_who_lives_in_the_one_before_lives_on(site: Site, nsctl: Nsctl) -> None:
    site.has(site.listed())
    with living(site.name) as pid:
        site.release("two")
        site.has(site.listed())
        assert not kill.has_ended(pid)
        assert site.runs("two a a")
        assert nsctl("exec", site.name, "cat", "/etc/release").stdout == "two"


def test_services_that_come_and_go_with_a_root(site: Site, nsctl: Nsctl) -> None:
    """One that is not wanted any more is there again where the new root does not serve."""
    args = site.listed()
    (service,) = args["namespaces"][0]["services"]
    other = {"name": "y", "argv": ["/bin/sleep", "infinity"]}
    site.has(site.listed(services=[service, other]))
    site.release("bad")
    refused = site.tries(args)
    assert refused["failed"]
    states = {each["name"]: each["state"] for each in nsctl.data("show", site.name)["services"]}
    assert states == {"x": "started", "y": "started"}
    site.release("two")
    site.has(site.listed(services=[service]))
    assert [each["name"] for each in nsctl.data("show", site.name)["services"]] == ["x"]
    nsctl("rollback", site.name)
    states = {each["name"]: each["state"] for each in nsctl.data("show", site.name)["services"]}
    assert states == {"x": "started", "y": "started"}


def test_what_goes_with_a_root(site: Site, converge: Converge, nsctl: Nsctl) -> None:
    """A service, a file and a setting; check mode says so. Going back brings them again."""
    args = site.listed()
    entry = args["namespaces"][0]
    other = {"name": "y", "argv": ["/bin/sleep", "infinity"]}
    other["files"] = [{"dest": f"{site.home}/y/conf", "content": "y"}]
    entry.update(hostname="one", services=[*entry["services"], other])
    site.has(args)
    site.release("two")
    less = site.listed()
    less["namespaces"][0]["hostname"] = "two"
    converge("ns_definition", less)
    assert site.runs("two a a")
    assert not (site.home / "y/conf").exists()
    assert [each["name"] for each in nsctl.data("show", site.name)["services"]] == ["x"]
    args = {"namespaces": [{"name": site.name}], "state": "rolled_back"}
    predicted = site.run_module("ns_definition", args, check=True)
    assert predicted["actions"] == site.has(args)["actions"]
    assert site.runs("one a a")
    assert (site.home / "y/conf").read_text() == "y"
    assert nsctl("exec", site.name, "hostname").stdout == "one\n"
    states = {each["name"]: each["state"] for each in nsctl.data("show", site.name)["services"]}
    assert states == {"x": "started", "y": "started"}


def test_while_it_is_down(site: Site, nsctl: Nsctl) -> None:
    """Another root begins with nothing written to it there as well."""
    site.has(site.listed())
    inside(site.name, lambda: pathlib.Path("/etc/written").write_text("x"), ["mnt"])
    site.has(site.listed(state="down"))
    site.release("two")
    site.has(site.listed("b"))
    assert site.runs("two b b")
    assert not inside(site.name, lambda: os.path.exists("/etc/written"), ["mnt"])
    nsctl("rollback", site.name)
    assert inside(site.name, lambda: os.path.exists("/etc/written"), ["mnt"])


def test_it_comes_back_as_it_is_after_a_reboot(site: Site, nsctl: Nsctl) -> None:
    site.has(site.listed())
    site.release("two")
    site.has(site.listed())
    reboot()
    nsctl("up", site.name)
    assert nsctl("exec", site.name, "cat", "/etc/release").stdout == "two"
    assert site.has(site.listed())["actions"] == [f"{site.name}: start service x"]
    nsctl("rollback", site.name)
    assert site.runs("one a a")


def test_a_power_cut_before_it_serves(site: Site, nsctl: Nsctl) -> None:
    """It comes up as it was before, and says why."""
    site.has(site.listed())
    site.release("two")
    with pytest.raises(AssertionError, match="status -9"):
        site.tries(site.listed("b"), env={KILL: "start service x"})
    assert nsctl.data("list", site.name)[0]["reason"].startswith("it is just switched")
    reboot()
    nsctl("up", site.name)
    assert nsctl("exec", site.name, "cat", "/etc/release").stdout == "one"
    (listed,) = nsctl.data("list", site.name)
    assert listed["reason"] == "generation 2 does not serve: its run was killed before it served"
    site.has(site.listed("b"))
    assert site.runs("two b b")


def test_one_that_lasts_no_more(site: Site, nsctl: Nsctl) -> None:
    """It is changed in the same task as its root."""
    site.has(site.listed())
    site.release("two")
    args = site.listed()
    args["namespaces"][0]["persistent"] = False
    site.has(args)
    assert site.runs("two a a")
    assert not nsctl.data("list", site.name)[0]["persistent"]
    nsctl("rollback", site.name)
    assert site.runs("one a a")


def test_nothing_to_go_back_to(site: Site, nsctl: Nsctl, new_name: NewName) -> None:
    site.has(site.listed())
    answer = nsctl("rollback", site.name, code=1)
    assert f"There is no generation of {site.name} to go back to." in answer.stderr
    answer = nsctl("rollback", new_name(), code=1)
    assert "there is no namespace" in answer.stderr.lower()
    kept = f"/etc/linux-namespaces/generations/{site.name}.json"
    assert not os.path.exists(kept)


def test_killed_wherever(site: Site, nsctl: Nsctl) -> None:
    """The next run brings the new one; and a boot, or `nsctl up`, finds one of the two whole."""
    site.has(site.listed())
    for number in range(2, 200, 9):
        site.release(f"root{number}")
        try:
            done = site.tries(site.listed(f"{number}"), env={KILL: str(number)})
        except AssertionError as error:
            assert "ended with status -9" in str(error)
        else:
            if not done.get("failed"):
                break
        nsctl("up", site.name)
        release = nsctl("exec", site.name, "cat", "/etc/release").stdout
        (listed,) = nsctl.data("list", site.name)
        assert listed["state"] == "up"
        kept = json.loads(nsctl("export", site.name).stdout)["namespaces"][0]["services"]
        runs = release != f"root{number}"
        assert [each["environment"]["MODE"] == f"{number}" for each in kept] == [not runs]
        site.has(site.listed(f"{number}"))
        assert site.run_module("ns_definition", site.listed(f"{number}"))["actions"] == []
        assert nsctl("exec", site.name, "cat", "/etc/release").stdout == f"root{number}"
        assert len(os.listdir(site.home / "generations")) <= 2
    assert number > 30


def test_what_asks_for_the_service_finds_the_new_one(site: Site, nsctl: Nsctl) -> None:
    """Its process in the result of the module, its log where it was, and the inside by an open connection."""
    site.has(site.listed())
    inner = Connected(namespace=site.name)
    assert inner.said("cat /etc/release") == "one"
    pid, log = site.pid(nsctl), f"/var/log/linux-namespaces/{site.name}/x.log"
    inode = os.stat(log).st_ino
    site.release("two")
    site.has(site.listed())
    again = site.run_module("ns_service", {"name": "x", "namespace": site.name})
    assert again["service"]["pid"] == site.pid(nsctl) != pid
    assert (again["service"]["log"], os.stat(log).st_ino) == (log, inode)
    assert inner.said("cat /etc/release") == "two"


def test_equal_files_of_two_roots_take_their_room_once(site: Site) -> None:
    (site.tree / "opt").mkdir()
    (site.tree / "opt/large").write_bytes(b"x" * (1 << 20))
    site.has(site.listed())
    site.release("two")
    site.has(site.listed())
    one, two = (site.home / part / "opt/large" for part in ("rootfs", "generations/2/rootfs"))
    assert one.samefile(two)


def test_what_was_written_may_stay_and_says_what_it_hides(site: Site) -> None:
    keep = {"rootfs": {"upper": "keep"}, "recreate": True}
    site.has(site.listed(**keep))
    inside(site.name, lambda: pathlib.Path("/etc/release").write_text("mine"), ["mnt"])
    site.release("two")
    done = site.has(site.listed(**keep))
    assert "hides what is newer: /etc/release." in str(done["warnings"])
    assert site.runs("mine a a")


def test_in_a_user_namespace(site: Site, nsctl: Nsctl) -> None:
    """The new mounts belong to the same one."""
    args = site.listed(kinds=["mnt", "net", "pid", "user", "uts"])
    args["namespaces"][0].update(id_map="root")
    site.has(args)
    before = os.stat(f"/run/linux-namespaces/{site.name}/user").st_ino
    site.release("two")
    site.has(args)
    assert site.runs("two a a")
    assert os.stat(f"/run/linux-namespaces/{site.name}/user").st_ino == before
    nsctl("rollback", site.name)
    assert site.runs("one a a")
    assert site.run_module("ns_definition", args, check=True)["changed"]


def test_what_cannot_be_mounted_twice_takes_another_namespace(site: Site) -> None:
    for part in ("lower", "upper", "work"):
        (site.home.parent / f"{site.name}-{part}").mkdir()
    layers = {part: f"{site.home}-{part}" for part in ("lower", "upper", "work")}
    words = [f"{part}dir={path}" for part, path in layers.items()]
    own = {"path": "/own", "src": "own", "fstype": "overlay", "opts": words}
    args = site.listed()
    args["namespaces"][0]["mounts"].append(own)
    site.has(args)
    site.release("two")
    for check in (True, False):
        refused = site.run_module("ns_definition", args, check=check)
        assert "what is written to the overlay on /own goes to one place only" in refused["msg"]
        assert "recreate: true" in refused["msg"]
    site.has({**args, "recreate": True})
    assert site.runs("two a a")
    for path in layers.values():
        shutil.rmtree(path)
