# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The JSON schema of what `nsctl apply` reads, from the tables of options.

https://json-schema.org/draft/2020-12/schema. It asks for the types that are documented; what reads
a file also takes numbers and flags that are written as texts, as Ansible does.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import definition
from .table import Table

_TYPES = {
    "str": "string",
    "path": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
}
Schema = dict[str, t.Any]


def of_file() -> Schema:
    """That of a whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Named namespaces, as nsctl apply, diff and export have them",
        **_of_table(definition.FILE),
    }


def _of_table(table: Table) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": {name: _of_option(option) for name, option in table.items()},
        "additionalProperties": False,
    }
    required = [name for name, option in table.items() if option.get("required")]
    return {**found, "required": required} if required else found


def _of_option(option: t.Mapping[str, t.Any]) -> Schema:
    kind = option.get("type", "str")
    if kind == "raw":
        return {}
    below = option.get("options")
    found: Schema = _of_table(below) if below is not None else {}
    excluded = [{"required": [*words]} for words in option.get("mutually_exclusive", ())]
    pairs = [
        {"required": [one, other]}
        for each in excluded
        for at, one in enumerate(each["required"])
        for other in each["required"][at + 1 :]
    ]
    if pairs:
        found["not"] = {"anyOf": pairs}
    if kind == "list":
        if below is None:
            found = {"type": _TYPES[option.get("elements", "str")], **_choices(option)}
        return {"type": "array", "items": found, **_default(option)}
    if below is None:
        found = {"type": _TYPES[kind], **_choices(option)}
    return {**found, **_default(option)}


def _choices(option: t.Mapping[str, t.Any]) -> Schema:
    return {"enum": list(option["choices"])} if "choices" in option else {}


def _default(option: t.Mapping[str, t.Any]) -> Schema:
    return {"default": option["default"]} if "default" in option else {}
