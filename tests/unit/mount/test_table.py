# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading mountinfo: whatever the kernel may write comes out as it was."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import (
    table as mount_table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.table import Mount

# Any byte but null, decoded as the table is.
TEXT = st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
STRANGE = st.sampled_from(
    [" ", "\t", "\n", "\r", "\\", "#", "//deleted", " (deleted)", "\\040", ",", "=", " - ", "\x85"]
)
NAME = st.lists(TEXT | STRANGE, max_size=4).map("".join)
PATH = NAME.map(lambda name: f"/{name}")
WORD = st.tuples(st.sampled_from(["rw", "size", "lowerdir", "user_id"]), NAME).map(
    lambda pair: f"{pair[0]}={pair[1]}" if pair[1] else pair[0]
)
FLAGS = st.lists(st.sampled_from(["rw", "ro", "nosuid", "relatime"]), min_size=1, max_size=3)
PEERS = st.sets(
    st.sampled_from(["shared:4", "master:12", "propagate_from:3", "unbindable"]), max_size=4
)
MOUNTS = st.builds(
    Mount,
    id=st.integers(1, 2**31),
    parent=st.integers(0, 2**31),
    device=st.sampled_from(["0:41", "254:1", "1048575:4095"]),
    root=PATH,
    path=PATH,
    flags=FLAGS.map(tuple),
    peers=PEERS.map(sorted).map(tuple),
    fstype=st.sampled_from(["tmpfs", "fuse.sshfs", "ext4"]),
    src=NAME,
    options=st.lists(WORD, min_size=1, max_size=4).map(tuple),
)


def escaped(text: str, special: str) -> str:
    """As seq_escape() of the kernel: these characters, which are all ASCII, in octal."""
    return "".join(f"\\{ord(letter):03o}" if letter in special else letter for letter in text)


def line_of(mount: Mount) -> str:
    """A line as show_mountinfo() of fs/proc_namespace.c writes it."""
    space, value = " \t\n\\", ", \t\n\\"
    fields = [str(mount.id), str(mount.parent), mount.device]
    fields += [escaped(mount.root, space), escaped(mount.path, space), ",".join(mount.flags)]
    fields += [*mount.peers, "-", escaped(mount.fstype, space + "#"), escaped(mount.src, space)]
    return " ".join([*fields, ",".join(escaped(word, value) for word in mount.options)]) + "\n"


@given(st.lists(MOUNTS, max_size=3))
def test_round_trip(mounts: list[Mount]) -> None:
    assert mount_table.parse("".join(map(line_of, mounts))) == mounts


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw", "path", "/mnt2"),
        ("36 35 98:0 / /a\\040b\\011c\\012d\\134e rw - tmpfs x rw", "path", "/a b\tc\nd\\e"),
        ("36 35 98:0 / /a\\134040b rw - tmpfs x rw", "path", "/a\\040b"),
        # No suffix is taken off: it may be part of the name (CVE-2021-3996).
        ("36 35 98:0 /f//deleted /a rw - ext4 /dev/sda rw", "root", "/f//deleted"),
        ("36 35 98:0 / /a\\040(deleted) rw - tmpfs x rw", "path", "/a (deleted)"),
        ("36 35 98:0 / /a#b rw - tmpfs \\043x rw", "src", "#x"),
        ("36 35 98:0 / /a rw - tmpfs  rw,size=1k", "src", ""),
        ("36 35 98:0 / /a rw - tmpfs  rw,size=1k", "options", ("rw", "size=1k")),
        ("36 35 98:0 / /a rw shared:1 master:2 propagate_from:3 unbindable - tmpfs x rw",
         "peers", ("shared:1", "master:2", "propagate_from:3", "unbindable")),
        ("36 35 98:0 / /a rw - overlay o rw,lowerdir=/a\\054b:/c,upperdir=/d\\134\\054e",
         "options", ("rw", "lowerdir=/a,b:/c", "upperdir=/d\\,e")),
        ("36 35 98:0 / /a rw - overlay o rw,lowerdir=/a\\,b,upperdir=/c",
         "options", ("rw", "lowerdir=/a\\,b", "upperdir=/c")),
        ("36 35 0:4 mnt:[4026532204] /run/x rw - nsfs nsfs rw", "root", "mnt:[4026532204]"),
    ],
)  # fmt: skip
def test_fields(line: str, field: str, expected: object) -> None:
    (mount,) = mount_table.parse(line + "\n")
    assert getattr(mount, field) == expected


