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
    parent = None
    for name, path in (("ansible_collections", []), ("ansible_collections.linux", []), (NAME, [root])):
        package = sys.modules.setdefault(name, types.ModuleType(name))
        if not hasattr(package, "__path__"):
            package.__path__ = path
        if parent is not None:
            setattr(parent, name.rpartition(".")[2], package)
        parent = package


if not is_importable():
    provide()
