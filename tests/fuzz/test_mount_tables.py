# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount tables whose lines are odd: names with anything in them, fields that are missing."""

from __future__ import annotations

from fuzzing import bounded, damaged, fuzz
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table

LINES = rb"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid,nodev,noexec shared:2 - proc proc rw
24 22 0:22 / /srv/a\040b\011c\012d\134e rw master:2 propagate_from:1 - tmpfs none rw,size=10240k
25 24 0:22 /x//deleted /srv/a\040b\011c\012d\134e/deep rw unbindable - tmpfs \043x rw
26 25 0:23 / /srv/union rw - overlay over rw,lowerdir=/a\054b:/c\134:d,upperdir=/u,workdir=/w
27 26 0:4 mnt:[4026532204] /run/linux-namespaces/web/mnt rw shared:9 - nsfs nsfs rw
28 27 0:24 / /srv/union rw - fuse.sshfs user@host: rw,user_id=10001,group_id=0
29 28 0:25 / /srv/empty rw - tmpfs  rw
30 29 0:26 / /srv/strange\999\04 (deleted) rw - tmpfs x rw
"""
FIELDS = st.sampled_from(
    ["", "-", " ", "1", "-1", "0", "999999999999999999999", "1_0", "\\040", "\\0", "\\777", "\\", ",",
     "/", "/a\\134040b", "//deleted", "\r", "\udcff", "\x85", "shared:", "master:x", ":", "=", "rw,,ro"]
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Lines of fields of which some are odd."""
    made = []
    for line in draw(st.lists(st.sampled_from(LINES.decode().splitlines()), max_size=4)):
        fields = line.split(" ")
        for _change in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(fields)))
            fields[at : at + draw(st.integers(0, 2))] = [draw(FIELDS)]
        made.append(" ".join(fields))
    return "\n".join(made)


TEXTS = lines() | damaged(LINES).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@fuzz(500, text=TEXTS)
def test_reading(text: str) -> None:
    with bounded(ValueError):
        mounts = table.parse(text)
        for mount in mounts:
            assert mount.propagation
            table.as_data(mount)
        table.below(mounts, "/srv")


@fuzz(300, text=TEXTS)
def test_what_is_mounted_on_what(text: str) -> None:
    """Also where it goes round: a table may change while it is read, and ids are given again."""
    with bounded(ValueError):
        mounts = table.parse(text)
        indexed = table.Table(mounts)
        for mount in mounts:
            assert len(indexed.stacked_under(mount)) <= len(mounts)
            assert len(indexed.descendants(mount.id)) <= len(mounts)


@fuzz(200, text=st.text(max_size=40))
def test_words(text: str) -> None:
    with bounded():
        table.unescape(text)
        table.split_options(text)
