# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets tests import ansible_collections.linux.namespaces from a bare checkout."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types

NAME = "ansible_collections.linux.namespaces"


def is_importable() -> bool:
    """Tell whether something else (ansible-test, an installed collection) already provides it."""
    try:
        return importlib.util.find_spec(NAME) is not None
    except ModuleNotFoundError:
        return False


def provide() -> None:
    """Put packages without files into sys.modules, the last of which looks into the checkout."""
    root = str(pathlib.Path(__file__).resolve().parents[1])
    paths = {"ansible_collections": [], "ansible_collections.linux": [], NAME: [root]}
    for name, path in paths.items():
        if name in sys.modules:
            continue
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = path
        parent, _dot, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, package)


if not is_importable():
    provide()
