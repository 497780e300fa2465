# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Stand-ins for typing, contextlib and signal, for as long as `nsctl exec` takes to become a program.

To load them, with collections, functools and enum which they load, takes as long as a start of
Python, and of what they have nearly nothing is asked for there. The launcher of nsctl puts these
in their places before anything else is imported.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal without the names of its numbers
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# Verbs that become a program.
VERBS = ("enter", "exec")


def take_places() -> None:
    """From now on `import typing` is the one here, until something asks for what that has not."""
    for module in (_typing, _contextlib, _light_signal):
        sys.modules[module.__name__] = module


class _StandIn(types.ModuleType):
    """A module that makes way for the real one, of the same name, when more is asked of it."""

    def __init__(self, name: str, **has: t.Any) -> None:
        super().__init__(name)
        self.__dict__.update(has)

    def __getattr__(self, name: str) -> t.Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        __import__(self.__name__)
        return getattr(sys.modules[self.__name__], name)


class _Form:
    """What annotations are made of: t.Callable[[int], str]."""

    def __getitem__(self, _arguments: object) -> _Form:
        return self


class _Tuple(tuple):  # type: ignore[type-arg]
    """What named tuples have of a tuple, and of their own."""

    _fields: tuple[str, ...]
    _defaults: dict[str, t.Any]

    def __new__(cls, *values: t.Any, **named: t.Any) -> _Tuple:
        known = {**cls._defaults, **dict(zip(cls._fields, values)), **named}
        if known.keys() != set(cls._fields) or len(values) + len(named) > len(cls._fields):
            raise TypeError(f"{cls.__name__} has the fields {cls._fields}")
        return super().__new__(cls, [known[field] for field in cls._fields])

    def __repr__(self) -> str:
        fields = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self))
        return f"{type(self).__name__}({fields})"

    def _replace(self, **named: t.Any) -> _Tuple:
        return type(self)(**{**dict(zip(self._fields, self)), **named})


def _field(index: int) -> property:
    return property(lambda self: self[index])


class _NamedTupleMaker(type):
    def __new__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, t.Any]
    ) -> type:  # a tuple, not one of us
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = tuple(body.get("__annotations__", ()))
        defaults = {field: body.pop(field) for field in fields if field in body}
        properties = {field: _field(index) for index, field in enumerate(fields)}
        return type(
            name, (_Tuple,), {**body, **properties, "_fields": fields, "_defaults": defaults}
        )


class _NamedTuple(metaclass=_NamedTupleMaker):
    """typing.NamedTuple."""


class _Suppress:
    """contextlib.suppress."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_details: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


def _contextmanager(function: t.Any) -> t.Any:
    """contextlib.contextmanager, which is loaded when the function is called."""

    def made(*arguments: t.Any, **named: t.Any) -> t.Any:
        return _contextlib.__getattr__("contextmanager")(function)(*arguments, **named)

    return made


_ANNOTATIONS = (
    "Any Callable ClassVar Collection Container Iterable Iterator Mapping NoReturn Optional"
)
_ANNOTATIONS += " Sequence TypeVar Union"
_typing = _StandIn(
    "typing",
    NamedTuple=_NamedTuple,
    Protocol=type("Protocol", (), {}),
    TYPE_CHECKING=False,
    **dict.fromkeys(_ANNOTATIONS.split(), _Form()),
)
_contextlib = _StandIn("contextlib", suppress=_Suppress, contextmanager=_contextmanager)
_light_signal = _StandIn(
    "signal", **{name: has for name, has in vars(_signal).items() if not name.startswith("__")}
)
