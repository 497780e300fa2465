# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of mount(8): who they are for, and what they mean."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import options
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

RO, NOSUID = mounts.MOUNT_ATTR_RDONLY, mounts.MOUNT_ATTR_NOSUID
NODEV, NOEXEC = mounts.MOUNT_ATTR_NODEV, mounts.MOUNT_ATTR_NOEXEC
NOATIME, STRICT = mounts.MOUNT_ATTR_NOATIME, mounts.MOUNT_ATTR_STRICTATIME
ATIME = mounts.MOUNT_ATTR__ATIME
BITS = st.builds(
    lambda flags, atime: sum(flags) | atime,
    st.sets(
        st.sampled_from(
            [
                RO,
                NOSUID,
                NODEV,
                NOEXEC,
                mounts.MOUNT_ATTR_NOSYMFOLLOW,
                mounts.MOUNT_ATTR_NODIRATIME,
            ]
        )
    ),
    st.sampled_from([0, NOATIME, STRICT]),
)


def bits(text: str, *, base: int = 0) -> int:
    """The attributes of a mount that had ``base``, with these words."""
    asked = options.parse(tuple(options.split_words(text)))
    return base & ~asked.attr_clr | asked.attr_set


@pytest.mark.parametrize(
    ("opts", "expected"),
    [
        ("", []),
        ("ro", ["ro"]),
        ("ro, nosuid ,,nodev,", ["ro", "nosuid", "nodev"]),
        (["ro,nosuid", "size=10m"], ["ro", "nosuid", "size=10m"]),
        ('lowerdir="/a,b:/c",ro', ["lowerdir=/a,b:/c", "ro"]),
        (
            'context="system_u:object_r:tmp_t:s0:c1,c2"',
            ["context=system_u:object_r:tmp_t:s0:c1,c2"],
        ),
        ([], []),
        # As Ansible hands over a string.
        (['password="a', 'b"', "ro"], ["password=a,b", "ro"]),
    ],
)
def test_split_words(opts: str | list[str], expected: list[str]) -> None:
    assert options.split_words(opts) == expected


def test_an_open_quote() -> None:
    with pytest.raises(Refused, match="a quote is not closed"):
        options.split_words('lowerdir="/a,b')


@given(st.lists(st.text(alphabet="abc/=:. ,", min_size=1).map(str.strip).filter(bool)))
def test_quoted_words_survive(words: list[str]) -> None:
    assert options.split_words(",".join(f'"{word}"' for word in words)) == words


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("ro,nosuid,nodev,noexec", 0, RO | NOSUID | NODEV | NOEXEC),
        ("rw,suid,dev,exec", RO | NOSUID | NODEV | NOEXEC, 0),
        # The last word wins.
        ("ro,rw", RO, 0),
        ("rw,ro", 0, RO),
        # The atime words exclude each other.
        ("noatime", STRICT, NOATIME),
        ("strictatime", NOATIME, STRICT),
        ("noatime,strictatime", 0, STRICT),
        ("noatime,atime", 0, 0),
        ("strictatime,relatime", NOATIME, 0),
        ("nodiratime", NOATIME, NOATIME | mounts.MOUNT_ATTR_NODIRATIME),
        ("diratime", mounts.MOUNT_ATTR_NODIRATIME, 0),
        ("nosymfollow", 0, mounts.MOUNT_ATTR_NOSYMFOLLOW),
        ("symfollow", mounts.MOUNT_ATTR_NOSYMFOLLOW, 0),
        ("defaults", RO, RO),
        # As in mount(8), these imply others, unless they are followed by the opposite.
        ("user", 0, NOSUID | NODEV | NOEXEC),
        ("users,exec,dev", 0, NOSUID),
        ("owner", 0, NOSUID | NODEV),
        ("group,suid", 0, NODEV),
        ("nouser,auto,nofail,_netdev,x-systemd.automount,X-any=1", 0, 0),
        ("silent,loud,iversion,noiversion,comment=any,user=joe,uhelper=udisks2,helper=any", RO, RO),
        ("comment,uhelper,helper,silent=,defaults=", RO, RO),
        ("user=", 0, NOSUID | NODEV | NOEXEC),
        ("ro=", 0, RO),
        # The kernel's default, unless another word says what it is to be.
        ("norelatime", STRICT, 0),
        ("nostrictatime", NOATIME, 0),
        ("strictatime,norelatime", 0, STRICT),
        ("strictatime,nostrictatime", 0, 0),
        ("noatime,nostrictatime", 0, NOATIME),
        ("norelatime,noatime", STRICT, NOATIME),
        # Of the two the mount and the file system.
        ("ro=vfs", 0, RO),
        ("rw=vfs", RO, 0),
        ("ro=fs", RO, RO),
        ("ro=fs", 0, 0),
        ("ro,ro=fs", 0, 0),
        ('ro="vfs,recursive"', 0, RO),
    ],
)
def test_attributes(text: str, base: int, expected: int) -> None:
    assert bits(text, base=base) == expected


