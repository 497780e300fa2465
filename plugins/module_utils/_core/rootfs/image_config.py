# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What an image says of how to run it, in the form in which ns_rootfs returns it.

A stranger has written it: in the image, and in the marker of a root whose owner is root inside.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import posixpath
import typing as t

from ..definition.data import Fields
from ..errors import Refused
from ..process import signals

# A result with such a key is no dictionary to Ansible on the controller, but what it stands for.
_RESERVED = "__ansible_"
_TABLES = ("environment", "labels")
_DURATIONS = ("interval", "timeout", "start_period", "start_interval")


def checked(data: t.Any) -> dict[str, t.Any]:
    """The configuration, when it has that form and texts that programs can be given.

    Paths are made clean, and a signal that is none is left out. One of an earlier version has no
    labels and no healthcheck. Raises ValueError.
    """
    fields = Fields(data, "the configuration")
    found: dict[str, t.Any] = {
        key: list(fields.texts(key)) for key in ("argv", "entrypoint", "cmd", "ports", "volumes")
    }
    found.update((key, fields.take(key, str)) for key in ("user", "group", "chdir", "stop_signal"))
    found.update((key, fields.table(key, str)) for key in _TABLES)
    found["healthcheck"] = _healthcheck(fields.take("healthcheck", dict, {}))
    fields.done()
    for key, value in found.items():
        texts = [value] if isinstance(value, str) else [*value]
        texts += value.values() if key in _TABLES else []
        if not all(map(_is_text, texts)):
            raise ValueError(f"{key} holds a character that no text can have")
    if "" in found["environment"]:
        raise ValueError("environment has a variable without a name")
    for key, kind in zip(_TABLES, ("variable", "label")):
        reserved = next((name for name in found[key] if name.startswith(_RESERVED)), None)
        if reserved is not None:
            raise ValueError(f"{key} has the {kind} {reserved!r}, a name that Ansible keeps")
    found["chdir"] = clean(found["chdir"])
    # What is mounted on / would be another root.
    found["volumes"] = sorted({clean(path) for path in found["volumes"]} - {"/"})
    found["stop_signal"] = stop_signal(found["stop_signal"])
    return found


def under(said: t.Mapping[str, t.Any], config: t.Any) -> dict[str, t.Any]:
    """The options of a service, with those of an image where nothing is said.

    ``said`` are these options: one that nobody gives is None, and the environment is empty.
    ``config`` is what ns_rootfs returns of an image; empty for what is none. Raises Refused.
    """
    if not config:
        return dict(said)
    try:
        image = checked(config)
    except ValueError as error:
        raise Refused(
            f"image_config is not what an image says: {error}",
            "Give it the config of a result of linux.namespaces.ns_rootfs.",
        ) from error
    found = dict(said)
    # A group of the image is that of the image's user.
    names = ["argv", "chdir", "stop_signal", *(["user"] if said["user"] is None else [])]
    if said["user"] is None and said["group"] is None:
        names.append("group")
    for name in names:
        if said[name] is None:
            found[name] = image[name] or None
    found["environment"] = {**image["environment"], **said["environment"]}
    return found


def clean(path: str) -> str:
    """An absolute path without ".." and empty parts: as docker has it before it looks at any root."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def stop_signal(word: str) -> str:
    """The signal as ns_service takes it; empty where it is none."""
    try:
        return signals.word_of(word) if word else ""
    except Refused:
        return ""


def _healthcheck(data: t.Any) -> dict[str, t.Any]:
    """How an image is found to be well; empty where it does not say. Raises ValueError."""
    if not data:
        return {}
    fields = Fields(data, "healthcheck")
    found: dict[str, t.Any] = {"argv": list(fields.texts("argv"))}
    for key in _DURATIONS:
        found[key] = fields.take(key, float)
        if not 0 <= found[key] < 1 << 63:
            raise ValueError(f"{key} of healthcheck is no length of time")
    found["retries"] = fields.take("retries", int)
    fields.done()
    if not found["argv"] or not all(map(_is_text, found["argv"])):
        raise ValueError("healthcheck has no program")
    return found


def _is_text(text: str) -> bool:
    """Whether it is one to the kernel as well, and can be written as UTF-8."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
