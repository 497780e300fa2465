# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a command line: long options, operands, and the words of a program after them.

argparse(3) would take longer to load than everything else that `nsctl exec` does.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class WrongUsage(Exception):
    """The command line makes no sense: the argument says why."""


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


def parse(
    words: t.Sequence[str],
    *,
    switches: t.Container[str] = (),
    values: t.Container[str] = (),
    operands: int | None = None,
) -> Given:
    """Read ``words``: options named in ``switches``, and in ``values`` those that take a value.

    Both `--name value` and `--name=value` are a value. Options end at `--`, and, when there
    are to be ``operands`` of them, where the words of a program begin. Raises WrongUsage.
    """
    given = Given()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            given.operands.extend(rest)
            break
        if not word.startswith("-") or word == "-":
            given.operands.append(word)
            if operands is not None and len(given.operands) > operands:
                given.operands.extend(rest)
                break
            continue
        name, equals, value = word[2:].partition("=")
        if not word.startswith("--"):
            raise WrongUsage(f"no option {word}")
        if name in switches and not equals:
            given.switches.add(name)
        elif name in values:
            if not equals and not rest:
                raise WrongUsage(f"--{name} takes a value")
            given.values.setdefault(name, []).append(value if equals else rest.pop(0))
        elif name in switches:
            raise WrongUsage(f"--{name} takes no value")
        else:
            raise WrongUsage(f"no option --{name}")
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
