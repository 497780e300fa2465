# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The command line of a verb: what it is, and reading it.

Each verb says in its own file what its options, its operands and its manual are. By that its words are
read, and of that `nsctl --help`, the page nsctl(8) and the completion of shells are made (manual.py,
page.py, completion.py). argparse would take longer to load than all that `nsctl exec` does.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# What operands and the values of options are called, of which a shell knows more than a word.
NAME = "NAME"
SERVICE = "SERVICE"
FILE = "FILE"
PATH = "PATH"
KINDS = "KIND[,KIND...]"


class WrongUsage(Exception):
    """The command line makes no sense: the argument says why."""


class Option(Value):
    """An option of a verb: its word, what it takes, and what the manual says of it."""

    __slots__ = ("takes", "text", "word")

    def __init__(self, word: str, takes: str, text: str) -> None:
        # Without the dashes.
        self.word = word
        # The name of its value; empty where it takes none.
        self.takes = takes
        # What the manual says of it; without that it shares what is said of the next option.
        self.text = text


class Verb(Value):
    """A verb of nsctl, all that can be known of it without carrying it out."""

    __slots__ = (
        *("name", "does", "operands", "text", "options", "form", "exits", "examples", "usage"),
        "program_after",
    )

    def __init__(
        self,
        name: str,
        does: str,
        *,
        operands: str,
        text: str,
        exits: str,
        options: tuple[Option, ...] = (),
        form: str = "",
        examples: tuple[str, ...] = (),
        usage: tuple[str, ...] = (),
        program_after: int | None = None,
    ) -> None:
        self.name = name
        # In a few words, for the head of the manual and the list of verbs.
        self.does = does
        # What stands behind the options: "NAME...", "NAME SERVICE", "FILE".
        self.operands = operands
        # The description. A paragraph that begins a line with a space, or has two of them between words,
        # stays as it is, in lines of 76 characters at most.
        self.text = text
        # What --json prints.
        self.form = form
        # Its exit codes.
        self.exits = exits
        self.options = options
        # Whole command lines.
        self.examples = examples
        # What stands behind the verb in the synopsis, where that does not follow from the rest.
        self.usage = usage
        # After so many operands the words are those of a program.
        self.program_after = program_after


JSON = Option("json", "", "Print it as JSON, in the form that is said below.")
CHECK = Option("check", "", "Only say what would be done.")


class Given:
    """What a command line gives."""

    __slots__ = ("operands", "switches", "values")

    def __init__(self) -> None:
        # The names of the options without a value.
        self.switches: set[str] = set()
        # The values of the others by their names, in their order.
        self.values: dict[str, list[str]] = {}
        # All other words, in their order.
        self.operands: list[str] = []

    def last(self, name: str) -> str | None:
        """The value of an option that counts once, or None where it was not given."""
        return self.values[name][-1] if name in self.values else None


def parse(verb: Verb, words: t.Sequence[str]) -> Given:
    """Read ``words``, by the options that the verb has.

    Both `--name value` and `--name=value` are a value. Options end at `--`, and where the words of a
    program begin. Raises WrongUsage.
    """
    takes = {option.word: option.takes for option in verb.options}
    given = Given()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            given.operands.extend(rest)
            break
        if not word.startswith("-") or word == "-":
            given.operands.append(word)
            if verb.program_after is not None and len(given.operands) > verb.program_after:
                given.operands.extend(rest)
                break
            continue
        if not word.startswith("--"):
            raise WrongUsage(f"no option {word}")
        name, equals, value = word[2:].partition("=")
        if name not in takes:
            raise WrongUsage(f"no option --{name}")
        if not takes[name]:
            if equals:
                raise WrongUsage(f"--{name} takes no value")
            given.switches.add(name)
            continue
        if not equals and not rest:
            raise WrongUsage(f"--{name} takes a value")
        given.values.setdefault(name, []).append(value if equals else rest.pop(0))
    return given


def seconds(text: str) -> float:
    """A length of time. Raises WrongUsage."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise WrongUsage(f"{text!r} is not a number of seconds")
    return number