def test_recursive_words() -> None:
    assert options.parse(
        (
            "rbind",
            "ro=recursive",
        )
    ).recursive
    assert (
        options.parse(
            (
                "rbind",
                "ro=recursive",
            )
        ).attr_set
        == RO
    )
    assert not options.parse(
        (
            "rbind",
            "ro",
        )
    ).recursive


def test_binds() -> None:
    assert options.parse(("bind",))[3:5] == (True, False)
    assert options.parse(("rbind",))[3:5] == (True, True)
    assert not options.parse(("ro",)).bind
    with pytest.raises(Refused, match="a bind mount takes no file-system option: mode, size"):
        options.parse(
            (
                "bind",
                "size=1m",
                "ro",
                "mode=700",
            )
        )


def test_options_of_the_file_system() -> None:
    asked = options.parse(
        (
            "size=10m",
            "noswap",
            "ro",
            "lowerdir=/a=b:/c",
            "user=joe",
            "size=1k",
        ),
        "cifs",
    )
    assert asked.filesystem == (
        ("size", "1k"),
        ("noswap", None),
        ("lowerdir", "/a=b:/c"),
        ("user", "joe"),  # of cifs: not the word of fstab(5)
    )
    assert options.parse(("sync", "mand", "async", "lazytime", "nomand")).filesystem == (
        ("async", None),
        ("nomand", None),
        ("lazytime", None),
    )
    # An empty value is not the same as none.
    assert options.parse(("a=",)).filesystem == (("a", ""),)


@pytest.mark.parametrize(
    ("text", "mount", "filesystem", "options_of_it"),
    [
        ("ro", True, True, ()),
        ("ro=vfs", True, False, ()),
        ("ro=fs", False, True, (("ro", None),)),
        ('ro="vfs,fs"', True, True, ()),
        # Of these words the last one counts.
        ("ro=fs,ro=vfs", True, False, ()),
        ("ro=vfs,rw", False, False, ()),
        ("ro,rw=fs", False, False, (("rw", None),)),
    ],
)
def test_which_of_the_two_is_read_only(
    text: str, mount: bool, filesystem: bool, options_of_it: tuple[tuple[str, None], ...]
) -> None:
    asked = options.parse(tuple(options.split_words(text)))
    assert bool(asked.attr_set & RO) == mount
    assert asked.reads_only == filesystem
    assert asked.filesystem == options_of_it


@pytest.mark.parametrize(
    ("text", "offset", "size"),
    [
        ("loop", 0, 0),
        ("offset=1048576", 1048576, 0),
        ("loop,offset=1M,sizelimit=8MiB", 1 << 20, 8 << 20),
        ("sizelimit=4k", 0, 4096),
        ("sizelimit=2KB,offset=3gib", 3 << 30, 2000),
    ],
)
def test_parts_of_an_image(text: str, offset: int, size: int) -> None:
    asked = options.parse(tuple(options.split_words(text)))
    assert asked.loop
    assert (asked.loop_offset, asked.loop_sizelimit) == (offset, size)
    with pytest.raises(Refused, match="a bind mount takes no image"):
        options.parse(("bind", *options.split_words(text)))
    with pytest.raises(Refused, match="exclude each other"):
        options.parse(("X-mount.noloop", *options.split_words(text)))
    assert not options.parse(("X-mount.noloop",)).loop


