# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The sources of a command that is installed on the host, from wherever _core was imported from.

That is a checkout, an installed collection, or the archive that Ansible sends to the host. The
archive holds what a module imports, and what that imports in turn: the same rule finds it here.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import hashlib
import pkgutil
import re
import sys
import types
import typing as t
import zipimport

# `from ..a import b, c`, also over several lines.
_IMPORT = re.compile(r"from (\.+)([\w.]*) import (\([^)]*\)|[^\n]+)")
# Modules that find themselves on the host need it there: see startup/compiled_copy.py.
_WITH_IT = "install/host_command.py"
_CORE = __name__.rpartition(".")[0].rpartition(".")[0]

# The text of a file below _core, or None where there is none.
Read = t.Callable[[str], t.Optional[str]]


def of(package: types.ModuleType) -> dict[str, str]:
    """The texts of a package of _core and of all it imports, by path: "_core/kinds.py"."""
    first = f"{package.__name__[len(_CORE) + 1 :]}/__init__.py"
    found = closure([first, _WITH_IT], _read)
    return {f"_core/{path}": found[path] for path in sorted(found)}


def digest_of(texts: t.Mapping[str, str]) -> str:
    """A name for exactly these sources."""
    digest = hashlib.sha256()
    for path, text in texts.items():
        digest.update(f"{path}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:16]


def closure(first: t.Iterable[str], read: Read) -> dict[str, str]:
    """These files and all that they import, with their packages, by path below _core. Pure."""
    pending = list(first)
    asked: set[str] = set()
    found: dict[str, str] = {}
    while pending:
        path = pending.pop()
        if path in asked:
            continue
        asked.add(path)
        text = read(path)
        if text is not None:
            found[path] = text
            pending += _packages_of(path)
            for module in imports_of(path, text):
                pending += [f"{module}.py", f"{module}/__init__.py".lstrip("/")]
    return found


def _packages_of(path: str) -> list[str]:
    packages = path.split("/")[:-1]
    return ["/".join([*packages[:end], "__init__.py"]) for end in range(len(packages) + 1)]


def imports_of(path: str, text: str) -> list[str]:
    """What a file imports, as paths below _core without their ending. Pure.

    `from .a import b` may import the module a/b, or something that a defines: so it names both.
    """
    package = path.split("/")[:-1]
    found = []
    for dots, module, names in _IMPORT.findall(text):
        base = package[: len(package) - len(dots) + 1] + module.split(".")
        words = [name.split(" as ")[0].strip() for name in names.strip("()").split(",")]
        found += ["/".join(filter(None, [*base, word])) for word in ["", *words]]
    return found


def _read(path: str) -> str | None:
    # Not by its __file__: it may be reached by another way since (namespace/host_mounts.py).
    (place, *_more) = sys.modules[_CORE].__path__
    archive: t.Any = pkgutil.get_importer(place)
    try:
        if isinstance(archive, zipimport.zipimporter):
            return archive.get_data(f"{place}/{path}").decode("utf-8")
        with open(f"{place}/{path}", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None
