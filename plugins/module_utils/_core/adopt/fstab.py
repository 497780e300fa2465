# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The lines of an fstab(5) as mounts of a named namespace.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re

from ..errors import Refused
from ..mount import options
from .adopted import Adopted

_FIELDS = 6
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")


def of(name: str, text: bytes, file: str) -> Adopted:
    """The namespace that mounts what the lines say, but for the root and swap of a host."""
    found = Adopted(name)
    for number, line in enumerate(text.split(b"\n"), start=1):
        # Other white space is a part of a word.
        words = [word for word in re.split(rb"[ \t]+", line.removesuffix(b"\r")) if word]
        if words and not words[0].startswith(b"#"):
            _add(found, [_text(word) for word in words], f"line {number} of {file}")
    found.settle()
    return found


def _add(found: Adopted, words: list[str], where: str) -> None:
    if not 3 <= len(words) <= _FIELDS:
        fields = "1 field" if len(words) == 1 else f"{len(words)} fields"
        found.leave(where, f"it has {fields}, which is no line of fstab(5)")
        return
    if any("\0" in word for word in words):
        found.leave(where, "it has a null character")
        return
    src, path, fstype = words[:3]
    try:
        opts = options.split_words(words[3] if len(words) > 3 else "")
    except Refused as error:
        found.leave(where, error.reason)
        return
    if fstype == "swap" or path in ("none", "swap"):
        found.leave(where, "swap is the host's")
    elif fstype == "ignore":
        found.leave(where, "it says itself that it is to be ignored")
    elif "noauto" in opts:
        found.leave(
            where, "with noauto it is mounted when somebody asks for it, which nobody would"
        )
    else:
        is_bind = {"bind", "rbind"} & {*opts}
        said = {
            "path": path,
            "src": src,
            "fstype": "" if is_bind else fstype,
            "opts": [options.quoted(word) for word in opts if word != "defaults"],
        }
        found.add_mount({key: value for key, value in said.items() if value}, where)


def _text(word: bytes) -> str:
    plain = _ESCAPE.sub(lambda match: bytes([int(match.group(1), 8)]), word)
    return plain.decode("utf-8", "surrogateescape")
