# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the words of mount(8) in ``opts`` ask for: the tables of the words are in words.py.

Pure, but that it looks for security modules. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import re
import typing as t

from ..errors import Refused
from ..syscalls import mounts
from . import id_ranges
from . import words as known


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
    # Whether the file system is to be read-only with the mount: not where ro is for one of the two.
    read_only: bool = False
    # The mode of X-mount.mkdir, or None.
    make_path: int | None = None
    # The text of X-mount.idmap.
    idmap: str = ""
    # Whether the source is an image in a file.
    loop: bool = False
    # Which part of that, in bytes; a size of 0 is all up to the end.
    loop_offset: int = 0
    loop_sizelimit: int = 0
    # What the root of the mount is to have: a user and a group, by id or by name, and a mode.
    owner: str = ""
    group: str = ""
    mode: int | None = None
    # The directory of the file system that is mounted in place of its root.
    subdir: str = ""
    # Of fstype auto: which types may be found there.
    auto_fstypes: str = ""

    @property
    def reads_only(self) -> bool:
        """Whether nobody is to write to what the file system is on."""
        return self.read_only or ("ro", None) in self.filesystem

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


def quoted(word: str) -> str:
    """The word as split_words() takes it: with quotes where it has a comma. Pure."""
    if not re.search(r"(?<!\\),", word):
        return word
    key, equals, value = word.partition("=")
    return f'{key}="{value}"' if equals and "," not in key else f'"{word}"'


def parse(words: tuple[str, ...], fstype: str = "") -> Options:
    """Understand the words for a mount of this type. Raises Refused for one that cannot be done.

    Labels of a security module that is off are left out, as mount(8) does.
    """
    return _parsed(words, fstype, _off(words))


def _off(words: t.Iterable[str]) -> frozenset[str]:
    """The words for a security module that is off."""
    labels = {word.partition("=")[0] for word in words}.intersection(known.LABELS)
    return frozenset(word for word in labels if known.LABELS[word] not in _file_systems())


@functools.cache
def _file_systems() -> frozenset[str]:
    with open("/proc/filesystems", encoding="ascii") as lines:
        return frozenset(line.split()[-1] for line in lines if line.strip())


@functools.cache
def _parsed(words: tuple[str, ...], fstype: str, off: frozenset[str]) -> Options:
    asked = _Asked(fstype)
    for word in words:
        key, has_value, value = word.partition("=")
        if key == f"{known.OF_MOUNT_ONCE}mkdir":
            key = f"{known.OF_MOUNT}mkdir"
        if key not in off:
            asked.take(key, value if has_value else None, word)
    return asked.done()


class _Asked:
    """What the words up to now ask for."""

    def __init__(self, fstype: str) -> None:
        self._fstype = fstype
        self._set = self._clr = 0
        self._read_only = False
        # ro or rw, where it is for the file system and not for the mount.
        self._for_file_system = ""
        self._filesystem: dict[tuple[str, str | None], tuple[str, str | None]] = {}
        self._others: dict[str, t.Any] = {}

    def take(self, key: str, value: str | None, word: str) -> None:
        """Understand one more word. Raises Refused."""
        if not value and key in _WITHOUT_VALUE:  # an empty one is none (mount(8))
            value = None
        if key in known.REFUSED:
            raise Refused(*known.REFUSED[key])
        if propagation_of(key)[0] in mounts.PROPAGATION:
            raise Refused(f"{key!r} is not a mount option here", f"Use propagation: {key}.")
        arguments = set() if value is None else set(value.split(","))
        if key in known.ATTRIBUTES and arguments <= _ARGUMENTS:
            self._attribute(key, arguments, word)
        elif key in known.ATIME_DEFAULTS and value is None:
            if self._set & known.ATIME == known.ATIME_DEFAULTS[key]:
                self._set &= ~known.ATIME
            self._clr |= known.ATIME
        elif key in ("bind", "rbind") and value is None:
            self._others["bind"] = True
            self._others["bind_recursive"] = self._others.get("bind_recursive") or key == "rbind"
        elif key in _OF_IMAGES:
            self._others.update(_of_image(key, value, word))
        elif key.startswith((known.OF_MOUNT, known.OF_MOUNT_ONCE)):
            self._others.update(_of_mount(key, value or "", word))
        elif not self._is_ignored(key, value):
            # Of several the last counts, where it does not add to the others.
            same = (known.OPPOSITES.get(key, key), value if key in known.REPEATED else None)
            self._filesystem[same] = (key, value)

    def _attribute(self, key: str, arguments: set[str], word: str) -> None:
        bits, cleared = known.ATTRIBUTES[key]
        if known.RECURSIVE in arguments:
            self._others["recursive"] = True
        layers = arguments & {known.OF_THE_MOUNT, known.OF_THE_FILE_SYSTEM}
        if key in ("ro", "rw"):
            # Of these words the last one counts, for the mount and for the file system.
            self._set &= ~mounts.MOUNT_ATTR_RDONLY
            self._clr &= ~mounts.MOUNT_ATTR_RDONLY
            self._read_only = key == "ro" and len(layers) != 1
            self._for_file_system = key if layers == {known.OF_THE_FILE_SYSTEM} else ""
            if self._for_file_system:
                return
        elif layers:
            raise Refused(
                f"{word} is nothing that a file system has: {key} is about the mount alone",
                f"Write {key}.",
            )
        self._set = self._set & ~cleared | bits
        self._clr = self._clr & ~bits | cleared

    def _is_ignored(self, key: str, value: str | None) -> bool:
        if key in known.IGNORED_WITH_ANY_VALUE or key.startswith(known.REMARKS):
            return True
        if key == known.USER and value is not None:
            return self._fstype not in known.USER_OF_THE_FILE_SYSTEM
        return value is None and key in known.IGNORED

    def done(self) -> Options:
        """All of it. Raises Refused for words that exclude each other."""
        others = self._others
        filesystem = [*self._filesystem.values()]
        if self._for_file_system:
            filesystem.append((self._for_file_system, None))
        asked = Options(
            attr_set=self._set,
            attr_clr=self._clr,
            filesystem=tuple(filesystem),
            read_only=self._read_only,
            **{key: value for key, value in others.items() if key != "noloop"},
        )
        if asked.bind and filesystem:
            names = sorted(
                {f"{key}=fs" if key in ("ro", "rw") else key for key, _value in filesystem}
            )
            raise Refused(
                f"a bind mount takes no file-system option: {', '.join(names)}",
                "A bind shows a file system that is mounted already; change that mount instead.",
            )
        if asked.bind and asked.loop:
            raise Refused("a bind mount takes no image: loop", "Leave bind out and give fstype.")
        if asked.bind and asked.subdir:
            raise Refused(
                "a bind mount takes no X-mount.subdir", "Name the directory in src of the bind."
            )
        if asked.loop and others.get("noloop"):
            raise Refused("X-mount.noloop and loop exclude each other", "Leave one of them out.")
        return asked


