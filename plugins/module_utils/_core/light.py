# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A stand-in for the module typing, for as long as `nsctl exec` takes to become a program.

To load typing takes as long as half a start of Python, and nothing is ever checked with it
here. The launcher of nsctl puts this in its place before anything else is imported.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import sys

# Verbs that become a program.
VERBS = ("enter", "exec")


class _Form:
    """What annotations are made of: t.Callable[[int], str]."""

    def __getitem__(self, _arguments: object) -> _Form:
        return self


class _NamedTupleMaker(type):
    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, object]
    ) -> type:  # a tuple, not one of us
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = list(body.get("__annotations__", ()))  # type: ignore[call-overload]
        defaults = [body[field] for field in fields if field in body]
        made = collections.namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]
        for key, value in body.items():
            if key not in fields and key != "__annotations__":
                setattr(made, key, value)
        return made


class NamedTuple(metaclass=_NamedTupleMaker):
    """typing.NamedTuple."""


class Protocol:
    """typing.Protocol."""


Any = Callable = ClassVar = Collection = Container = Iterable = Iterator = Mapping = NoReturn = (
    Optional
) = Sequence = TypeVar = Union = _Form()


def take_the_place_of_typing() -> None:
    """From now on `import typing` is this, until something asks for what is not here."""
    sys.modules["typing"] = sys.modules[__name__]


def __getattr__(name: str) -> object:
    """The real one's, which takes its place again."""
    if sys.modules.get("typing") is sys.modules[__name__]:
        del sys.modules["typing"]
    import typing

    return getattr(typing, name)
