# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Parts of a definition that are written as an object: their fields are its keys.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .data import Fields

_Part = t.TypeVar("_Part", bound="Part")


@dataclasses.dataclass(frozen=True)
class Part:
    """A part, with the JSON form that it has in a definition and in the options of modules.

    What has its default is left out of it. A field that holds other parts says which in its metadata: ``of``.
    """

    def replace(self: _Part, **changes: t.Any) -> _Part:
        """The same with other values in these fields."""
        return dataclasses.replace(self, **changes)

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if isinstance(value, tuple):
                value = [each.to_data() if isinstance(each, Part) else each for each in value]
            data[_key(field)] = value.to_data() if isinstance(value, Part) else value
        return data

    @classmethod
    def from_data(cls: type[_Part], data: t.Any, what: str) -> _Part:
        """The part of a JSON form; ``what`` it is, for messages. Raises ValueError."""
        fields = Fields(data, what)
        found = {each.name: _value(each, fields, what) for each in dataclasses.fields(cls)}
        fields.done()
        return cls(**found)

    @classmethod
    def from_options(cls: type[_Part], params: t.Mapping[str, t.Any]) -> _Part:
        """The part that options describe which were read by their table: None is what was not given."""
        found = {}
        for field in dataclasses.fields(cls):
            value = params.get(_key(field))
            if value is not None:
                found[field.name] = _taken(field, value)
        return cls(**found)


def _key(field: dataclasses.Field[t.Any]) -> str:
    return field.name.rstrip("_")  # `from` is a word of Python's


def _taken(field: dataclasses.Field[t.Any], value: t.Any) -> t.Any:
    part = field.metadata.get("of")
    if isinstance(value, list):
        return tuple(part.from_options(each) if part else each for each in value)
    return part.from_options(value) if part else value


def _value(field: dataclasses.Field[t.Any], fields: Fields, what: str) -> t.Any:
    key, part = _key(field), field.metadata.get("of")
    default = None if field.default is dataclasses.MISSING else field.default
    if part is not None and isinstance(default, tuple):
        listed = enumerate(fields.take(key, list, []))
        return tuple(part.from_data(each, f"{key}[{number}] of {what}") for number, each in listed)
    if part is not None:
        found = fields.maybe(key, dict)
        return None if found is None else part.from_data(found, f"{key} of {what}")
    if isinstance(default, tuple):
        return fields.texts(key, [])
    if isinstance(default, (bool, int)):
        return fields.take(key, type(default), default)
    if field.type == "int":
        return fields.take(key, int)
    return fields.text(key, default)
