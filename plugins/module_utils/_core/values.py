# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A class that is its fields, for what `nsctl exec` loads.

typing.NamedTuple and dataclasses take longer to load than all that it does.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    _Self = t.TypeVar("_Self", bound="Value")


class Value:
    """Its __slots__ are its fields, and the arguments of its constructor. Not to be changed."""

    __slots__: tuple[str, ...] = ()
    # The names of its fields: of its own, and of what it is a kind of.
    _names: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._names = (*cls.__slots__, *(name for name in cls._names if name not in cls.__slots__))

    def replace(self: _Self, **changes: t.Any) -> _Self:
        """The same with other values in these fields."""
        return type(self)(**{**self.fields(), **changes})

    def fields(self) -> dict[str, t.Any]:
        """The values of its fields, by their names."""
        return {name: getattr(self, name) for name in self._names}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            getattr(self, name) == getattr(other, name) for name in self._names
        )

    def __hash__(self) -> int:
        return hash(tuple([getattr(self, name) for name in self._names]))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields().items())
        return f"{type(self).__name__}({fields})"
