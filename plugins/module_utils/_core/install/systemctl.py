# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Asking systemd, where it manages the host, by systemctl(1).

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from ..errors import Refused
from ..host_paths import SYSTEMD
from ..printable import in_sentence


class SystemctlFailed(Refused):
    """systemctl did not do what it was asked for: the reason has its words."""


def runs_here() -> bool:
    """Whether systemd manages this host (sd_booted(3))."""
    return os.path.isdir(SYSTEMD) and shutil.which("systemctl") is not None


def run(*words: str) -> str:
    """Run systemctl with these words and return what it prints. Raises SystemctlFailed."""
    done = subprocess.run(
        ["systemctl", "--no-ask-password", *words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = in_sentence(done.stderr.strip()) or f"exit code {done.returncode}"
        raise SystemctlFailed(f"systemctl {' '.join(words)}: {said}")
    return done.stdout
