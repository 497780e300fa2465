# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Values that no option can mean, whatever it is for.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import math
import typing as t

from .. import redact
from ..errors import Refused

# The longest time that can be asked for, in seconds: 31 years.
_LONGEST_TIME = 1e9
# Far more than any option has: of an id map it is three.
_DEEPEST = 12

# From the outside to the inside: the keys of objects, and the numbers in lists.
Place = tuple[t.Union[str, int], ...]


def problem(value: t.Any, *, is_of_bytes: bool = False) -> str:
    """Why neither the kernel nor a clock can be given the number or the text; empty where they can.

    In a text a null character would end it, where the kernel reads it, unless it ``is_of_bytes``, as what is
    written to a file; and half of a pair of UTF-16 has no bytes. The text is not a part of what is said: it
    may be a secret.
    """
    if isinstance(value, str):
        if "\0" in value and not is_of_bytes:
            return "must not hold a null character"
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return "must not hold a character that has no bytes"
    if isinstance(value, float) and not abs(value) <= _LONGEST_TIME:
        return f"is no number of seconds: {value}"
    if isinstance(value, int) and not abs(value) < 1 << 63:
        return "is a number of more than 63 bits"
    return ""


def is_no_number(value: t.Any) -> bool:
    """Whether it is one of the numbers that cannot be written down: endless, none, or far too long."""
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and bool(problem(value))


def problem_within(
    value: t.Any, place: Place = (), *, is_of_bytes: bool = False
) -> tuple[Place, str]:
    """The first problem() of the value or of one that lies in it, and where; empty for none."""
    if len(place) > _DEEPEST:
        return place[:1], "is nested too deep"
    inner: t.Iterable[tuple[str | int, t.Any]] = ()
    if isinstance(value, dict):
        for key in value:
            if problem(key):
                return place, f"has a name that {problem(key)}"
        inner = ((redact.word(str(key)), each) for key, each in value.items())
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    for key, each in inner:
        found = problem_within(each, (*place, key), is_of_bytes=is_of_bytes)
        if found[1]:
            return found
    return place, problem(value, is_of_bytes=is_of_bytes)


def text(value: t.Any, what: str) -> str:
    """The text that is meant by one of an object's values, for which a number stands as well. Raises Refused.

    The value is not a part of that: it may be a secret.
    """
    if not isinstance(value, (str, int, float)):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise Refused(
            f"{what} must be a text, not {kind}",
            "What looks like JSON stays a text with the filter string, or to_json.",
        )
    return str(value)


def title(value: t.Any) -> str:
    """What a value is, for people."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, dict) else "a list"
