# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sources nsctl consists of."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import sources

CORE = pathlib.Path(sources.__file__).parents[1]
FILES = {
    "__init__.py": "",
    "tool/__init__.py": "import os\nfrom .. import a\n",
    "tool/part.py": "from ..deep.er import thing\n",
    "a.py": "from . import b as other, NAME\nfrom .tool import (\n    part,\n    LIMIT,\n)\n",
    "b.py": "def late():\n    from .c import x\n",
    "c.py": "from .missing import x\n",
    "deep/__init__.py": "",
    "deep/er.py": "",
    "unused.py": "",
}


def test_everything_that_is_imported_is_found() -> None:
    found = sources.closure(["tool/__init__.py"], FILES.get)
    assert set(found) == set(FILES) - {"unused.py"}
    assert found["b.py"] == FILES["b.py"]


def test_the_digest_tells_texts_apart() -> None:
    digest = sources.digest_of({"_core/a.py": "x", "_core/b.py": "y"})
    assert len(digest) == 16
    assert digest == sources.digest_of({"_core/a.py": "x", "_core/b.py": "y"})
    assert digest != sources.digest_of({"_core/a.py": "xy", "_core/b.py": ""})
    assert digest != sources.digest_of({"_core/a.py": "x", "_core/c.py": "y"})


def modules_in(path: pathlib.Path, package: list[str]) -> set[str]:
    """What a file imports, read by Python's own parser."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            base += (node.module or "").split(".") if node.module else []
            found.add("/".join(base))
            found |= {"/".join([*base, alias.name]) for alias in node.names}
    return found


def test_nothing_that_python_sees_is_missed() -> None:
    texts = sources.of(nsctl)
    assert "_core/nsctl/__init__.py" in texts
    for path in texts:
        inner = path.split("/", 1)[1]
        for module in modules_in(CORE / inner, inner.split("/")[:-1]):
            for candidate in (f"{module}.py", f"{module}/__init__.py"):
                if (CORE / candidate).is_file():
                    assert f"_core/{candidate}" in texts, f"{path} imports {candidate}"


def test_what_is_carried_runs_by_itself(tmp_path: pathlib.Path) -> None:
    for path, text in sources.of(nsctl).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    modules = [path[:-3].replace("/", ".").replace(".__init__", "") for path in sources.of(nsctl)]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {', '.join(modules)}"
    argv = [sys.executable, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
