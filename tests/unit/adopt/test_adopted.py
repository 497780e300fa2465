# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken over makes sense, each by itself and all together; what does not is said."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt.adopted import Adopted
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    definition,
    table,
)


def tmpfs(path: str, *opts: str) -> dict[str, t.Any]:
    return {"path": path, "src": "t", "fstype": "tmpfs", "opts": list(opts)}


def bind(path: str, src: str = "/srv", *opts: str) -> dict[str, t.Any]:
    return {"path": path, "src": src, "opts": ["bind", *opts]}


def with_mounts(*mounts: dict[str, t.Any]) -> Adopted:
    found = Adopted("web")
    for mount in mounts:
        found.add_mount(mount, mount["path"])
    found.settle()
    found.check()
    return found


def test_nothing() -> None:
    found = Adopted("web")
    found.check()
    assert found.options() == {"name": "web", "kinds": ["mnt"]}


def test_options_are_what_a_file_takes() -> None:
    found = with_mounts(bind("/data"))
    found.set("propagation", "slave", "the propagation")
    found.add_service({"name": "web", "argv": ["/bin/true"]}, "the service")
    file = table.read(definition.FILE, {"namespaces": [found.options()]}, "the file")
    (request,) = definition.requests_of(file["namespaces"], lock_timeout=0)
    assert [each.path for each in request.mounts] == ["/data"]
    assert [each.name for each in request.services] == ["web"]
    assert found.left == []


def test_places_are_made_on_what_is_empty_at_first() -> None:
    found = with_mounts(
        tmpfs("/a", "size=1m"),
        bind("/a/b", "/srv"),
        tmpfs("/a/b/c"),
        tmpfs("/a/d"),
        tmpfs("/a/d/e", "X-mount.mkdir"),
        tmpfs("/ab"),
    )
    made = [each["path"] for each in found.mounts if "X-mount.mkdir" in each["opts"]]
    # /a/b/c lies in a directory of the host's.
    assert made == ["/a/b", "/a/d", "/a/d/e"]
    assert found.mounts[4]["opts"] == ["X-mount.mkdir"]


@pytest.mark.parametrize("fstype", ["tmpfs", ""])
def test_a_root_of_its_own(fstype: str) -> None:
    found = Adopted("web")
    found.root = {"path": "/new", "src": "/srv/root", "opts": ["ro", "nosuid"]}
    found.root.update({"fstype": fstype, "src": "t"} if fstype else {})
    found.root["opts"] += [] if fstype else ["bind"]
    found.add_mount(bind("/data"), "a")
    found.add_mount({**bind("/usr", "/usr"), "src_in": "namespace"}, "b")
    found.settle()
    found.check()
    root, data, usr, pivot = found.options()["steps"]
    assert (data["path"], data["src"]) == ("/new/data", "/srv")
    assert (usr["path"], usr["src"]) == ("/new/usr", "/new/usr")
    assert pivot == {"do": "pivot", "new_root": "/new"}
    assert ("ro" in root["opts"]) == (not fstype)
    assert ("X-mount.mkdir" in data["opts"]) == bool(fstype)
    assert len(found.left) == bool(fstype)
    assert "mounts" not in found.options()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (bind("/"), "the root is another matter"),
        (bind("/a/"), "something else is mounted on /a,"),
        (bind("b"), "must be an absolute path"),
        (bind("/b", "relative"), "must be an absolute path"),
        (bind("/b", "/srv", "size=1m"), "takes no file-system option"),
        ({"path": "/b", "fstpe": "tmpfs"}, "which is unknown"),
        ({"path": "/b", "src": "x"}, "needs fstype"),
    ],
)
def test_a_mount_that_makes_no_sense(said: dict[str, t.Any], why: str) -> None:
    found = with_mounts(bind("/a"))
    found.add_mount(said, "line 7")
    assert len(found.mounts) == 1
    (left,) = found.left
    assert left.startswith("line 7: ")
    assert why in left


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("hostname", "", "1 to 64 bytes"),
        ("hostname", "x" * 65, "1 to 64 bytes"),
        ("id_map", {"uid": [], "gid": []}, "id_map"),
        ("time_offsets", {"monotonic": 1}, "needs the kind time"),
    ],
)
def test_an_option_that_makes_no_sense(option: str, value: t.Any, why: str) -> None:
    found = Adopted("web", kinds={"uts", "user", "mnt"})
    found.set(option, value, "what it is")
    assert option not in found.properties
    (left,) = found.left
    assert left.startswith("what it is: ")
    assert why in left
    # Not where in a list it stands, of which nobody knows.
    assert "namespaces[" not in left
    found.check()


def test_a_service_that_makes_no_sense() -> None:
    found = Adopted("web")
    found.add_service({"name": "a/b", "argv": ["x"]}, "the service of a.service")
    assert found.services == []
    (left,) = found.left
    assert left.startswith("the service of a.service: 'a/b' cannot be a name")


def test_what_makes_no_sense_as_a_whole_is_not_printed() -> None:
    found = Adopted("web", kinds={"net"})
    found.mounts.append(bind("/a"))
    with pytest.raises(Refused, match="need the kind mnt"):
        found.check()
