# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a mount is the wanted one: what is compared, how, and what is left alone."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import options
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.compare import (
    Differences,
    Identity,
    LoopDevice,
    Observed,
    Source,
    differences,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.table import Mount
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

RO, NOSUID, NODEV = (
    mounts.MOUNT_ATTR_RDONLY,
    mounts.MOUNT_ATTR_NOSUID,
    mounts.MOUNT_ATTR_NODEV,
)
NOATIME = mounts.MOUNT_ATTR_NOATIME
FILE = Identity(device=41, inode=7)
SAME = Differences()


def mount(flags: str = "rw,relatime", fs: str = "rw", *, peers: str = "", **fields: t.Any) -> Mount:
    found: dict[str, t.Any] = {
        "id": 9,
        "parent": 1,
        "device": "0:41",
        "root": "/",
        "path": "/mnt",
        "fstype": "tmpfs",
        "src": "tmpfs",
        **fields,
    }
    words = {"flags": tuple(flags.split(",")), "options": tuple(fs.split(","))}
    return Mount(**found, **words, peers=tuple(peers.split()))


def wanted(opts: str = "", **fields: t.Any) -> WantedMount:
    base = {"path": "/mnt", "fstype": "tmpfs", "src": "tmpfs"}
    return WantedMount(**{**base, **fields}, words=tuple(options.split_words(opts)))


def bind(opts: str = "", **fields: t.Any) -> WantedMount:
    return wanted(f"bind,{opts}", fstype="", src="/srv", **fields)


def compare(want: WantedMount, there: Mount | None, **more: t.Any) -> Differences:
    names = ("children", "is_hosts", "is_shared", "identity")
    seen = {key: more.pop(key) for key in names if key in more}
    return differences(want, Observed(exists=True, mount=there, **seen), **more)


# What is there at all


def test_nothing_is_mounted() -> None:
    assert compare(wanted(), None).replace == ("not mounted",)


@pytest.mark.parametrize(
    ("want", "there", "reasons"),
    [
        (wanted(), mount(), ()),
        (wanted(src=""), mount(src="none"), ()),
        (wanted(), mount(fstype="ramfs"), ("fstype",)),
        (wanted(), mount(src="other"), ("src",)),
        (wanted(fstype="fuse"), mount(fstype="fuse.sshfs"), ()),
        (wanted(fstype="fuse.sshfs"), mount(fstype="fuse"), ("fstype",)),
        # Only the type, when both differ: the rest says nothing then.
        (wanted("size=1m"), mount(fstype="ramfs", src="x"), ("fstype",)),
    ],
)
def test_what_is_mounted(want: WantedMount, there: Mount, reasons: tuple[str, ...]) -> None:
    assert compare(want, there).replace == reasons


def test_a_copy_of_the_hosts_mount_is_not_ours() -> None:
    assert compare(wanted(), mount(), is_hosts=True).replace == ("it is the host's own",)
    # A remount takes what is there; a bind shows the host on purpose.
    assert compare(wanted(state="remounted"), mount(), is_hosts=True) == SAME
    source = Source(FILE, 0)
    assert compare(bind(), mount(), is_hosts=True, source=source, identity=FILE) == SAME


# Binds


def test_a_bind_shows_the_same_file_or_is_replaced() -> None:
    source = Source(FILE, 0)
    assert compare(bind(), mount(), source=source, identity=FILE) == SAME
    for other in (Identity(41, 8), Identity(42, 7), None):
        assert compare(bind(), mount(), source=source, identity=other).replace == ("source",)
    assert compare(bind(), mount(), source=None, identity=FILE).replace == ("source",)


@pytest.mark.parametrize(
    ("opts", "inherited", "flags", "expected"),
    [
        # What is not asked for is what the source has.
        ("", NOSUID | NODEV, "rw,nosuid,nodev,relatime", None),
        ("", NOSUID, "rw,relatime", NOSUID),
        ("", NOATIME, "rw,noatime", None),
        ("", 0, "ro,relatime", 0),
        ("ro", NOSUID, "ro,nosuid,relatime", None),
        ("ro", NOSUID, "rw,nosuid,relatime", RO | NOSUID),
        ("suid", NOSUID, "rw,relatime", None),
        ("relatime", NOATIME, "rw,relatime", None),
    ],
)
def test_flags_of_a_bind(opts: str, inherited: int, flags: str, expected: int | None) -> None:
    source = Source(FILE, inherited)
    found = compare(bind(opts), mount(flags), source=source, identity=FILE)
    assert found == Differences(attributes=expected)


def test_recursive_flags_hold_for_what_is_below() -> None:
    source = Source(FILE, 0)
    below = (mount("ro,relatime", path="/mnt/a"), mount("rw,relatime", path="/mnt/b"))
    there = mount("ro,relatime")
    facts: dict[str, t.Any] = {"source": source, "identity": FILE}
    assert compare(bind("ro"), there, children=below, **facts) == SAME
    assert compare(bind("ro=recursive"), there, children=below, **facts).attributes == RO
    assert compare(bind("ro=recursive"), there, children=below[:1], **facts) == SAME
    # The opposite as well.
    assert compare(bind("rw=recursive"), mount(), children=below, **facts).attributes == 0
    assert compare(bind("rw=recursive"), mount(), children=below[1:], **facts) == SAME


# Flags of other mounts


@pytest.mark.parametrize(
    ("opts", "flags", "expected"),
    [
        ("", "rw,relatime", None),
        ("", "rw,nosuid,relatime", 0),
        ("nosuid,nodev", "rw,nosuid,nodev,relatime", None),
        ("noatime", "rw,relatime", NOATIME),
        ("strictatime", "rw", None),
        ("", "rw", 0),
    ],
)
def test_flags(opts: str, flags: str, expected: int | None) -> None:
    assert compare(wanted(opts), mount(flags)) == Differences(attributes=expected)


def test_read_only_is_the_mount_and_the_file_system() -> None:
    found = compare(wanted("ro"), mount())
    assert (found.attributes, found.reconfigure) == (RO, (("ro", None),))
    found = compare(wanted(), mount("ro,relatime", "ro"))
    assert (found.attributes, found.reconfigure) == (0, (("rw", None),))
    # Nothing is done to a file system that is so already, or that is read-only by its nature.
    assert compare(wanted("ro"), mount("ro,relatime", "ro")) == SAME
    squashfs = {"fstype": "squashfs", "src": "/dev/loop0"}
    assert compare(wanted(**squashfs), mount("rw,relatime", "ro", **squashfs)) == SAME


def test_a_file_system_that_the_host_has_mounted_too_is_left_alone() -> None:
    cgroup2 = {"fstype": "cgroup2", "src": "cgroup2"}
    found = compare(wanted("ro", **cgroup2), mount(**cgroup2), is_shared=True)
    assert found == Differences(attributes=RO)
    found = compare(wanted(**cgroup2), mount("ro,relatime", "ro", **cgroup2), is_shared=True)
    assert found == Differences(attributes=0)


def test_a_remount_of_flags_leaves_the_file_system_alone() -> None:
    found = compare(wanted("ro", state="remounted"), mount("rw,nosuid,relatime", fstype="ext4"))
    assert found == Differences(attributes=RO | NOSUID)
    assert compare(wanted("nosuid", state="remounted"), mount("ro,nosuid,noatime")) == SAME


# Options of file systems


@pytest.mark.parametrize(
    ("asked", "shown", "same"),
    [
        ("size=10m", "rw,size=10240k", True),
        ("size=10M", "rw,size=10240k", True),
        ("size=10485760", "rw,size=10240k", True),
        ("size=1g", "rw,size=1048576k", True),
        ("size=10m", "rw,size=20480k", False),
        ("size=1", "rw,size=4k", True),
        ("size=5000", "rw,size=8k", True),
        ("size=010000", "rw,size=4k", True),
        ("size=0x1000", "rw,size=4k", True),
        ("size=50%", "rw", True),
        ("size=1m", "rw", False),
        ("size=0", "rw,size=0k", True),
        ("nr_blocks=256", "rw,size=1024k", True),
        ("nr_blocks=1k", "rw,size=4096k", True),
        ("nr_blocks=256", "rw,size=2048k", False),
        ("nr_inodes=1k", "rw,nr_inodes=1024", True),
        ("nr_inodes=10", "rw,nr_inodes=11", False),
        ("mode=700", "rw,mode=700", True),
        ("mode=0700", "rw,mode=700", True),
        ("mode=1777", "rw", True),
        ("mode=755", "rw", False),
        ("uid=0,gid=0", "rw", True),
        ("uid=5", "rw,uid=5", True),
        ("uid=5", "rw,uid=50", False),
        ("huge=never", "rw", True),
        ("noswap", "rw,noswap", True),
        ("noswap", "rw", False),
    ],
)
def test_options_of_tmpfs(asked: str, shown: str, same: bool) -> None:
    assert (compare(wanted(asked), mount(fs=shown)) == SAME) is same


@pytest.mark.parametrize(
    ("fstype", "asked", "shown", "same"),
    [
        ("proc", "hidepid=2", "rw,hidepid=invisible", True),
        ("proc", "hidepid=invisible", "rw,hidepid=invisible", True),
        ("proc", "hidepid=1", "rw,hidepid=invisible", False),
        ("proc", "hidepid=0", "rw", True),
        ("proc", "hidepid=off", "rw", True),
        ("proc", "subset=pid", "rw,subset=pid", True),
        ("devpts", "newinstance,ptmxmode=0666,gid=5", "rw,gid=5,mode=600,ptmxmode=666", True),
        ("devpts", "mode=620", "rw,mode=600,ptmxmode=000", False),
        ("ext4", "sync", "rw,sync", True),
        ("ext4", "sync", "rw", False),
        ("ext4", "async", "rw", True),
        ("ext4", "async", "rw,sync", False),
        ("ext4", "lazytime", "rw,lazytime", True),
        ("ext4", "nolazytime", "rw", True),
        ("overlay", "lowerdir=/a:/b", "rw,lowerdir=/a:/b,redirect_dir=on", True),
        # CVE-2021-3995: the one number is a beginning of the other.
        ("fuse", "user_id=1000", "rw,user_id=10001,group_id=0", False),
        ("fuse", "user_id=1000", "rw,user_id=1000,group_id=0", True),
        # A word that only looks like a number.
        ("ext4", "data=²", "rw,data=2", False),
    ],
)
def test_options_of_others(fstype: str, asked: str, shown: str, same: bool) -> None:
    found = compare(wanted(asked, fstype=fstype), mount(fs=shown, fstype=fstype))
    assert (found == SAME) is same


def test_a_change_of_devpts_keeps_what_was_not_asked_for() -> None:
    devpts = {"fstype": "devpts", "src": "devpts"}
    there = mount(fs="rw,gid=5,mode=620,ptmxmode=666", **devpts)
    assert compare(wanted("newinstance,mode=600", **devpts), there).reconfigure == (
        ("gid", "5"),
        ("mode", "600"),
        ("ptmxmode", "666"),
        ("newinstance", None),
    )
    assert compare(wanted("newinstance,mode=0620", **devpts), there) == SAME


def test_what_was_not_asked_for_is_not_compared() -> None:
    assert compare(wanted(), mount(fs="rw,size=1k,mode=700,nr_inodes=3")) == SAME


def test_an_option_that_the_kernel_does_not_show() -> None:
    ext4 = {"fstype": "ext4", "src": "/dev/vda"}
    there = mount(**ext4)
    hidden = wanted("commit=5", **ext4)
    assert compare(hidden, there).reconfigure == (("commit", "5"),)
    assert compare(hidden, there, recorded=hidden) == SAME
    assert compare(hidden, there, recorded=wanted("commit=6", **ext4)).reconfigure


def test_a_secret_that_the_kernel_hides() -> None:
    """ceph shows that there is one: it is what was asked for last time."""
    ceph: dict[str, t.Any] = {"fstype": "ceph", "src": "mon:/"}
    there = mount(fs="rw,name=web,secret=<hidden>", **ceph)
    want = wanted("name=web,secret=AQ1", **ceph)
    assert compare(want, there, recorded=want) == SAME
    other = compare(want, there, recorded=wanted("secret=AQ2", **ceph))
    assert other.reconfigure == (("secret", "AQ1"),)
    assert compare(want, there).reconfigure == (("secret", "AQ1"),)


def test_what_can_be_changed_in_place_and_what_takes_a_new_mount() -> None:
    assert compare(wanted("size=2m"), mount(fs="rw,size=1024k")).reconfigure == (("size", "2m"),)
    assert compare(wanted("mode=700"), mount()).replace == ("option mode",)
    assert compare(wanted("size=2m,uid=5"), mount()).replace == ("option uid",)
    overlay = {"fstype": "overlay", "src": "overlay"}
    found = compare(wanted("lowerdir=/a", **overlay), mount(fs="rw,lowerdir=/b", **overlay))
    assert found.replace == ("option lowerdir",)


# Propagation


@pytest.mark.parametrize(
    ("word", "peers", "differs"),
    [
        ("", "shared:1", False),
        ("private", "", False),
        ("private", "shared:1", True),
        ("private", "master:1", True),
        ("private", "unbindable", True),
        ("shared", "shared:1", False),
        ("shared", "shared:1 master:2", False),
        ("shared", "master:1", True),
        ("shared", "", True),
        ("slave", "master:1", False),
        ("slave", "shared:1", True),
        ("slave", "shared:1 master:2", True),
        # A slave of nothing is private, and one that cannot be bound stays so.
        ("slave", "", False),
        ("slave", "unbindable", False),
        ("unbindable", "unbindable", False),
        ("unbindable", "", True),
    ],
)
def test_propagation(word: str, peers: str, differs: bool) -> None:
    found = compare(wanted(propagation=word), mount(peers=peers))
    assert found == Differences(propagation=word if differs else "")
    if word:
        # What is below counts for the forms with an r only.
        below = (mount(peers=peers, path="/mnt/a"),)
        good = {"private": "", "shared": "shared:9", "slave": "", "unbindable": "unbindable"}
        top = mount(peers=good[word])
        assert compare(wanted(propagation=word), top, children=below) == SAME
        found = compare(wanted(propagation=f"r{word}"), top, children=below)
        assert found == Differences(propagation=f"r{word}" if differs else "")


# Where a source is looked up


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (bind(), True),
        (bind(src_in="namespace"), False),
        (wanted(), False),
        (wanted(fstype="overlay", src="overlay"), True),
        (wanted(fstype="overlay", src="overlay", src_in="namespace"), False),
        (wanted(fstype="ext4", src="/dev/vda"), True),
        (wanted(fstype="ext4", src="/dev/vda", state="remounted"), False),
        (wanted(fstype="proc", src="proc"), False),
    ],
)
def test_needs_host(want: WantedMount, expected: bool) -> None:
    assert want.needs_host is expected


@pytest.mark.parametrize(
    ("opts", "device", "expected"),
    [
        ("loop", LoopDevice("7:1", "/dev/loop1", read_only=True, autoclear=True),
         Differences(replace=("its loop device can only be read",))),
        ("loop,ro", LoopDevice("7:1", "/dev/loop1", read_only=True, autoclear=True), SAME),
        ("loop", LoopDevice("7:1", "/dev/loop1", read_only=False, autoclear=True),
         Differences(attributes=0, reconfigure=(("rw", None),))),
        ("loop", LoopDevice("7:2", "/dev/loop2", read_only=True, autoclear=True),
         Differences(replace=("src",))),
    ],
)  # fmt: skip
def test_an_image_that_was_mounted_to_be_read(
    opts: str, device: LoopDevice, expected: Differences
) -> None:
    wanted = WantedMount("/mnt", "/image", "ext4", tuple(opts.split(",")))
    there = mount("ro,relatime", "ro", fstype="ext4", src="/dev/loop1", device="7:1")
    seen = Observed(exists=True, mount=there)
    source = Source(FILE, devices=(device,))
    assert differences(wanted, seen, source=source) == expected
