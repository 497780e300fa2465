# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The unit that brings up all persistent namespaces at boot, on hosts that systemd manages.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os

from ..actions import Action
from ..host_paths import BOOT_UNIT, COMMAND, UNITS
from ..storage import atomic
from . import ours, systemctl
from .systemctl import SystemctlFailed

PATH = BOOT_UNIT
NAME = os.path.basename(PATH)
# What `systemctl enable` makes of WantedBy=.
_ENABLED = f"{UNITS}/multi-user.target.wants/{NAME}"

# Without ordering by network-online.target: a definition that mounts from the network says so
# by a drop-in. KillMode: the holder of a pid namespace stays when another definition fails.
_TEXT = f"""\
{ours.MARK}
# A service that needs a named namespace has After={NAME} in its unit.
[Unit]
Description=Named namespaces of this host
After=local-fs.target remote-fs.target systemd-sysctl.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={COMMAND} up --all
KillMode=process

[Install]
WantedBy=multi-user.target
"""


def installation() -> list[Action]:
    """What is left to do until it is there and enabled. Raises Refused where it is another's."""
    if not systemctl.runs_here() or (ours.text_of(PATH) == _TEXT and _is_enabled()):
        return []
    ours.check(PATH)
    return [Action(f"install {NAME}", _install)]


def removal() -> list[Action]:
    """What is left to do until it is gone."""
    return [Action(f"remove {NAME}", _remove)] if ours.is_ours(PATH) else []


def wait() -> None:
    """Wait while it is being started: what runs in a namespace starts after it."""
    if systemctl.runs_here() and "activating" in systemctl.run(
        "show", "--property", "ActiveState", NAME
    ):
        with contextlib.suppress(SystemctlFailed):  # why a definition fails is its own affair
            systemctl.run("start", NAME)


def _is_enabled() -> bool:
    return os.path.lexists(_ENABLED) and os.path.realpath(_ENABLED) == PATH


def _install() -> None:
    atomic.write(PATH, _TEXT, mode=0o644)
    if not _is_enabled():
        atomic.make_directory(os.path.dirname(_ENABLED), mode=0o755)
        atomic.link(PATH, _ENABLED)
    systemctl.run("daemon-reload")
    # So that it is what it will be after a boot. Why a definition fails is its own affair.
    with contextlib.suppress(SystemctlFailed):
        systemctl.run("start", NAME)


def _remove() -> None:
    if systemctl.runs_here():
        with contextlib.suppress(SystemctlFailed):  # it is not loaded
            systemctl.run("stop", NAME)
    atomic.remove(_ENABLED)
    atomic.remove(PATH)
    atomic.remove_directory(os.path.dirname(_ENABLED))
    if systemctl.runs_here():
        systemctl.run("daemon-reload")
        with contextlib.suppress(SystemctlFailed):  # it has not failed
            systemctl.run("reset-failed", NAME)
