# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is on the host that a test must leave as it found it."""

from __future__ import annotations

import os
import pathlib

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths

# Where the manual of nsctl and the completion of shells come, with directories that are made for them.
_SHARED = ("man", "bash-completion", "zsh")


def names_below(path: str) -> list[str]:
    """Everything below a directory, at any depth."""
    return sorted(str(found) for found in pathlib.Path(path).rglob("*"))


def host_state() -> dict[str, list[str]]:
    """What a test must leave as it found it."""
    return {
        "mounts": pathlib.Path("/proc/self/mountinfo").read_text().splitlines(),
        "net namespaces": names_below("/run/netns"),
        "pins": names_below("/run/linux-namespaces"),
        "definitions": names_below("/etc/linux-namespaces"),
        "output": names_below(host_paths.LOGS),
        "units": names_below("/etc/systemd/system"),
        "nsctl": [*names_below("/usr/local/lib/linux-namespaces"), *os.listdir("/usr/local/sbin")],
        "its manual": [
            each for above in _SHARED for each in names_below(f"/usr/local/share/{above}")
        ],
    }
