# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a mounted file system has the options that are wanted, and how one that it has not is set.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import hashlib
import typing as t

from .. import redact
from ..definition.steps import MountStep
from . import layers, options
from .option_values import as_number, normalised
from .table import Mount, pairs_of

# What the kernel shows under another name.
_SHOWN_AS = {"nr_blocks": "size"}
# What it shows in the place of a secret.
_HIDDEN = "<hidden>"
# What the kernel does not show because it is the default.
_UNSHOWN: dict[str, dict[str, str | None]] = {
    "tmpfs": {
        "mode": "1777",
        "uid": "0",
        "gid": "0",
        "huge": "never",
        "size": "50%",
        "mpol": "default",
    },
    "devpts": {"newinstance": None, "uid": "0", "gid": "0"},
    "proc": {"hidepid": "off", "gid": "0"},
    "overlay": dict.fromkeys(("index", "metacopy", "nfs_export", "verity", "xino"), "off"),
}
# Changing one of these on a mounted file system is refused or ignored by the kernel, so that it
# takes a new one. What is not listed is changed in place.
_NEEDS_NEW: dict[str, set[str]] = {
    "overlay": {"*"},
    "tmpfs": {"mode", "uid", "gid", "noswap"},
    "ramfs": {"mode"},
    "hugetlbfs": {"*"},
    "btrfs": {"subvol", "subvolid"},
}
# To change one option of these sets all that are not given to their defaults.
_RESETS_THE_REST = ("devpts",)
_GENERIC = ("ro", "rw", "sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand")
# What holds where the other one is not shown.
_OPPOSITE = {
    "rw": "ro",
    "ro": "rw",
    "async": "sync",
    "nolazytime": "lazytime",
    "nomand": "mand",
    "inode32": "inode64",
}


Pair = tuple[str, t.Optional[str]]


class Meaning(t.NamedTuple):
    """What a mount was given, as words(), and what the kernel showed right after it."""

    given: tuple[str, ...]
    shown: tuple[str, ...]

    def holds(self, pair: Pair, name: str, mount: Mount) -> bool:
        """Whether the mount still shows what the option came to, by this name or by none."""
        if not {*words([pair])} <= {*self.given}:
            return False
        before, now = (_as_table(each) for each in (self.shown, mount.options))
        if name in now and name in before:
            return now[name] == before[name]
        return before == now


def word(pair: Pair) -> str:
    """An option as a word of mount(8)."""
    key, value = pair
    return key if value is None else f"{key}={value}"


def words(pairs: t.Iterable[Pair]) -> list[str]:
    """Options as they are noted: of a secret, what it can be told from others by."""
    found = []
    for pair in pairs:
        text, key = word(pair), pair[0]
        if redact.word(text) != text:
            digest = hashlib.sha256(text.encode("utf-8", "surrogateescape"))
            text = f"{key}={digest.hexdigest()}"
        found.append(text)
    return found


def _as_table(shown: t.Iterable[str]) -> dict[str, str | None]:
    return dict(pairs_of(shown))


def takes_new(fstype: str, key: str, mount: Mount) -> bool:
    """Whether no change of the mounted file system ``mount`` sets the option ``key``."""
    name = _SHOWN_AS.get(key, key)
    # What has no limit gets none later (mm/shmem.c).
    is_unlimited = f"{name}=0" in mount.options or f"{name}=0k" in mount.options
    return bool({"*", key} & _NEEDS_NEW.get(fstype, set())) or (fstype == "tmpfs" and is_unlimited)


def not_taken(asked: t.Iterable[Pair], before: Mount, now: Mount) -> list[str]:
    """Which of the options, set on what is mounted, are shown as before, and plainly are others.

    That is another number, or a default that the kernel does not show.
    """
    old, new = _as_table(before.options), _as_table(now.options)
    unshown = _UNSHOWN.get(now.fstype, {})
    found = []
    for key, value in asked:
        name = _SHOWN_AS.get(key, key)
        has = new.get(name)
        if not value or not has or has != old.get(name):
            continue
        numbers = as_number(value), as_number(has)
        is_other = None not in numbers or value == unshown.get(name)
        if is_other and normalised(key, value) != normalised(name, has):
            found.append(f"{key}={value}")
    return found


def changed_options(
    fstype: str,
    asked: options.Options,
    mount: Mount,
    recorded: MountStep | None,
    names: t.Mapping[str, t.Sequence[str]],
    meaning: Meaning | None = None,
) -> tuple[Pair, ...]:
    """The options that are asked for and differ, (key, value); a flag has no value.

    ``recorded`` is what the mount was made with, ``names`` are those that the kernel may have for each
    directory of an overlay, by its path in opts. ``meaning`` is what is noted of the mount. Where
    changing one sets all that are not given to their defaults, these are added.
    """
    pairs = pairs_of(mount.options)
    shown = dict(pairs)
    unshown = _UNSHOWN.get(fstype, {})
    made_with = options.parse(recorded.words, recorded.fstype).filesystem if recorded else ()
    compared = asked.filesystem
    changed = []
    if fstype == "overlay":
        changed = _changed_layers(asked.filesystem, pairs, made_with, names)
        compared = tuple(pair for pair in compared if pair[0] not in layers.KEYS)
    for key, value in compared:
        if key not in shown and key in _OPPOSITE and _OPPOSITE[key] not in shown:
            continue
        name = _SHOWN_AS.get(key, key)
        if name in shown and shown[name] != _HIDDEN:
            same = normalised(key, value) == normalised(name, shown[name])
        elif name in unshown:
            same = normalised(key, value) == normalised(name, unshown[name])
        else:
            same = (key, value) in made_with
        if not same and not (meaning and meaning.holds((key, value), name, mount)):
            changed.append((key, value))
    if changed and fstype in _RESETS_THE_REST:
        kept = {key: value for key, value in shown.items() if key not in _GENERIC}
        return tuple({**kept, **dict(asked.filesystem)}.items())
    return tuple(changed)


def _changed_layers(
    asked: layers.Pairs,
    shown: layers.Pairs,
    made_with: layers.Pairs,
    names: t.Mapping[str, t.Sequence[str]],
) -> list[tuple[str, str | None]]:
    """The options that name other directories than those that the overlay has.

    A directory that cannot be found, as after a pivot away from it, is what it was last time.
    """
    found, there = layers.of(asked), layers.of(shown, shown=True)
    last = layers.of(made_with)
    changed = []
    for keys in ((layers.LOWER, layers.DATA), (layers.UPPER,), (layers.WORK,)):
        want, has, had = (
            [layer for layer in each if layer.key in keys] for each in (found, there, last)
        )
        same = [layer.key for layer in want] == [layer.key for layer in has] and all(
            not {now.path, layers.unescaped(now.path)}.isdisjoint(names[layer.path])
            if layer.path in names
            else layer.path in (now.path, layers.unescaped(now.path)) or want == had
            for layer, now in zip(want, has)
        )
        if want and not same:
            options_of = (*keys, keys[0].rstrip("+"))
            changed += [(key, value) for key, value in asked if key in options_of]
    return changed