@pytest.mark.parametrize(
    "line",
    ["x", "36 35 98:0 / /a rw", "36 35 98:0 / /a - tmpfs x rw", "36 35 98:0 / /a rw - tmpfs"],
)
def test_what_is_no_mountinfo_line(line: str) -> None:
    with pytest.raises(ValueError, match="not a mountinfo line"):
        mount_table.parse(line)


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ((), "private"),
        (("shared:1",), "shared"),
        (("master:1",), "slave"),
        (("master:1", "propagate_from:2"), "slave"),
        (("shared:3", "master:1"), "shared,slave"),
        (("unbindable",), "unbindable"),
    ],
)
def test_propagation(peers: tuple[str, ...], expected: str) -> None:
    (mount,) = mount_table.parse(f"36 35 98:0 / /a rw {' '.join(peers)}{' ' * bool(peers)}- t x rw")
    assert mount.propagation == expected


def test_what_results_show_has_no_secrets() -> None:
    line = r"36 35 98:0 / /mnt rw - cifs //u:p@h/x rw,username=u,password=p\054q,secret=<hidden>"
    (mount,) = mount_table.parse(line)
    assert "password=p,q" in mount.options
    shown = mount_table.as_data(mount)
    assert shown["src"] == "//u:********@h/x"
    assert shown["opts"] == ["rw", "username=u", "password=********", "secret=********"]


def test_below() -> None:
    lines = [f"{9 + index} 1 0:1 / {path} rw - tmpfs x rw" for index, path in enumerate(
        ["/", "/srv", "/srv/a", "/srv/a/b", "/srva", "/other"]
    )]  # fmt: skip
    table = mount_table.parse("\n".join(lines))
    assert [each.path for each in mount_table.below(table, "/srv")] == ["/srv/a", "/srv/a/b"]
    assert [each.path for each in mount_table.below(table, "/")] == [
        "/srv",
        "/srv/a",
        "/srv/a/b",
        "/srva",
        "/other",
    ]
    assert mount_table.below(table, "/nowhere") == []


def test_a_table_that_goes_round() -> None:
    """It was read while ids were given again: what stands on what has an end all the same."""
    lines = ["7 8 0:1 / /a rw - tmpfs x rw", "8 7 0:1 / /a rw - tmpfs x rw"]
    table = mount_table.Table(mount_table.parse("\n".join(lines)))
    for mount in table.mounts:
        assert len(table.stacked_under(mount)) == 1
        assert len(table.descendants(mount.id)) == 1


def test_a_number_that_stands_twice_is_read_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "7 1 0:1 / /a rw - tmpfs x rw\n"
    file = tmp_path / "mountinfo"
    file.write_text(line * 2)
    read_once, readings = mount_table._read_once, []

    def reading(*where: t.Any) -> list[mount_table.Mount]:
        found = read_once(*where)
        readings.append(len(found))
        if len(readings) == 3:
            file.write_text(line)
        return found

    monkeypatch.setattr(mount_table, "_read_once", reading)
    assert len(mount_table.read(str(file))) == 1
    assert readings == [2, 2, 2, 1]
    # It is not looked at for ever.
    file.write_text(line * 2)
    assert len(mount_table.read(str(file))) == 2
    assert len(readings) < 30


def test_what_lies_above_in_the_same_mount_is_in_the_way() -> None:
    rows = (
        "20 1 0:20 / / rw - tmpfs root rw\n"
        "21 20 0:21 / /a/b rw - tmpfs earlier rw\n"
        "22 20 0:22 / /a rw - tmpfs later rw\n"
        "23 22 0:23 / /a/b/c rw - tmpfs on-later rw\n"
        "24 21 0:24 / /a/b/d rw - tmpfs on-earlier rw\n"
        "25 20 0:25 / /ab rw - tmpfs beside rw\n"
    )
    found = mount_table.reachable(mount_table.parse(rows))
    assert [mount.src for mount in found] == ["root", "later", "on-later", "beside"]
