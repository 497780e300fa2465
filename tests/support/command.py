# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl of this checkout, as a host has it: the same launcher, another directory."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

from module_server import CHECKOUT

from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command

# Set it to try another version.
PYTHON = os.environ.get("NSCTL_PYTHON", "/usr/bin/python3")


class Nsctl:
    """The command. ``path`` is where it is."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.path = str(directory / "nsctl")
        text = host_command.COMMAND_TEXT.format(
            python=PYTHON,
            mark="# by a test",
            library=CHECKOUT / "plugins/module_utils",
        )
        cache = f"import sys\n\nsys.pycache_prefix = {str(CHECKOUT / '.build/pycache')!r}\n"
        pathlib.Path(self.path).write_text(text.replace("import sys\n", cache, 1))
        os.chmod(self.path, 0o755)

    def __call__(
        self, *words: str, code: int | None = 0, **options: t.Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it; it must end with ``code``, unless that is None."""
        done = subprocess.run(
            [self.path, *words], check=False, capture_output=True, text=True, **options
        )
        assert code is None or done.returncode == code, (words, done)
        return done

    def data(self, *words: str, code: int = 0) -> t.Any:
        """What it prints with --json."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def start(self, *words: str, **options: t.Any) -> subprocess.Popen[str]:
        """Start it; the caller has to end it."""
        return subprocess.Popen([self.path, *words], text=True, **options)
