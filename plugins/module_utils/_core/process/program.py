# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a program is and what it runs with: one class, and one table of its options.

The arguments of the modules, the words and the manual of nsctl, and the files of services follow
from the table. A new option is a field of Program, a row here, and what execute.py does with it.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import resource

from .. import redact
from ..errors import Refused
from ..values import Value
from . import accounts, capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class Program(Value):
    """A program and what it runs with."""

    __slots__ = (
        "argv",
        "capabilities",
        "chdir",
        "environment",
        "group",
        "groups",
        "host_users",
        "limits",
        "no_new_privs",
        "umask",
        "user",
    )

    def __init__(
        self,
        argv: t.Iterable[str],
        *,
        environment: t.Mapping[str, str] | None = None,
        chdir: str = "/",
        user: str | None = None,
        group: str | None = None,
        groups: t.Iterable[str] | None = None,
        host_users: bool = False,
        capabilities: t.Iterable[str] | None = None,
        no_new_privs: bool = False,
        limits: t.Mapping[str, tuple[int, int]] | None = None,
        umask: int | None = None,
    ) -> None:
        # The first word without a slash is looked up in the PATH of the environment, inside.
        self.argv = tuple(argv)
        # All of it: nothing is inherited.
        self.environment = dict(environment or {})
        # The working directory inside; empty for the one that is there.
        self.chdir = chdir
        # A name, a uid, or "user:group"; None for the one that is there. See accounts.resolve().
        self.user = user
        # A name or a gid; None for that of the user.
        self.group = group
        # Supplementary groups, names or gids; None for those that list the user as a member.
        self.groups = None if groups is None else tuple(groups)
        # Names are those of the host, not of the root that the program runs in.
        self.host_users = host_users
        # Names of those that are kept; None for what the kernel gives to the user.
        self.capabilities = None if capabilities is None else tuple(capabilities)
        # No file gives it more rights when it is executed (PR_SET_NO_NEW_PRIVS).
        self.no_new_privs = no_new_privs
        # (soft, hard) by the name in setrlimit(2), as "nofile".
        self.limits = {name: (soft, hard) for name, (soft, hard) in (limits or {}).items()}
        # None for the one that is there.
        self.umask = umask

    def checked(self) -> Program:
        """This program when it makes sense by itself. Raises Refused."""
        if not self.argv or not self.argv[0]:
            raise Refused("argv names no program")
        texts = [*self.argv, self.chdir, *self.environment, *self.environment.values()]
        if any("\0" in text for text in texts):
            raise Refused("argv, chdir and environment must not hold a null character")
        try:
            "".join(texts).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise Refused("argv, chdir and environment hold a character without bytes") from error
        wrong = [name for name in self.environment if not name or "=" in name]
        if wrong:
            raise Refused(
                f"{redact.word(wrong[0])!r} cannot be the name of an environment variable"
            )
        accounts.checked(self.user, self.group, self.groups)
        capabilities.mask_of(self.capabilities or ())
        for name in self.limits:
            limit_number(name)
        return self

    def to_data(self) -> dict[str, t.Any]:
        """What from_data() takes, of the types that JSON has."""
        return {each.name: _as_json(getattr(self, each.name)) for each in _FIELDS}

    @classmethod
    def from_data(cls, data: object) -> Program:
        """The program that to_data() described; a key that is missing has its default.

        Raises ValueError where it is damaged.
        """
        if not isinstance(data, dict):
            raise ValueError("a program is no object")
        unknown = sorted(data.keys() - {each.name for each in _FIELDS})
        if unknown or "argv" not in data:
            raise ValueError(f"a program has no {unknown[0]}" if unknown else "argv is missing")
        fields = {}
        for each in _FIELDS:
            if each.name not in data:
                continue
            value = data[each.name]
            if not (value is None and each.default is None) and not each.form.holds(value):
                raise ValueError(f"{each.name} of a program is not {each.form.title}")
            fields[each.name] = value
        return cls(**fields)


def limit_number(name: str) -> int:
    """The number of a limit by its name in setrlimit(2): "nofile", "RLIMIT_NOFILE". Raises Refused."""
    word = name.upper()
    word = word if word.startswith("RLIMIT_") else f"RLIMIT_{word}"
    number = getattr(resource, word, None)
    if not isinstance(number, int):
        known = sorted(each[7:].lower() for each in dir(resource) if each.startswith("RLIMIT_"))
        raise Refused(f"{name!r} is not a resource limit", f"Use one of {', '.join(known)}.")
    return number