def test_labels() -> None:
    words = (
        'context="system_u:object_r:tmp_t:s0:c127,c456"',
        "seclabel",
        "smackfshat=_",
        "size=1m",
    )
    asked = options.parse(tuple(options.split_words(words)))
    on = {line.split()[-1] for line in pathlib.Path("/proc/filesystems").read_text().splitlines()}
    expected = {"size"}
    expected |= {"context", "seclabel"} if "selinuxfs" in on else set()
    expected |= {"smackfshat"} if "smackfs" in on else set()
    assert {key for key, _value in asked.filesystem} == expected


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("X-mount.mkdir", 0o755),
        ("X-mount.mkdir=", 0o755),
        ("X-mount.mkdir=0700", 0o700),
        ("X-mount.mkdir=1777", 0o1777),
        ("x-mount.mkdir=0700", 0o700),
    ],
)
def test_make_path(word: str, mode: int) -> None:
    assert options.parse((word,)).make_path == mode
    assert options.parse(("ro",)).make_path is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("remount", "'remount' is not a mount option here"),
        ("private", "'private' is not a mount option here"),
        ("rslave", "'rslave' is not a mount option here"),
        ("unbindable", "'unbindable' is not a mount option here"),
        ("runbindable", "'runbindable' is not a mount option here"),
        ("move", "'move' is not a mount option here"),
        ("nosuid=vfs", "nosuid is about the mount alone"),
        ("exec=fs", "exec is about the mount alone"),
        ("encryption=aes", "encryption= of a loop device is gone from the kernel"),
        ("verity.roothash=ab", "no device of dm-verity is made"),
        ("X-mount.nocanonicalize", "links in it are always followed"),
        ("X-mount.nocanonicalize=source", "links in it are always followed"),
        ("X-mount.unheard-of=x", "the mount option X-mount.unheard-of is not supported"),
        ("x-mount.idmap=0:0:1", "the mount option x-mount.idmap is not supported"),
        ("offset=", "'offset=' is no number of bytes"),
        ("sizelimit=all", "'sizelimit=all' is no number of bytes"),
        ("loop=/dev/loop3", "the loop device is not for opts to choose"),
        ("X-mount.subdir=../x", "X-mount.subdir=../x names no directory in the file system"),
        ("X-mount.subdir=/", "X-mount.subdir=/ names no directory in the file system"),
        ("X-mount.owner=", "the mount option X-mount.owner needs a value"),
        ("X-mount.mode=rwx", "the mode in 'X-mount.mode=rwx' is not an octal number"),
        ("X-mount.mkdir=rwx", "the mode in 'X-mount.mkdir=rwx' is not an octal number"),
        ("X-mount.mkdir=0o700", "is not an octal number up to 7777"),
        ("X-mount.mkdir=7_5", "is not an octal number up to 7777"),
        ("X-mount.mkdir=-1", "is not an octal number up to 7777"),
        ("X-mount.mkdir=10000", "is not an octal number up to 7777"),
    ],
)
def test_words_that_are_refused(word: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        options.parse((word,))
    assert reason in refused.value.reason


@given(BITS)
def test_bits_as_a_mount_table_shows_them(value: int) -> None:
    assert options.attributes_of(options.words_of(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, mounts.MS_RELATIME),
        (RO | NOATIME, mounts.MS_RDONLY | mounts.MS_NOATIME),
        (STRICT | NOEXEC, mounts.MS_STRICTATIME | mounts.MS_NOEXEC),
        (NOSUID | NODEV, mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_RELATIME),
        (
            mounts.MOUNT_ATTR_NOSYMFOLLOW | mounts.MOUNT_ATTR_NODIRATIME,
            mounts.MS_NOSYMFOLLOW | mounts.MS_NODIRATIME | mounts.MS_RELATIME,
        ),
    ],
)
def test_flags_of_mount_2(value: int, expected: int) -> None:
    assert options.classic_flags(value) == expected


@pytest.mark.parametrize(
    "word", ["ro", "size=1m", "context=a,b", "a,b=c", "lowerdir=/a\\,b:/c", "x=", "mpol=bind:0,1"]
)
def test_a_word_is_quoted_where_it_has_a_comma(word: str) -> None:
    listed = ["nosuid", options.quoted(word), "nodev"]
    assert options.split_words(listed) == ["nosuid", word, "nodev"]
    assert options.split_words(",".join(listed)) == ["nosuid", word, "nodev"]
    assert ('"' in listed[1]) == ("," in word.replace("\\,", ""))
