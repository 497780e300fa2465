# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The words of mount(8) in ``opts``, sorted by who understands them.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import typing as t

from ..errors import Refused
from ..syscalls import mounts

# word -> (attribute bits to set, attribute bits to clear). The atime words exclude each other:
# they share the field MOUNT_ATTR__ATIME, where 0 is relatime (mount_setattr(2)).
_ATIME = mounts.MOUNT_ATTR__ATIME
_SECURE = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV
ATTRIBUTE_WORDS: dict[str, tuple[int, int]] = {
    "ro": (mounts.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, mounts.MOUNT_ATTR_RDONLY),
    "nosuid": (mounts.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, mounts.MOUNT_ATTR_NOSUID),
    "nodev": (mounts.MOUNT_ATTR_NODEV, 0),
    "dev": (0, mounts.MOUNT_ATTR_NODEV),
    "noexec": (mounts.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, mounts.MOUNT_ATTR_NOEXEC),
    "nosymfollow": (mounts.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, mounts.MOUNT_ATTR_NOSYMFOLLOW),
    "nodiratime": (mounts.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, mounts.MOUNT_ATTR_NODIRATIME),
    "relatime": (mounts.MOUNT_ATTR_RELATIME, _ATIME),
    "noatime": (mounts.MOUNT_ATTR_NOATIME, _ATIME),
    "strictatime": (mounts.MOUNT_ATTR_STRICTATIME, _ATIME),
    "atime": (mounts.MOUNT_ATTR_RELATIME, _ATIME),
    # Who may mount it is a word of fstab(5); what it implies is not (mount(8)).
    "user": (_SECURE | mounts.MOUNT_ATTR_NOEXEC, 0),
    "users": (_SECURE | mounts.MOUNT_ATTR_NOEXEC, 0),
    "owner": (_SECURE, 0),
    "group": (_SECURE, 0),
}

# Words for fstab(5) and its readers, which say nothing about the mount itself.
_IGNORED = frozenset(
    {"defaults", "auto", "noauto", "nofail", "_netdev", "nouser", "nousers", "noowner", "nogroup"}
)

# Each names one more: a directory of an overlay, a device of btrfs or erofs.
_REPEATED = frozenset({"lowerdir+", "datadir+", "device"})


class Options(t.NamedTuple):
    """The words of ``opts``, understood."""

    # MOUNT_ATTR_* bits to set and to clear; of two words that contradict each other the last counts.
    attr_set: int = 0
    attr_clr: int = 0
    # Whether these hold for the mounts below too.
    recursive: bool = False
    bind: bool = False
    bind_recursive: bool = False
    # (key, value) for the file system; a flag has no value.
    filesystem: tuple[tuple[str, str | None], ...] = ()
    # The mode of X-mount.mkdir, or None.
    make_path: int | None = None
    # The text of X-mount.idmap.
    idmap: str = ""
    # Whether the source is an image in a file.
    loop: bool = False
    # Which part of that, in bytes; a size of 0 is all up to the end.
    loop_offset: int = 0
    loop_sizelimit: int = 0

    @property
    def read_only(self) -> bool:
        """Whether ``ro`` was asked for."""
        return bool(self.attr_set & mounts.MOUNT_ATTR_RDONLY)

    def applied_to(self, bits: int) -> int:
        """The MOUNT_ATTR_* bits of a mount that had these ``bits``, with the words applied."""
        return bits & ~self.attr_clr | self.attr_set


def propagation_of(word: str) -> tuple[str, bool]:
    """The propagation that a word names, and whether of the mounts below too: of rslave, slave."""
    return word.removeprefix("r"), word.startswith("r")


