# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a JSON object field by field: people edit the files, and make mistakes.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import typing as t

from ..errors import Refused

_Value = t.TypeVar("_Value")

# Of what was read, in a message.
_LONGEST = 80
_MOST = 5

_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


class Fields:
    """The fields of an object that was read. Each is taken once; done() tells what is left over."""

    def __init__(self, data: t.Any, what: str) -> None:
        """``what`` is what it describes, for messages. Raises ValueError unless it is an object."""
        if not isinstance(data, dict):
            raise ValueError(f"{what} is no object")
        self._left = dict(data)
        self._what = what

    def take(self, key: str, kind: type[_Value], default: _Value | None = None) -> _Value:
        """The value of the field. Raises ValueError where it is missing or of another kind."""
        if key not in self._left:
            if default is None:
                raise ValueError(f"{self._what} has no {key}")
            return default
        value = self._left.pop(key)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        # To Python true is a whole number as well.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{key} of {self._what} is not {_NAMES[kind]}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A text that a system call takes, as a path or a name. Raises ValueError."""
        return usable(self.take(key, str, default), f"{key} of {self._what}")

    def word(self, key: str, known: t.Container[str], default: str | None = None) -> str:
        """A text that is one of those that are ``known``, or the default. Raises ValueError."""
        found = self.take(key, str, default)
        if found not in known and found != default:
            raise ValueError(f"{key} of {self._what} is {shortened(found)!r}, which is unknown")
        return found

    def maybe(self, key: str, kind: type[_Value]) -> _Value | None:
        """The value of a field that may be missing, or null, which is None."""
        if self._left.get(key) is None:
            self._left.pop(key, None)
            return None
        return self.take(key, kind)

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """The texts of a list. Raises ValueError."""
        found = self.take(key, list, default)
        if not all(isinstance(each, str) for each in found):
            raise ValueError(f"{key} of {self._what} holds something that is no text")
        return tuple(usable(each, f"{key} of {self._what}") for each in found)

    def table(self, key: str, kind: type[_Value]) -> dict[str, _Value]:
        """The values of an object, all of one kind; empty where it is missing. Raises ValueError."""
        found = self.take(key, dict, {})
        what = f"{key} of {self._what}"
        inner = Fields(found, what)
        return {usable(name, f"a name in {what}"): inner.take(name, kind) for name in found}

    def done(self) -> None:
        """Raises ValueError where there are fields that nobody has taken: they would be lost."""
        if self._left:
            unknown = [shortened(key) for key in sorted(self._left)[:_MOST]]
            more = f" and {len(self._left) - _MOST} more" if len(self._left) > _MOST else ""
            raise ValueError(f"{self._what} has {', '.join(unknown)}{more}, which is unknown")


def usable(text: str, what: str) -> str:
    """The text where a system call can be given it. Raises ValueError.

    None takes a null character, or one that has no bytes (half of a surrogate pair).
    """
    if "\0" in text:
        raise ValueError(f"{what} holds a null character")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds a character that has no bytes") from None
    return text


def shortened(text: str) -> str:
    """A text that was read, as messages have it: it may be of any length."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def unreadable(path: str, error: OSError, hint: str = "") -> Refused:
    """That a file cannot be read, which so concerns its name alone.

    Raises the error itself where it says nothing of the file, but that the caller lacks descriptors or
    memory.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error
    return Refused(
        f"{path} cannot be read: {error.strerror}",
        hint or "Look at the file, and at the file system that it lies on.",
    )


def check_version(path: str, found: t.Mapping[str, t.Any], newest: int) -> None:
    """Raises Refused where a later version of the collection wrote the file, which so is not damaged.

    ``newest`` is the version of its form that this one reads.
    """
    version = found.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version <= newest:
        return
    raise Refused(
        f"{path} has version {version}, this collection reads version {newest}",
        "A later version of linux.namespaces wrote it: use that one, or remove the namespace with"
        " state: absent.",
    )
