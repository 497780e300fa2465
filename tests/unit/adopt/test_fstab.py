# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of an fstab(5) as mounts of a named namespace."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt import fstab
from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt.adopted import Adopted


def of(*lines: str | bytes) -> Adopted:
    text = b"\n".join(each.encode() if isinstance(each, str) else each for each in lines)
    found = fstab.of("web", text, "/etc/fstab")
    found.check()
    return found


def only_mount(line: str | bytes) -> dict[str, t.Any]:
    found = of(line)
    assert found.left == []
    (mount,) = found.mounts
    return mount


def test_a_whole_file() -> None:
    found = of(
        "# <file system> <mount point> <type> <options> <dump> <pass>",
        "",
        "  \t ",
        "UUID=1234  /         ext4   errors=remount-ro 0 1",
        "/dev/sda2  none      swap   sw                0 0",
        "/swap.img  swap      swap   defaults          0 0",
        "tmpfs      /scratch  tmpfs  defaults,size=1m  0 0",
        "/srv/data\t/data\tnone\tbind,ro,nosuid",
        "/dev/sr0   /media    iso9660 user,noauto      0 0",
        "LABEL=disk /srv      ext4   nofail            0 2",
        "proc       /proc     proc",
    )
    assert found.options() == {
        "name": "web",
        "kinds": ["mnt"],
        "mounts": [
            {"path": "/scratch", "src": "tmpfs", "fstype": "tmpfs", "opts": ["size=1m"]},
            {"path": "/data", "src": "/srv/data", "opts": ["bind", "ro", "nosuid"]},
            {"path": "/srv", "src": "LABEL=disk", "fstype": "ext4", "opts": ["nofail"]},
            {"path": "/proc", "src": "proc", "fstype": "proc"},
        ],
    }
    assert found.left == [
        "line 4 of /etc/fstab: the root is another matter: see rootfs",
        "line 5 of /etc/fstab: swap is the host's",
        "line 6 of /etc/fstab: swap is the host's",
        "line 9 of /etc/fstab: with noauto it is mounted when somebody asks for it, which nobody would",
    ]


def test_nothing_at_all() -> None:
    found = of("")
    assert found.options() == {"name": "web", "kinds": ["mnt"]}
    assert found.left == []


@pytest.mark.parametrize(
    ("line", "path", "src"),
    [
        (r"/srv/a\040b /my\011dir none bind", "/my\tdir", "/srv/a b"),
        (r"/srv/a\134040 /b none bind", "/b", r"/srv/a\040"),
        (r"/srv/\303\251 /b none bind", "/b", "/srv/é"),
        (rb"/srv/\377 /b none bind", "/b", "/srv/\udcff"),
        (b"/srv/\xff /b none bind", "/b", "/srv/\udcff"),
        ("/srv/é /b none bind", "/b", "/srv/é"),
        # No white space that parts fields, or lines.
        ("/srv/a\u00a0b\u2028\x0b\x0c\x85c /b none bind", "/b", "/srv/a\u00a0b\u2028\x0b\x0c\x85c"),
        (r"/srv/a\012b /b none bind", "/b", "/srv/a\nb"),
        ("/srv/a /b// none bind\r", "/b", "/srv/a"),
        (r"/srv/\400 /b none bind", "/b", r"/srv/\400"),
        (r"/srv/\9 /b none bind", "/b", r"/srv/\9"),
    ],
)
def test_names(line: str | bytes, path: str, src: str) -> None:
    mount = only_mount(line)
    assert (mount["path"], mount["src"]) == (path, src)


@pytest.mark.parametrize(
    ("src", "expected"),
    [
        (r"LABEL=my\040disk", "LABEL=my disk"),
        ('LABEL="disk"', 'LABEL="disk"'),
        ("PARTUUID=12-34", "PARTUUID=12-34"),
    ],
)
def test_devices_by_what_is_on_them(src: str, expected: str) -> None:
    assert only_mount(f"{src} /srv ext4 ro")["src"] == expected


def test_a_comma_in_a_value_stays_one() -> None:
    mount = only_mount('none /a overlay lowerdir=/x,context="a,b",ro')
    assert mount["opts"] == ["lowerdir=/x", 'context="a,b"', "ro"]


def test_what_is_on_an_empty_file_system_has_its_place_made() -> None:
    found = of(
        "t /a tmpfs ro,size=1m",
        "/srv /a/b none bind",
        "/dev/sda1 /c ext4",
        "t /c/d tmpfs",
    )
    assert [each.get("opts") for each in found.mounts] == [
        ["size=1m"],
        ["bind", "X-mount.mkdir"],
        None,
        None,
    ]
    assert found.left == ["ro of /a: places have to be made in it for what is mounted there"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("bad", "it has 1 field, which is no line of fstab(5)"),
        ("two fields", "it has 2 fields, which is no line of fstab(5)"),
        ("a b c d 0 0 x", "it has 7 fields, which is no line of fstab(5)"),
        ("tmpfs relative tmpfs", "must be an absolute path"),
        ("tmpfs /a/../b tmpfs", ".."),
        ("tmpfs // tmpfs", "the root is another matter"),
        ("/srv /. none bind", "the root is another matter"),
        ("relative /a none bind", "must be an absolute path"),
        ("LABEL= /a ext4", "names no device"),
        ("word /a auto", "needs fstype"),
        ('t /a tmpfs size="1', "a quote is not closed"),
        ("/a /b none bind,size=1m", "a bind mount takes no file-system option"),
        ("/a /b ignore defaults", "to be ignored"),
        (b"t /a\\000b tmpfs", "it has a null character"),
        (b"t /a\0b tmpfs", "it has a null character"),
        ("/a /b none bind,X-mount.nonsense", "is not supported"),
    ],
)
def test_what_is_left(line: str | bytes, why: str) -> None:
    found = of("t /ok tmpfs", line)
    assert [each["path"] for each in found.mounts] == ["/ok"]
    (left,) = found.left
    assert left.startswith("line 2 of /etc/fstab: ")
    assert why in left


def test_mounts_are_never_stacked() -> None:
    found = of("t /a tmpfs", "t /a/ tmpfs size=1m", "t //a tmpfs")
    assert found.mounts == [{"path": "/a", "src": "t", "fstype": "tmpfs"}]
    assert found.left == [
        f"line {number} of /etc/fstab: something else is mounted on /a, and mounts are never stacked"
        for number in (2, 3)
    ]