def split_words(opts: str | t.Iterable[str]) -> list[str]:
    """The words of ``opts``: a comma string, or a list of such.

    Quotes protect commas, and so does a backslash, which stays: what it means is the file system's.
    """
    # Ansible has split a string at each comma already, also at those within quotes.
    text = opts if isinstance(opts, str) else ",".join(opts)
    if '"' not in text and "\\," not in text:
        words = text.split(",")
    else:
        words, word, quoted = [], "", False
        for character in text:
            if character == '"':
                quoted = not quoted
            elif character == "," and not quoted and not word.endswith("\\"):
                words.append(word)
                word = ""
            else:
                word += character
        if quoted:  # what stands in it may be a password
            raise Refused("a quote is not closed in the mount options", 'Write key="a,b".')
        words.append(word)
    return [word.strip() for word in words if word.strip()]


@functools.cache
def parse(words: tuple[str, ...]) -> Options:
    """Understand the words. Raises Refused for one that cannot mean what it says."""
    attr_set = attr_clr = 0
    recursive = bind = bind_recursive = loop = False
    make_path: int | None = None
    idmap = ""
    filesystem: dict[tuple[str, str | None], tuple[str, str | None]] = {}
    for word in words:
        key, has_value, value = word.partition("=")
        if key in ATTRIBUTE_WORDS and (not has_value or value == "recursive"):
            word_set, word_clr = ATTRIBUTE_WORDS[key]
            attr_set = attr_set & ~word_clr | word_set
            attr_clr = attr_clr & ~word_set | word_clr
            recursive = recursive or value == "recursive"
        elif key in ("bind", "rbind") and not has_value:
            bind = True
            bind_recursive = bind_recursive or key == "rbind"
        elif key == "X-mount.mkdir":
            make_path = _mode(value or "0755", word)
        elif key == "X-mount.idmap":
            idmap = _idmap(value)
        elif key == "loop":
            if has_value:
                raise Refused("the kernel chooses the loop device, not opts", "Write loop alone.")
            loop = True
        elif key == "remount":
            raise Refused("'remount' is not a mount option here", "Use state: remounted.")
        elif propagation_of(key)[0] in mounts.PROPAGATION:
            raise Refused(f"{key!r} is not a mount option here", f"Use propagation: {key}.")
        elif key.startswith("X-mount."):
            raise Refused(f"the mount option {key} is not supported")
        elif key in _IGNORED or key.startswith(("x-", "X-")):
            continue
        else:
            # Of several the last counts, where it does not add to the others.
            same = (key, value if key in _REPEATED else None)
            filesystem[same] = (key, value if has_value else None)
    if bind and filesystem:
        names = sorted({key for key, _value in filesystem})
        raise Refused(
            f"a bind mount takes no file-system option: {', '.join(names)}",
            "A bind shows a file system that is mounted already; change that mount instead.",
        )
    if bind and loop:
        raise Refused("a bind mount takes no image: loop", "Leave bind out and give fstype.")
    return Options(
        attr_set=attr_set,
        attr_clr=attr_clr,
        recursive=recursive,
        bind=bind,
        bind_recursive=bind_recursive,
        filesystem=tuple(filesystem.values()),
        make_path=make_path,
        idmap=idmap,
        loop=loop,
    )


def _mode(text: str, word: str) -> int:
    if not set(text) <= set("01234567") or int(text, 8) > 0o7777:
        raise Refused(f"the mode in {word!r} is not an octal number up to 7777")
    return int(text, 8)


# Ids: the first in the file system, the first as they show, and how many.
IdRange = tuple[int, int, int]


def _idmap(text: str) -> str:
    if text.startswith("/"):
        return text
    ranges_of(text)
    return text


