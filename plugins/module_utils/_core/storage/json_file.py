# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of ours that hold a JSON object, for people to read and mend; and JSON of others.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import json
import math
import os
import typing as t

from ..syscalls import regular_files
from . import atomic

# Far more than any of ours.
_SIZE_LIMIT = 16 << 20
_MODE = 0o600
# Of a number of 64 bits. Longer ones take int() quadratic time before Python 3.11.
_DIGITS_LIMIT = 20


def parse(text: str | bytes) -> t.Any:
    """What the JSON says. Raises ValueError, whatever is wrong with it.

    Refused is too what readers of JSON take in different ways: a key that stands twice, numbers
    that are none (NaN), endless or longer than 64 bits.
    """
    try:
        return json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError as error:
        raise ValueError("its objects are nested too deep") from error


def _object(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key of an object stands twice in it")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS_LIMIT:
        raise ValueError("a number is too long")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is none, or endless")
    return number


def read(path: str) -> dict[str, t.Any] | None:
    """The object in the file, None where nothing is there.

    It may hold secrets: from here on root alone can read it. Raises ValueError for anything else,
    OSError where a file cannot be read.
    """
    text = closed_text_of(path)
    return None if text is None else object_of(text)


def closed_text_of(path: str) -> str | None:
    """The text of the file, which from here on root alone can read. Raises as read() does."""
    atomic.close(path, mode=_MODE)
    return text_of(path)


def object_of(text: str) -> dict[str, t.Any]:
    """The object that the JSON is. Raises ValueError."""
    content = parse(text)
    if not isinstance(content, dict):
        raise ValueError(f"it holds {type(content).__name__}, not an object")
    return content


def text_of(path: str) -> str | None:
    """The text of the file, None where nothing is there. Raises as read() does."""
    try:
        fd = regular_files.open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise ValueError("it is a link to nothing") from None
        return None
    except regular_files.NotRegular as error:
        raise ValueError("it is no file") from error
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            raise ValueError(f"it is no file: {error.strerror}") from error
        raise
    try:
        found = os.fstat(fd)
        if found.st_size > _SIZE_LIMIT:
            raise ValueError(f"it holds more than {_SIZE_LIMIT >> 20} MB")
        return os.read(fd, found.st_size).decode("utf-8")
    finally:
        os.close(fd)


def write(path: str, content: t.Mapping[str, t.Any]) -> None:
    """Write the object, readable by root alone, as atomic.write() does. Raises OSError."""
    atomic.write(path, _text(content), mode=_MODE)


def beside(path: str, content: t.Mapping[str, t.Any]) -> atomic.Beside:
    """The same in two phases: see atomic.Beside. Raises OSError."""
    return atomic.Beside(path, _text(content), mode=_MODE)


def _text(content: t.Mapping[str, t.Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"
