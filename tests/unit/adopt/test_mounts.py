# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mounts of a namespace are its own, and how they are said: from mount tables alone."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt import mounts
from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt.adopted import Adopted
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table

HOST = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw,nosuid shared:2 - proc proc rw
23 21 0:21 / /run rw,nosuid,nodev shared:3 - tmpfs tmpfs rw,mode=755
24 21 8:2 / /data ro,noatime shared:4 - ext4 /dev/sda2 rw
25 24 8:3 / /data/over rw,relatime shared:5 - ext4 /dev/sda3 rw
"""
# The same as in a new namespace.
COPY = r"""
41 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
42 41 0:20 / /proc rw,nosuid - proc proc rw
43 41 0:21 / /run rw,nosuid,nodev - tmpfs tmpfs rw,mode=755
44 41 8:2 / /data ro,noatime - ext4 /dev/sda2 rw
45 44 8:3 / /data/over rw,relatime - ext4 /dev/sda3 rw
"""


def of(*rows: str, base: str = COPY, full: t.Container[str] = ()) -> Adopted:
    found = Adopted("web")
    lines = [*base.strip().splitlines(), *rows]
    mounts.add(found, table.parse("\n".join(lines) + "\n"), table.parse(HOST.lstrip()), full)
    found.settle()
    found.check()
    return found


def only(row: str) -> dict[str, t.Any]:
    found = of(row)
    assert found.left == []
    (mount,) = found.mounts
    return mount


def test_a_copy_of_the_hosts_has_nothing_of_its_own() -> None:
    found = of()
    assert found.options() == {"name": "web", "kinds": ["mnt"]}
    assert found.left == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            r"50 41 0:50 / /mnt rw,relatime - tmpfs x\040y rw,size=1024k",
            {"path": "/mnt", "src": "x y", "fstype": "tmpfs", "opts": ["size=1024k"]},
        ),
        (
            "50 41 0:50 / /mnt ro,nosuid,noatime - tmpfs t ro",
            {"path": "/mnt", "src": "t", "fstype": "tmpfs", "opts": ["ro", "nosuid", "noatime"]},
        ),
        (
            "50 41 0:50 / /mnt rw - tmpfs t rw",
            {"path": "/mnt", "src": "t", "fstype": "tmpfs", "opts": ["strictatime"]},
        ),
        (
            r"50 41 0:50 / /mnt rw,relatime - tmpfs t rw,mpol=bind:0\0541",
            {"path": "/mnt", "src": "t", "fstype": "tmpfs", "opts": ['mpol="bind:0,1"']},
        ),
        # A part of what the host has.
        (
            "50 41 8:1 /srv/d /mnt ro,relatime - ext4 /dev/sda1 rw",
            {"path": "/mnt", "src": "/srv/d", "opts": ["bind", "ro"]},
        ),
        # With other flags than the mount that is shown.
        (
            "50 41 8:2 /d /mnt rw,relatime - ext4 /dev/sda2 rw",
            {"path": "/mnt", "src": "/data/d", "opts": ["bind", "rw", "relatime"]},
        ),
        (
            "50 41 0:21 / /mnt rw,relatime - tmpfs tmpfs rw",
            {"path": "/mnt", "src": "/run", "opts": ["bind", "suid", "dev", "relatime"]},
        ),
        (
            r"50 41 8:1 /a\012b /m\011n rw,relatime - ext4 /dev/sda1 rw",
            {"path": "/m\tn", "src": "/a\nb", "opts": ["bind"]},
        ),
    ],
)
def test_mounts(row: str, said: dict[str, t.Any]) -> None:
    assert only(row) == said


def test_a_mount_of_the_hosts_with_other_flags() -> None:
    base = COPY.replace("/proc rw,nosuid", "/proc ro,nosuid")
    found = of(base=base)
    assert found.mounts == [
        {"path": "/proc", "src": "/proc", "opts": ["bind", "ro", "nosuid", "strictatime"]}
    ]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("50 41 0:50 / /mnt rw - fuse.sshfs x rw,user_id=0", "a fuse.sshfs that nothing can make"),
        ("50 41 0:4 mnt:[402] /mnt rw - nsfs nsfs rw", "a nsfs that nothing can make again"),
        ("50 41 0:50 /sub /mnt rw - tmpfs t rw", "a tmpfs that nothing can make again"),
        ("50 41 8:1 /x//deleted /mnt rw,relatime - ext4 /dev/sda1 rw", "was removed"),
        ("50 41 8:1 /x /mnt rw,relatime,idmapped - ext4 /dev/sda1 rw", "ids are mapped"),
        # Below another mount of the host's.
        ("50 41 8:2 /over/x /mnt rw,relatime - ext4 /dev/sda2 rw", "nowhere on the host"),
        ('50 41 0:50 / /mnt rw,relatime - tmpfs t rw,x="', "a quote"),
        (
            "50 43 0:50 / /run/linux-namespaces rw,relatime - tmpfs t rw",
            "named namespaces are the host's",
        ),
    ],
)
def test_what_is_left(row: str, why: str) -> None:
    found = of(row)
    assert found.mounts == []
    (left,) = found.left
    assert left.startswith("the mount on /")
    assert why in left


def test_what_is_hidden_is_not_there() -> None:
    found = of(
        "50 41 0:50 / /mnt/below rw,relatime - tmpfs hidden rw",
        "51 41 0:51 / /mnt rw,relatime - tmpfs covered rw",
        "52 51 0:52 / /mnt rw,relatime - tmpfs top rw",
    )
    assert [each["src"] for each in found.mounts] == ["top"]
    assert found.left == []


def test_a_mount_comes_after_what_it_is_mounted_on() -> None:
    # It was moved there, and is older.
    found = of(
        "50 51 0:50 / /mnt/x rw,relatime - tmpfs upper rw",
        "51 41 0:51 / /mnt rw,relatime - tmpfs lower rw",
    )
    assert [each["src"] for each in found.mounts] == ["lower", "upper"]
    assert found.mounts[1]["opts"] == ["X-mount.mkdir"]


def test_what_lies_in_memory_is_told() -> None:
    row = "50 41 0:50 / /mnt rw,relatime - tmpfs x rw"
    assert of(row, full={"/mnt"}).left == ["what lies in /mnt: a tmpfs is empty when it is made"]


def test_what_the_host_has_and_this_has_not() -> None:
    base = "\n".join(COPY.strip().splitlines()[:3])
    assert of(base=base).left == [
        f"that the host's mount on {path} is not there: a new mount namespace has what the host has"
        for path in ("/data", "/data/over")
    ]
    assert of("50 41 0:50 / /data rw,relatime - tmpfs x rw", base=base).left == []


@pytest.mark.parametrize(
    ("peers", "propagation"),
    [
        ("", "private"),
        ("master:1 ", "slave"),
        ("shared:77 master:1 ", "slave"),
        ("shared:1 ", "unchanged"),
        ("shared:77 ", "private"),
    ],
)
def test_propagation(peers: str, propagation: str) -> None:
    found = of(base=COPY.replace("/ / rw,relatime ", f"/ / rw,relatime {peers}"))
    assert found.properties.get("propagation", "private") == propagation


ROOT = "60 1 {} / rw,relatime shared:1 - {} rw"


def test_a_root_of_the_hosts() -> None:
    found = of(
        "61 60 0:60 / /proc rw,relatime - proc proc rw",
        "62 61 0:60 /sys /proc/sys ro,relatime - proc proc rw",
        "63 62 0:60 /sys/net /proc/sys/net rw,relatime - proc proc rw",
        base=ROOT.format("8:1 /srv/root", "ext4 /dev/sda1"),
    )
    home = "/var/lib/linux-namespaces-web/root"
    assert found.left == []
    assert found.root == {"path": home, "src": "/srv/root", "opts": ["bind", "X-mount.mkdir"]}
    own = {"src_in": "namespace"}
    assert found.mounts == [
        {"path": "/proc", "src": "proc", "fstype": "proc"},
        {"path": "/proc/sys", "src": "/proc/sys", "opts": ["bind", "ro"], **own},
        {"path": "/proc/sys/net", "src": "/proc/sys/net", "opts": ["bind", "rw"], **own},
    ]
    # A root that is to be pivoted to may not be shared (pivot_root(2)).
    assert "propagation" not in found.properties


def test_a_root_in_memory() -> None:
    found = of("61 60 8:1 /usr /usr ro,relatime - ext4 d rw", base=ROOT.format("0:9 /", "tmpfs t"))
    assert found.root is not None
    assert found.root["fstype"] == "tmpfs"
    assert found.mounts[0]["opts"] == ["bind", "ro", "X-mount.mkdir"]
    assert found.left == ["the root: what lies in its tmpfs is not a part of definitions"]


def test_a_root_that_cannot_be_made() -> None:
    row = "61 60 0:61 / /mnt rw,relatime - tmpfs t rw"
    found = of(row, base=ROOT.format("0:9 /", "fuse.x x"))
    assert found.options() == {"name": "web", "kinds": ["mnt"]}
    assert found.left == [
        "the root, and what is mounted on it: a fuse.x that nothing can make again: give it a rootfs"
    ]
