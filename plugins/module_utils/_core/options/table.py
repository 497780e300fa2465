# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A table of options, and reading what somebody has written by it.

A table is the argument_spec of a module: by its name the type of each option, its default, its choices and
the table of what lies below it. Modules have Ansible read by it; read() does the same for what comes by
another way, and for better words of what is wrong.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import redact
from ..errors import Refused
from . import unusable

Table = t.Mapping[str, t.Mapping[str, t.Any]]

# What a user reads of what he wrote, in characters.
_LONGEST = 60
_TRUE = ("y", "yes", "on", "1", "true", "t")
_FALSE = ("n", "no", "off", "0", "false", "f")
_TITLES = {
    "str": "a text",
    "path": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
}
# Options whose texts go to files as they are.
_OF_BYTES = ("content", "credentials")


def read(table: Table, given: t.Any, where: str) -> dict[str, t.Any]:
    """The values of all options of the table, those that were not ``given`` with their defaults.

    ``where`` is what was given, for people: ``namespaces[2]``. Raises Refused for the first that is wrong,
    which says where it stands.
    """
    if not isinstance(given, dict):
        raise Refused(f"{where} is no object", "Write the options by their names.")
    for name in given:
        if name not in table:
            raise unknown(name, table, where)
    found = {}
    for name, option in table.items():
        value = given.get(name)
        if value is None:
            if option.get("required"):
                raise Refused(f"{where} has no {name}")
            value = option.get("default")
        found[name] = None if value is None else read_value(option, value, at(where, name))
        if "options" not in option:
            _check_within(found[name], at(where, name), is_of_bytes=name in _OF_BYTES)
    return found


def at(where: str, name: str) -> str:
    """What an option is called that stands there."""
    return f"{where}: {name}" if where else name


def unknown(word: t.Any, known: t.Iterable[str], where: str) -> Refused:
    """That a word is not one of those that are known."""
    words = sorted(known)
    hint = f"Known are {', '.join(words)}."
    nearest = nearest_to(word, words)
    if nearest:
        hint = f"Did you mean {nearest}? {hint}"
    # password=hunter2, where an object was meant, is a name as well.
    return Refused(f"{where} has {shown(redact.word(str(word)))}, which is unknown", hint)


def nearest_to(word: t.Any, known: t.Iterable[str]) -> str:
    """The known word that somebody meant who wrote this one; empty where none is near."""
    import difflib  # 4 ms to load, for a mistake

    near = difflib.get_close_matches(str(word)[:_LONGEST], list(known), n=1, cutoff=0.6)
    return next(iter(near), "")


def shown(value: t.Any) -> str:
    """What was written, in a message: of what holds other values, only what it is."""
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, (list, tuple, dict)):
        text = unusable.title(value)
    elif isinstance(value, int) and unusable.is_no_number(value):
        text = "a number of more than 63 bits"  # Python itself may write none of so many digits
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def read_value(option: t.Mapping[str, t.Any], value: t.Any, where: str) -> t.Any:
    """The value of one option. Raises Refused: see read()."""
    kind = option.get("type", "str")
    if kind == "list":
        return _list(option, value, where)
    if kind == "dict":
        below = option.get("options")
        if below is None:
            return _converted(option, "dict", value, where)
        found = read(below, value, where)
        _check_exclusive(option, value, where)
        return found
    found = value if kind == "raw" else _converted(option, kind, value, where)
    _check_choice(option, found, where)
    return found


def _list(option: t.Mapping[str, t.Any], value: t.Any, where: str) -> list[t.Any]:
    if isinstance(value, str):
        value = value.split(",")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        value = [str(value)]
    if not isinstance(value, (list, tuple)):
        raise Refused(f"{where} is no list")
    below = option.get("options")
    found = []
    for number, each in enumerate(value):
        place = f"{where}[{number}]"
        if below is None:
            each = _converted(option, option.get("elements", "str"), each, place)
            _check_choice(option, each, place)
        else:
            _check_exclusive(option, each, place)
            each = read(below, each, place)
        found.append(each)
    return found


def _check_exclusive(option: t.Mapping[str, t.Any], given: t.Any, where: str) -> None:
    if not isinstance(given, dict):
        return
    # Ansible has filled in what has a default: nobody gave that.
    defaults = {word: below.get("default") for word, below in option["options"].items()}
    for words in option.get("mutually_exclusive", ()):
        both = [word for word in words if given.get(word) not in (None, defaults[word])]
        if len(both) > 1:
            raise Refused(f"{where} has {' and '.join(both)}", "Give one of them.")


def _check_choice(option: t.Mapping[str, t.Any], value: t.Any, where: str) -> None:
    choices = option.get("choices")
    if choices is None or value in choices:
        return
    nearest = nearest_to(value, choices)
    hint = f"One of {', '.join(map(str, choices))}."
    raise Refused(
        f"{where} is {shown(value)}, which is unknown",
        f"Did you mean {nearest}? {hint}" if nearest else hint,
    )


def _check_within(value: t.Any, where: str, *, is_of_bytes: bool) -> None:
    """Raises Refused for a value that nothing can be given, at any depth."""
    place, problem = unusable.problem_within(value, is_of_bytes=is_of_bytes)
    if problem:
        for each in place:
            where = f"{where}[{each}]" if isinstance(each, int) else at(where, shown(each))
        raise Refused(f"{where} {problem}")


def _converted(option: t.Mapping[str, t.Any], kind: str, value: t.Any, where: str) -> t.Any:
    """The value in the type of the option, from those that Ansible takes for it."""
    found = None if unusable.is_no_number(value) else _CONVERTED[kind](value)
    if found is None:
        # What was to be an object, or is in a list, may be an assignment with a secret.
        is_shown = kind != "dict" and not option.get("no_log")
        told = shown(value) if is_shown else unusable.title(value)
        raise Refused(f"{where} is {told}, which is not {_TITLES[kind]}")
    return found


def _text(value: t.Any) -> str | None:
    return None if isinstance(value, (dict, list, tuple)) else str(value)


def _object(value: t.Any) -> dict[str, t.Any] | None:
    return dict(value) if isinstance(value, dict) else None


def _flag(value: t.Any) -> bool | None:
    word = str(value).strip().lower() if isinstance(value, (str, int, float)) else ""
    return word in _TRUE if word in (*_TRUE, *_FALSE) else None


def _whole(value: t.Any) -> int | None:
    try:
        return None if isinstance(value, bool) else int(str(value), 10)
    except (ValueError, RecursionError):
        return None


def _number(value: t.Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (ValueError, TypeError):
        return None


_CONVERTED: dict[str, t.Callable[[t.Any], t.Any]] = {
    "str": _text,
    "path": _text,
    "int": _whole,
    "float": _number,
    "bool": _flag,
    "dict": _object,
}
