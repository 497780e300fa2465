# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What an image says of how to run it, in the form in which ns_rootfs returns it.

A stranger has written it: in the image, and in the marker of a root whose owner is root inside.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.data import Fields

# A result with such a key is no dictionary to Ansible on the controller, but what it stands for.
_RESERVED = "__ansible_"


def checked(data: t.Any) -> dict[str, t.Any]:
    """The configuration, when it has that form and texts that programs can be given.

    Raises ValueError.
    """
    fields = Fields(data, "the configuration")
    found: dict[str, t.Any] = {
        key: list(fields.texts(key)) for key in ("argv", "entrypoint", "cmd", "ports", "volumes")
    }
    found.update((key, fields.take(key, str)) for key in ("user", "group", "chdir", "stop_signal"))
    found["environment"] = fields.table("environment", str)
    fields.done()
    for key, value in found.items():
        texts = [value] if isinstance(value, str) else [*value]
        texts += value.values() if isinstance(value, dict) else []
        if not all(map(_is_text, texts)):
            raise ValueError(f"{key} holds a character that no text can have")
    if "" in found["environment"]:
        raise ValueError("environment has a variable without a name")
    reserved = next((name for name in found["environment"] if name.startswith(_RESERVED)), None)
    if reserved is not None:
        raise ValueError(f"environment has the variable {reserved!r}, a name that Ansible keeps")
    return found


def _is_text(text: str) -> bool:
    """Whether it is one to the kernel as well, and can be written as UTF-8."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
