# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: namespaces with a root of their own."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from processes_inside import inside, living, mounts_inside
from results import Converge, RunModule

Entry = dict[str, t.Any]
USUAL = ["/dev", "/proc", "/run", "/tmp"]
MANNERS = ("overlay", "bind", "tmpfs")


class Site(t.NamedTuple):
    """A namespace, the directory that its root is a copy of, and its home."""

    name: str
    tree: pathlib.Path
    home: pathlib.Path

    def listed(self, manner: str, *mounts: Entry, upper: str = "new", **more: t.Any) -> Entry:
        """The options for it."""
        root = {"directory": str(self.tree), "root": manner, "home": str(self.home)}
        root["upper"] = upper
        return {"namespaces": [{"name": self.name, "rootfs": root, "mounts": [*mounts]}], **more}

    def seen(self, path: str) -> str:
        """What is in the file inside."""
        found: str = inside(self.name, lambda: pathlib.Path(path).read_text(), ["mnt"])
        return found

    def tops(self) -> list[str]:
        """The directories of its root that something is mounted on."""
        return sorted(each.path for each in mounts_inside(self.name) if each.path.count("/") == 1)


@pytest.fixture
def site(new_name: NewName, run_module: RunModule, tmp_path: pathlib.Path) -> t.Iterator[Site]:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/release").write_text("one")
    name = new_name()
    found = Site(name, tree, pathlib.Path(f"/run/tests/{name}"))
    yield found
    gone = run_module("ns_definition", found.listed("bind", state="absent", force=True))
    assert not gone.get("failed"), gone
    assert not found.home.exists()


def actions_of(result: t.Mapping[str, t.Any]) -> list[str]:
    (found,) = result["namespaces"]
    return list(found["actions"])


@pytest.mark.parametrize("manner", MANNERS)
def test_made_changed_and_gone(site: Site, converge: Converge, nsctl: Nsctl, manner: str) -> None:
    converge("ns_definition", site.listed(manner))
    assert site.home.stat().st_mode & 0o7777 == 0o700
    assert site.seen("/etc/release") == "one"
    assert site.tops() == ["/", *USUAL]
    assert inside(site.name, lambda: os.readlink("/dev/fd"), ["mnt"]) == "/proc/self/fd"
    converge("ns_definition", site.listed(manner, state="down"))
    assert nsctl("up", site.name).returncode == 0
    assert site.seen("/etc/release") == "one"
    converge("ns_definition", site.listed(manner))
    exported = nsctl("export", site.name).stdout
    assert nsctl("apply", "-", input=exported).stdout == f"{site.name}: as it should be\n"
    # Of what its source is now the next generation is made.
    (site.tree / "etc/release").write_text("two")
    converge("ns_definition", site.listed(manner))
    assert site.seen("/etc/release") == "two"
    converge("ns_definition", site.listed(manner, state="absent"))
    assert not site.home.exists()


def test_what_is_written_is_kept_beside(site: Site, converge: Converge) -> None:
    """Where somebody asks for it; then it takes another namespace."""
    converge("ns_definition", site.listed("overlay", upper="keep"))
    inside(site.name, lambda: pathlib.Path("/etc/written").write_text("x"), ["mnt"])
    (site.tree / "etc/release").write_text("two")
    converge("ns_definition", site.listed("overlay", recreate=True, upper="keep"))
    assert site.seen("/etc/written") == "x"
    assert not (site.tree / "etc/written").exists()
    assert os.listdir(site.home / "rootfs/etc") == ["release"]


@pytest.mark.parametrize("place", ["/dev/shm", "/tmp", "/run", "/dev/null"])
def test_a_mount_of_the_user_takes_the_place_of_a_usual_one(
    site: Site, converge: Converge, place: str
) -> None:
    """So a second run changes nothing."""
    if place == "/dev/null":
        own: Entry = {"path": place, "src": "/dev/zero", "opts": ["bind"]}
    else:
        own = {"path": place, "src": "own", "fstype": "tmpfs", "opts": "size=1m"}
    converge("ns_definition", site.listed("bind", own))
    (found,) = [each for each in mounts_inside(site.name) if each.path == place]
    if place == "/dev/null":
        assert inside(site.name, lambda: os.stat(place).st_rdev, ["mnt"]) == os.makedev(1, 5)
    else:
        assert (found.src, found.fstype) == ("own", "tmpfs")
        assert "size=1024k" in found.options
    done = converge("ns_definition", site.listed("bind"))
    assert done["changed"]
    if place != "/dev/null":
        (found,) = [each for each in mounts_inside(site.name) if each.path == place]
        assert found.src != "own"