class Form:
    """A form that the values of options have."""

    __slots__ = ("argument", "holds", "split", "title")

    def __init__(
        self,
        title: str,
        holds: t.Callable[[t.Any], bool],
        *,
        argument: t.Mapping[str, str] | None = None,
        split: t.Callable[[str], t.Any] = str,
    ) -> None:
        # For people.
        self.title = title
        # Whether what was read from JSON is such a value.
        self.holds = holds
        # What the argument_spec of a module says of it.
        self.argument = argument or {}
        # The value of one word of a command line.
        self.split = split


def _is_text(data: object) -> bool:
    return isinstance(data, str)


def _is_number(data: object) -> bool:
    return isinstance(data, int) and not isinstance(data, bool)


def _is_flag(data: object) -> bool:
    return isinstance(data, bool)


def _are_texts(data: object) -> bool:
    return isinstance(data, list) and all(_is_text(each) for each in data)


def _is_environment(data: object) -> bool:
    return isinstance(data, dict) and all(_is_text(each) for each in data.values())


def _is_limit(data: object) -> bool:
    # setrlimit(2) is given a long; -1 is no limit.
    return isinstance(data, int) and _is_number(data) and -1 <= data < 1 << 63


def _are_limits(data: object) -> bool:
    return isinstance(data, dict) and all(
        isinstance(pair, list) and len(pair) == 2 and all(_is_limit(each) for each in pair)
        for pair in data.values()
    )


def _split_list(word: str) -> tuple[str, ...]:
    return tuple(each for each in word.split(",") if each)


TEXT = Form("a text", _is_text, argument={"type": "str"})
FLAG = Form("true or false", _is_flag, argument={"type": "bool"})
LIST = Form(
    "a list of texts",
    _are_texts,
    argument={"type": "list", "elements": "str"},
    split=_split_list,
)
_NUMBER = Form("a number", _is_number)
_ENVIRONMENT = Form("an object of texts", _is_environment)
_LIMITS = Form("an object of pairs of numbers", _are_limits)


class Option:
    """One row of the table: a field of Program."""

    __slots__ = ("default", "form", "name", "takes", "text")

    def __init__(self, name: str, form: Form, takes: str = "", text: str = "") -> None:
        # Of the field, of the argument of a module, of the key in a note.
        self.name = name
        self.form = form
        # What stands behind the option in the manual of nsctl, where it takes a value.
        self.takes = takes
        # What the manual says of it; without it the option shares the text of the next one.
        self.text = text
        # Of the field. A module's argument has it as well.
        self.default = getattr(_PLAIN, name)

    @property
    def word(self) -> str:
        """Its name as an option of nsctl."""
        return self.name.replace("_", "-")


_PLAIN = Program(())
# Those that modules and nsctl take in one form. The texts are wrapped for the manual.
OPTIONS = (
    Option("user", TEXT, "USER[:GROUP]"),
    Option("group", TEXT, "GROUP"),
    Option(
        "groups",
        LIST,
        "GROUP[,GROUP...]",
        "Run the program as these: names from the passwd(5) and group(5)\n"
        "inside, or numbers. By default nothing changes. With a user HOME,\n"
        "USER and LOGNAME are that user's, where --env does not set them.",
    ),
    Option(
        "capabilities",
        LIST,
        "CAPABILITY[,CAPABILITY...]",
        "Keep only these; --capabilities= keeps none.",
    ),
    Option(
        "no_new_privs",
        FLAG,
        text="Set-user-ID programs and file capabilities give no rights any more.",
    ),
    Option("chdir", TEXT, "DIRECTORY", "The working directory inside, / by default."),
)
# With those of which each door has a form of its own, or none.
_FIELDS = (
    *OPTIONS,
    Option("argv", LIST),
    Option("environment", _ENVIRONMENT),
    Option("host_users", FLAG),
    Option("limits", _LIMITS),
    Option("umask", _NUMBER),
)


def arguments() -> dict[str, t.Any]:
    """The part of a module's argument_spec that describes OPTIONS."""
    return {
        option.name: {
            **option.form.argument,
            **({} if option.default is None else {"default": option.default}),
        }
        for option in OPTIONS
    }


def given(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The fields of a Program that the parameters of a module say; None has the default."""
    found = {option.name: params[option.name] for option in OPTIONS}
    return {name: value for name, value in found.items() if value is not None}


def _as_json(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    return list(value) if isinstance(value, tuple) else value