_ARGUMENTS = {known.RECURSIVE, known.OF_THE_MOUNT, known.OF_THE_FILE_SYSTEM}
_WITHOUT_VALUE = {*known.ATTRIBUTES, *known.IGNORED}
_OF_IMAGES = ("loop", "offset", "sizelimit")


def _of_image(key: str, value: str | None, word: str) -> dict[str, t.Any]:
    """What a word for an image asks for: each of them is for a loop device (mount(8))."""
    if key == "loop":
        if value is not None:
            raise Refused(
                f"the loop device is not for opts to choose: {word}",
                "Write loop alone: the device that shows the image already is used again, and else one "
                "that is free.",
            )
        return {"loop": True}
    return {"loop": True, f"loop_{key}": _size(value or "", word)}


_SIZE = re.compile("([0-9]{1,18})(?:([KMGTPE])(iB|B)?)?", re.IGNORECASE)


def _size(text: str, word: str) -> int:
    """A number of bytes, as losetup(8) takes it: of 1K and 1KiB 1024, of 1KB 1000."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused(
            f"{word!r} is no number of bytes", "Write a number as 1048576, 1024K, 1M or 1MiB."
        )
    number, unit, kind = match.groups()
    base = 1000 if (kind or "").lower() == "b" else 1024
    power: int = base ** (" KMGTPE".index(unit.upper()) if unit else 0)
    return int(number) * power


def _of_mount(key: str, value: str, word: str) -> dict[str, t.Any]:
    """What a word as X-mount.mkdir asks for."""
    name = key.partition(".")[2]
    if not key.startswith(known.OF_MOUNT) or name not in _OF_MOUNT:
        raise Refused(
            f"the mount option {key} is not supported",
            "Those that are: " + ", ".join(f"{known.OF_MOUNT}{each}" for each in _OF_MOUNT) + ".",
        )
    if name == "noloop":
        return {"noloop": True}
    if name == "mkdir":
        return {"make_path": _mode(value or "0755", word)}
    if not value and name != "idmap":
        raise Refused(f"the mount option {key} needs a value")
    if name == "idmap":
        return {"idmap": _idmap(value)}
    if name == "mode":
        return {"mode": _mode(value, word)}
    if name == "subdir":
        return {"subdir": _subdir(value, word)}
    return {_OF_MOUNT[name]: value}


_OF_MOUNT = {
    "mkdir": "make_path",
    "owner": "owner",
    "group": "group",
    "mode": "mode",
    "subdir": "subdir",
    "idmap": "idmap",
    "auto-fstypes": "auto_fstypes",
    "noloop": "",
}


def _subdir(text: str, word: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise Refused(f"{word} names no directory in the file system", "Write one without '..'.")
    return "/".join(parts)


def _idmap(text: str) -> str:
    if not text.startswith("/"):
        id_ranges.ranges_of(text)
    return text


def _mode(text: str, word: str) -> int:
    if not text or not set(text) <= set("01234567") or int(text, 8) > 0o7777:
        raise Refused(f"the mode in {word!r} is not an octal number up to 7777")
    return int(text, 8)


def attributes_of(flags: t.Collection[str]) -> int:
    """The MOUNT_ATTR_* bits of the flags in a mount table. No atime word is strictatime."""
    bits = 0
    for flag in flags:
        bits |= known.FLAG_BITS.get(flag, 0)
    if "noatime" not in flags and "relatime" not in flags:
        bits |= mounts.MOUNT_ATTR_STRICTATIME
    return bits


def words_of(bits: int) -> list[str]:
    """The words for MOUNT_ATTR_* bits, as a mount table shows them."""
    words = ["ro" if bits & mounts.MOUNT_ATTR_RDONLY else "rw"]
    for word in ("nosuid", "nodev", "noexec", "nosymfollow", "nodiratime"):
        if bits & known.FLAG_BITS[word]:
            words.append(word)
    atime = bits & known.ATIME
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
    return flags | atime.get(bits & known.ATIME, mounts.MS_RELATIME)