def ranges_of(text: str) -> tuple[tuple[IdRange, ...], tuple[IdRange, ...]]:
    """The uids and the gids that X-mount.idmap maps: ``u:0:100000:65536 g:0:100000:65536``.

    Each word is a range: u for uids, g for gids, b or nothing for both (mount(8)).
    Raises Refused.
    """
    uids: list[IdRange] = []
    gids: list[IdRange] = []
    for word in text.split():
        which, _colon, rest = (
            word.partition(":") if word[:2] in ("u:", "g:", "b:") else ("b", "", word)
        )
        numbers = rest.split(":")
        if len(numbers) != 3 or not all(each.isascii() and each.isdecimal() for each in numbers):
            uids = gids = []
            break
        inside, outside, count = map(int, numbers)
        one = (inside, outside, count)
        uids += [one] if which in "ub" else []
        gids += [one] if which in "gb" else []
    if not uids and not gids:
        raise Refused(
            f"X-mount.idmap={text} is no id map",
            "Write u:INSIDE:OUTSIDE:COUNT g:INSIDE:OUTSIDE:COUNT, or the path of a user namespace.",
        )
    return tuple(uids), tuple(gids)


def joined(ranges: t.Iterable[IdRange]) -> list[IdRange]:
    """The same map in as few ranges as possible, in order."""
    found: list[IdRange] = []
    for inside, outside, count in sorted(ranges):
        if found:
            first, shown, number = found[-1]
            if (first + number, shown + number) == (inside, outside):
                found[-1] = (first, shown, number + count)
                continue
        found.append((inside, outside, count))
    return found


_FLAG_BITS = {
    "ro": mounts.MOUNT_ATTR_RDONLY,
    "nosuid": mounts.MOUNT_ATTR_NOSUID,
    "nodev": mounts.MOUNT_ATTR_NODEV,
    "noexec": mounts.MOUNT_ATTR_NOEXEC,
    "nosymfollow": mounts.MOUNT_ATTR_NOSYMFOLLOW,
    "nodiratime": mounts.MOUNT_ATTR_NODIRATIME,
    "noatime": mounts.MOUNT_ATTR_NOATIME,
}


def attributes_of(flags: t.Collection[str]) -> int:
    """The MOUNT_ATTR_* bits of the flags in a mount table. No atime word is strictatime."""
    bits = 0
    for flag in flags:
        bits |= _FLAG_BITS.get(flag, 0)
    if "noatime" not in flags and "relatime" not in flags:
        bits |= mounts.MOUNT_ATTR_STRICTATIME
    return bits


def words_of(bits: int) -> list[str]:
    """The words for MOUNT_ATTR_* bits, as a mount table shows them."""
    words = ["ro" if bits & mounts.MOUNT_ATTR_RDONLY else "rw"]
    for word in ("nosuid", "nodev", "noexec", "nosymfollow", "nodiratime"):
        if bits & _FLAG_BITS[word]:
            words.append(word)
    atime = bits & _ATIME
    if atime == mounts.MOUNT_ATTR_NOATIME:
        words.append("noatime")
    elif atime == mounts.MOUNT_ATTR_RELATIME:
        words.append("relatime")
    return words


def classic_flags(bits: int) -> int:
    """MS_* flags of mount(2) for MOUNT_ATTR_* bits: for kernels before Linux 5.12."""
    flags = 0
    for attribute, flag in (
        (mounts.MOUNT_ATTR_RDONLY, mounts.MS_RDONLY),
        (mounts.MOUNT_ATTR_NOSUID, mounts.MS_NOSUID),
        (mounts.MOUNT_ATTR_NODEV, mounts.MS_NODEV),
        (mounts.MOUNT_ATTR_NOEXEC, mounts.MS_NOEXEC),
        (mounts.MOUNT_ATTR_NOSYMFOLLOW, mounts.MS_NOSYMFOLLOW),
        (mounts.MOUNT_ATTR_NODIRATIME, mounts.MS_NODIRATIME),
    ):
        if bits & attribute:
            flags |= flag
    atime = {
        mounts.MOUNT_ATTR_NOATIME: mounts.MS_NOATIME,
        mounts.MOUNT_ATTR_STRICTATIME: mounts.MS_STRICTATIME,
    }
    return flags | atime.get(bits & _ATIME, mounts.MS_RELATIME)