def test_places_that_are_missing_are_made(
    site: Site, converge: Converge, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    """In the root alone, and said by nobody."""
    (tmp_path / "data").mkdir()
    (tmp_path / "file").write_text("x")
    mounts = [
        {"path": "/data/deep", "src": str(tmp_path / "data"), "opts": ["bind", "nosuid"]},
        {"path": "/etc/file", "src": str(tmp_path / "file"), "opts": ["bind"]},
    ]
    converge("ns_definition", site.listed("overlay", *mounts))
    assert site.seen("/etc/file") == "x"
    assert os.listdir(site.tree) == ["etc"]
    (exported,) = json.loads(nsctl("export", site.name).stdout)["namespaces"]
    assert exported["mounts"] == mounts


def test_without_what_is_usual(site: Site, converge: Converge) -> None:
    entry = site.listed("bind")
    entry["namespaces"][0]["rootfs"]["usual_mounts"] = False
    converge("ns_definition", entry)
    assert site.tops() == ["/"]


def test_another_manner(site: Site, converge: Converge, run_module: RunModule) -> None:
    converge("ns_definition", site.listed("bind"))
    refused = run_module("ns_definition", site.listed("tmpfs"))
    assert "recreate" in refused["namespaces"][0]["hint"]
    converge("ns_definition", site.listed("tmpfs", recreate=True))
    (root,) = [each for each in mounts_inside(site.name) if each.path == "/"]
    assert root.fstype == "tmpfs"


def test_no_root_any_more(site: Site, converge: Converge, run_module: RunModule) -> None:
    """What it had on the host goes with it."""
    converge("ns_definition", site.listed("bind"))
    without = {"namespaces": [{"name": site.name}]}
    assert run_module("ns_definition", without)["failed"]
    converge("ns_definition", {**without, "recreate": True})
    assert not site.home.exists()
    converge("ns_definition", {**without, "state": "absent"})


def test_one_that_fails_leaves_nothing(site: Site, run_module: RunModule, nsctl: Nsctl) -> None:
    broken = {"path": "/x", "src": "/nowhere/at/all", "opts": ["bind", "X-mount.mkdir"]}
    refused = run_module("ns_definition", site.listed("overlay", broken))
    assert "/nowhere/at/all" in refused["msg"]
    assert not refused["changed"]
    assert not site.home.exists()
    assert site.name not in {each["name"] for each in nsctl.data("list")}


def test_a_directory_of_somebody_else_is_no_home(site: Site, run_module: RunModule) -> None:
    """It would be closed, and removed with the namespace."""
    site.home.mkdir(mode=0o755)
    (site.home / "data").write_text("of the user")
    for check in (True, False):
        for state in ("present", "absent"):
            refused = run_module("ns_definition", site.listed("overlay", state=state), check=check)
            assert f"{site.home} is there, and is no home of a root" in refused["msg"]
    assert site.home.stat().st_mode & 0o7777 == 0o755
    assert (site.home / "data").read_text() == "of the user"
    (site.home / "data").unlink()


def test_processes_in_the_old_root_are_in_the_way_of_one_in_its_place(
    site: Site, converge: Converge, run_module: RunModule
) -> None:
    def listed(**more: t.Any) -> Entry:
        return site.listed("overlay", upper="keep", recreate=True, **more)

    converge("ns_definition", listed())
    (site.tree / "etc/release").write_text("two")
    with living(site.name) as pid:
        for check in (True, False):
            refused = run_module("ns_definition", listed(), check=check)
            assert str(pid) in refused["msg"]
        assert site.seen("/etc/release") == "one"
        done = run_module("ns_definition", listed(force=True))
        assert not done.get("failed"), done["msg"]
    assert site.seen("/etc/release") == "two"
