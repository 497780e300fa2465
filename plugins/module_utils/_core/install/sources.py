# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The sources of `nsctl`, read from wherever this module was imported from.

That is a checkout, an installed collection, or the archive that Ansible sends to the host.
Ansible puts into it what a module imports, and what that imports in turn: so it holds what
_as_ansible_finds_it() names, and the same rule finds it here.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

_IMPORT = re.compile(r"from (\.+)([\w.]*) import (\([^)]*\)|[^\n]+)")
# host_command.py is for modules that find themselves on the host: see compiled_copy.py.
_FIRST = ("nsctl/__init__.py", "startup/light.py", "install/host_command.py")

_CORE = os.path.dirname(os.path.dirname(__file__))

# The text of a file below _core, or None where there is none.
Read = t.Callable[[str], t.Optional[str]]


def sources() -> dict[str, str]:
    """The texts of nsctl and of all it imports, by path: "_core/kinds.py"; and of host_command.py."""
    found = closure(_FIRST, _read)
    return {f"_core/{path}": found[path] for path in sorted(found)}


def digest_of(texts: t.Mapping[str, str]) -> str:
    """A name for exactly these sources."""
    digest = hashlib.sha256()
    for path, text in texts.items():
        digest.update(f"{path}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()[:16]


def closure(first: t.Iterable[str], read: Read) -> dict[str, str]:
    """These files and all that they import, with their packages, by path below _core. Pure."""
    texts: dict[str, str | None] = {}

    def text_of(path: str) -> str | None:
        if path not in texts:
            texts[path] = read(path)
        return texts[path]

    def file_of(module: str) -> str | None:
        for path in (f"{module}.py", f"{module}/__init__.py".lstrip("/")):
            if text_of(path) is not None:
                return path
        return None

    found: dict[str, str] = {}
    pending = list(first)
    while pending:
        path = pending.pop()
        text = text_of(path)
        if path in found or text is None:
            continue
        found[path] = text
        packages = path.split("/")[:-1]
        pending += ["/".join([*packages[:end], "__init__.py"]) for end in range(len(packages) + 1)]
        for base, names in imports_of(path, text):
            file = file_of(base)
            pending += [file] if file is not None else []
            if file is None or not file.endswith("__init__.py"):
                continue  # what is imported is in that file
            for name in names:
                file = file_of(f"{base}/{name}".lstrip("/"))
                pending += [file] if file is not None else []
    return found


def imports_of(path: str, text: str) -> list[tuple[str, list[str]]]:
    """What a file imports from below _core: (module or package, names), "" is _core. Pure."""
    package = path.split("/")[:-1]
    found = []
    for dots, module, names in _IMPORT.findall(text):
        base = package[: len(package) - len(dots) + 1] + module.split(".")
        words = [name.split(" as ")[0].strip() for name in names.strip("()").split(",")]
        found.append(
            ("/".join(filter(None, base)), [word for word in words if word.isidentifier()])
        )
    return found


def _read(path: str) -> str | None:
    loader: t.Any = __spec__.loader
    try:
        data: bytes = loader.get_data(f"{_CORE}/{path}")
    except OSError:
        return None
    return data.decode("utf-8")
