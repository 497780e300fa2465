# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of mount(8): who they are for, and what they mean."""

from __future__ import annotations

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
        )
    )
    assert asked.filesystem == (
        ("size", "1k"),
        ("noswap", None),
        ("lowerdir", "/a=b:/c"),
        ("user", "joe"),  # of cifs: not the word of fstab(5)
    )
    # An empty value is not the same as none.
    assert options.parse(("a=",)).filesystem == (("a", ""),)


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("X-mount.mkdir", 0o755),
        ("X-mount.mkdir=", 0o755),
        ("X-mount.mkdir=0700", 0o700),
        ("X-mount.mkdir=1777", 0o1777),
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
        ("X-mount.subdir=x", "the mount option X-mount.subdir is not supported"),
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
