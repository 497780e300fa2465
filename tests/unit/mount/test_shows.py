# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mounts of the host show what of a namespace."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import shows, table
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

INSIDE = table.parse(
    "10 9 0:50 / / rw,nosuid,relatime - overlay web rw\n"
    "11 10 0:50 /srv/www /var/www rw,relatime - overlay web rw\n"
    "12 10 0:51 / /run rw,relatime - tmpfs run rw\n"
    "13 10 0:51 /shared /srv/shared rw,relatime - tmpfs run rw\n"
    "14 10 8:1 /srv/data /data rw,relatime - ext4 /dev/a rw\n"
    "15 10 0:52 / /cache rw,relatime - tmpfs cache rw\n"
    "16 12 0:53 / /run/lock rw,relatime - tmpfs lock rw\n"
)
OWN = shows.own_of(INSIDE, 10, ["/cache"])


def host(device: str, root: str, *, flags: str = "rw,relatime") -> table.Mount:
    (found,) = table.parse(f"20 1 {device} {root} /mnt {flags} - any any rw")
    return found


def test_own_of() -> None:
    """The root, and what is a file system of its own that no step has bound."""
    assert [each.id for each in OWN] == [10, 11, 12, 13, 16]


@pytest.mark.parametrize(
    ("device", "root", "paths"),
    [
        ("0:50", "/", ["/"]),
        # As the root has it, though it is bound elsewhere as well.
        ("0:50", "/srv/www/logs", ["/srv/www/logs"]),
        ("0:50", "/srv//deleted", ["/srv//deleted"]),
        ("0:51", "/", ["/run"]),
        ("0:51", "/lock", ["/run/lock"]),
        ("0:51", "/shared/x", ["/run/shared/x", "/srv/shared/x"]),
        ("0:51", "/sharedx", ["/run/sharedx"]),
        ("8:1", "/srv/data", []),
        ("0:52", "/", []),
        ("0:99", "/", []),
    ],
)
def test_shown(device: str, root: str, paths: list[str]) -> None:
    assert [each.path for each in shows.shown(host(device, root), OWN)] == paths


def test_shown_of_a_part_of_a_file_system() -> None:
    """A root that is a bind: what lies above it is no part of it."""
    own = table.parse("10 9 8:1 /lib/web/rootfs / rw - ext4 /dev/a rw")
    for root, path in (("/lib/web/rootfs", "/"), ("/lib/web/rootfs/srv", "/srv")):
        assert [each.path for each in shows.shown(host("8:1", root), own)] == [path]
    for root in ("/", "/lib/web", "/lib/web/rootfs2", "/lib/web/upper"):
        assert shows.shown(host("8:1", root), own) == []


def test_what_came_with_it() -> None:
    there = table.Table(
        table.parse(
            "20 1 0:50 / /mnt rw - overlay web rw\n"
            "21 20 0:51 / /mnt/run rw - tmpfs run rw\n"
            "22 20 8:1 /srv/data /mnt/data rw - ext4 /dev/a rw\n"
            "23 20 0:51 / /mnt/opt rw - tmpfs run rw\n"
            "24 21 0:99 / /mnt/run/x rw - tmpfs x rw\n"
            "25 24 0:98 / /mnt/run/x/y rw - tmpfs y rw\n"
        )
    )
    what = shows.Shown(there.by_id[20], INSIDE[0], "/")
    assert [each.id for each in shows.came_with(what, there, INSIDE)] == [21, 22]
    assert [each.id for each in shows.others_on(what, there, INSIDE)] == [23, 24]


@pytest.mark.parametrize(
    ("flags", "now", "expected"),
    [
        # As on the host, where the inside had more and has less, and with what it has gained.
        ("rw,relatime", "rw,nosuid,relatime", "rw,relatime"),
        ("ro,noatime", "rw,relatime", "ro,noatime"),
        ("rw,relatime", "ro,nosuid,noexec,noatime", "ro,noexec,relatime"),
    ],
)
def test_attributes(flags: str, now: str, expected: str) -> None:
    def bits(words: str) -> int:
        return shows.options.attributes_of(words.split(","))

    what = shows.Shown(host("0:50", "/", flags=flags), INSIDE[0], "/")
    assert shows.attributes(what, bits(now)) == bits(expected)


def test_common_restrictions() -> None:
    each = [host("0:50", "/", flags=flags) for flags in ("ro,nosuid,noatime", "ro,nodev,noatime")]
    assert shows.common_restrictions(each) == mounts.MOUNT_ATTR_RDONLY
