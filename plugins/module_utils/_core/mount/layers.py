# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The directories of an overlay, as its options name them and as a mount table shows them.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused

Pairs = t.Sequence[tuple[str, t.Optional[str]]]

LOWER, DATA, UPPER, WORK = "lowerdir+", "datadir+", "upperdir", "workdir"
_LIST = "lowerdir"
KEYS = frozenset({_LIST, LOWER, DATA, UPPER, WORK})
# Where two stand in one option. What follows "::" holds data alone (overlayfs.rst of the kernel).
_DATA_FOLLOWS = "::"


class Layer(t.NamedTuple):
    """One directory of an overlay."""

    # What it is to it: LOWER, DATA, UPPER or WORK.
    key: str
    path: str


def of(pairs: Pairs, *, shown: bool = False) -> list[Layer]:
    r"""The directories that the options name, the lower ones from the top down.

    A colon in a list is written \: and a backslash \\ . ``shown`` are options of a mount table:
    there the upper one is as it was given, escaped or as a descriptor. Raises Refused.
    """
    found: list[Layer] = []
    for key, value in pairs:
        if key not in KEYS:
            continue
        if not value:
            if shown:
                continue
            raise Refused(f"the option {key} of an overlay names no directory")
        if key == _LIST:
            found += _of_list(value, may_be_odd=shown)
        elif key in (UPPER, WORK) and not shown:
            found.append(Layer(key, unescaped(value)))
        else:
            found.append(Layer(key, value))
    return found


def _of_list(text: str, *, may_be_odd: bool) -> list[Layer]:
    found = []
    for position, part in enumerate(_split(text, _DATA_FOLLOWS)):
        # Only the first part may hold several.
        paths = [part] if position else _split(part, ":")
        found += [Layer(DATA if position else LOWER, unescaped(path)) for path in paths]
    if not may_be_odd and not all(layer.path for layer in found):
        raise Refused(
            f"lowerdir={text} names a directory without a name",
            "Write lowerdir=/first:/second, with \\: for a colon in a path.",
        )
    return found


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that no backslash stands before."""
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith(separator, at):
            parts.append(text[start:at])
            at = start = at + len(separator)
        else:
            at += 1
    return [*parts, text[start:]]


def unescaped(text: str) -> str:
    """The text without the backslashes that protect what follows."""
    found, at = "", 0
    while at < len(text):
        at += text[at] == "\\" and at + 1 < len(text)
        found += text[at]
        at += 1
    return found


def as_text(layers: t.Sequence[Layer]) -> list[tuple[str, str]]:
    """The options with all lower directories in one, as any kernel takes them."""
    lower = [_escaped(layer.path) for layer in layers if layer.key == LOWER]
    data = [_escaped(layer.path) for layer in layers if layer.key == DATA]
    in_one = _DATA_FOLLOWS.join([":".join(lower), *data])
    pairs = [(_LIST, in_one)] if in_one else []
    for layer in layers:
        if layer.key in (UPPER, WORK):
            pairs.append((layer.key, layer.path.replace("\\", "\\\\")))
    return pairs


def one_by_one(layers: t.Sequence[Layer]) -> list[tuple[str, str]]:
    """The options with each directory in its own, as kernels from Linux 6.7 on take them."""
    lower = [(layer.key, layer.path) for layer in layers if layer.key in (LOWER, DATA)]
    return [*lower, *(pair for pair in as_text(layers) if pair[0] != _LIST)]


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:")
