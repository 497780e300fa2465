# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a mount that nobody asked for."""

from __future__ import annotations

from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import drift
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import observe
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount

HOST = mount_table.parse(
    """\
1 0 254:0 / / rw - ext4 /dev/vda rw
2 1 0:20 / /proc rw - proc proc rw
3 1 254:1 / /home rw - ext4 /dev/vdb rw
4 3 254:2 / /home/big rw - ext4 /dev/vdc rw
"""
)
ON_HOST = {(mount.device, mount.root) for mount in HOST}
# A copy of it, as a new mount namespace begins.
COPY = """\
11 10 254:0 / / rw - ext4 /dev/vda rw
12 11 0:20 / /proc rw - proc proc rw
13 11 254:1 / /home rw - ext4 /dev/vdb rw
14 13 254:2 / /home/big rw - ext4 /dev/vdc rw
"""
WEB = "20 11 0:40 / /srv/web rw - tmpfs none rw\n"


def table(text: str) -> list[mount_table.Mount]:
    return mount_table.parse(text)


def row(text: str, path: str, *words: str) -> drift.Row:
    (mount,) = table(text)
    return drift.Row(drift.AS_WANTED, path, WantedMount(path, words=words), mount)


def surplus(text: str, *rows: drift.Row, is_pivoted: bool = False) -> list[str]:
    found = drift.surplus(table(text), rows, ON_HOST, is_pivoted=is_pivoted)
    assert {each.state for each in found} <= {drift.SURPLUS}
    return [each.path for each in found]


def test_what_came_from_the_host_is_not_surplus() -> None:
    assert surplus(COPY + WEB, row(WEB, "/srv/web")) == []


def test_what_the_host_does_not_have_is() -> None:
    by_hand = "30 11 0:50 / /mnt rw - tmpfs none rw\n"
    assert surplus(COPY + WEB + by_hand, row(WEB, "/srv/web")) == ["/mnt"]


def test_below_a_wanted_mount_everything_unasked_for_is() -> None:
    by_hand = "30 20 254:1 / /srv/web/home rw - ext4 /dev/vdb rw\n"
    assert surplus(COPY + WEB + by_hand, row(WEB, "/srv/web")) == ["/srv/web/home"]


def test_but_not_what_a_recursive_bind_brings_along() -> None:
    bind = "30 20 254:1 / /srv/web/home rw - ext4 /dev/vdb rw\n"
    child = "31 30 254:2 / /srv/web/home/big rw - ext4 /dev/vdc rw\n"
    own = "32 30 0:51 / /srv/web/home/own rw - tmpfs none rw\n"
    rows = [row(WEB, "/srv/web"), row(bind, "/srv/web/home", "rbind")]
    assert surplus(COPY + WEB + bind + child + own, *rows) == ["/srv/web/home/own"]


def test_after_a_pivot_everything_unasked_for_is_but_the_old_root() -> None:
    text = """\
20 10 0:40 / / rw - tmpfs none rw
21 20 254:0 / /old rw - ext4 /dev/vda rw
22 21 254:1 / /old/home rw - ext4 /dev/vdb rw
23 20 254:1 / /home rw - ext4 /dev/vdb rw
"""
    root = row("20 10 0:40 / / rw - tmpfs none rw\n", "/")
    found = drift.surplus(table(text), [root], HOST, kept_roots=["/old"], is_pivoted=True)
    assert [each.path for each in found] == ["/home"]


def test_what_another_mount_hides_does_not_count() -> None:
    hidden = """\
30 11 0:50 / /mnt rw - tmpfs none rw
31 30 0:51 / /mnt/below rw - tmpfs none rw
32 30 0:52 / /mnt rw - tmpfs none rw
"""
    found = mount_table.reachable(table(COPY + hidden))
    assert [mount.id for mount in found] == [11, 12, 13, 14, 32]


# The kernel lists mounts by age, and one may have been moved onto a younger one.
OLD_ON_YOUNG = """\
11 10 254:0 / / rw - ext4 /dev/vda rw
30 31 254:1 / /mnt/a/b rw - ext4 /dev/vdb rw
31 32 0:51 / /mnt/a rw - tmpfs none rw
32 11 0:52 / /mnt rw - tmpfs none rw
"""


def test_a_mount_may_be_listed_before_the_one_it_stands_on() -> None:
    mounts = table(OLD_ON_YOUNG)
    assert {mount.id for mount in mount_table.reachable(mounts)} == {11, 30, 31, 32}
    index = observe.Table(mounts)
    assert [mount.id for mount in index.descendants(11)] == [32, 31, 30]
