# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The unit of a named namespace, an instance of the template in boot_units.py.

It runs `nsctl up NAME`, which takes the lock of the name: nobody waits for systemd to start or stop it
while holding that.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import host_paths
from ..definition import file as definitions
from ..definition import service_file
from ..storage import atomic, removal
from . import systemctl
from .systemctl import SystemctlFailed

if t.TYPE_CHECKING:
    from ..definition.model import Definition

# What `systemctl enable` makes of the WantedBy= of the template.
_WANTED = f"{host_paths.BOOT_TARGET}.wants"
# Nothing is started or stopped with it.
_ALONE = "--job-mode=ignore-dependencies"
_FIRST, _LAST = os.path.basename(host_paths.BOOT_TEMPLATE).split("@")


def keep(definition: Definition) -> None:
    """Write the definition, and have systemd know what that needs at boot.

    Call it with the lock held. Raises OSError, SystemctlFailed.
    """
    finish(definitions.Saving(definition))


def finish(saving: definitions.Saving) -> None:
    """The same for a definition that there is room for. Raises OSError, SystemctlFailed."""
    if saving.finish() and is_enabled(saving.name) and systemctl.runs_here():
        systemctl.run("daemon-reload")


def is_enabled(name: str) -> bool:
    """Whether it is started at boot."""
    link = _link(name)
    return os.path.islink(link) and os.readlink(link) == host_paths.BOOT_TEMPLATE


def enabled_names() -> list[str]:
    """The names whose unit is started at boot, sorted; whether they have a definition or not."""
    try:
        listed = os.listdir(_WANTED)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [
        each[len(_FIRST) + 1 : -len(_LAST)]
        for each in listed
        if each.startswith(f"{_FIRST}@") and each.endswith(_LAST)
    ]
    return sorted(name for name in found if host_paths.is_name(name))


def enable(name: str) -> None:
    """Have it started at boot, once systemd has read that. Raises OSError."""
    atomic.make_directory(_WANTED, mode=0o755)
    atomic.link(host_paths.BOOT_TEMPLATE, _link(name))


def is_down(name: str) -> bool:
    """Whether systemd has the namespace for one that is not up, and nobody is about to change that."""
    return bool(down_among([name]))


def down_among(names: t.Sequence[str]) -> list[str]:
    """Those of them that is_down() is true of."""
    known = [name for name in names if is_enabled(name)]
    if not known or not systemctl.runs_here():
        return []
    return [
        name
        for name, (state, job) in zip(known, _states_of(known))
        if state in ("inactive", "failed") and job in ("", "0")
    ]


def start(names: t.Sequence[str], *, alone: bool = False) -> None:
    """Have systemd know that they are up, and start what is enabled in them.

    ``alone`` they come without that, and nobody waits for them. What is not there comes up. Why that
    fails is its own affair: it is kept for `nsctl list`.
    """
    known = [name for name in names if is_enabled(name)]
    if not known or not systemctl.runs_here():
        return
    failed = _failed_services(known)
    if failed:
        # Otherwise one that failed too often a moment ago is not started. How often others were
        # restarted would be forgotten.
        with contextlib.suppress(SystemctlFailed):
            systemctl.run("reset-failed", *failed)
    if host_paths.BY_UNIT not in os.environ:  # else systemd waits for us, to start them
        mode = ["--no-block", _ALONE] if alone else []
        with contextlib.suppress(SystemctlFailed):
            systemctl.run("start", *mode, *map(host_paths.boot_unit_name, known))


def _failed_services(names: t.Sequence[str]) -> list[str]:
    patterns = [host_paths.unit_name(name, "*") for name in names if service_file.names(name)]
    if not patterns:
        return []
    words = ["list-units", "--state=failed", "--plain", "--no-legend", *patterns]
    with contextlib.suppress(SystemctlFailed):
        return [line.split()[0] for line in systemctl.run(*words).splitlines() if line.strip()]
    return []


def stop(name: str) -> None:
    """End its services, and take the namespace down where nothing else lives in it.

    Why it cannot be taken down is its own affair.
    """
    if not is_enabled(name) or host_paths.BY_UNIT in os.environ or not systemctl.runs_here():
        return
    unit = host_paths.boot_unit_name(name)
    for verb in ("stop", "reset-failed"):
        with contextlib.suppress(SystemctlFailed):
            systemctl.run(verb, unit)


def wait(name: str) -> None:
    """Wait while it is being started, as at boot."""
    if _is_being_started(name):
        with contextlib.suppress(SystemctlFailed):
            systemctl.run("start", _ALONE, host_paths.boot_unit_name(name))


def interrupt(name: str) -> None:
    """End an attempt to bring it up, which may hang with the lock held."""
    if _is_being_started(name):
        with contextlib.suppress(SystemctlFailed):
            systemctl.run("stop", host_paths.boot_unit_name(name))


def forget(names: t.Sequence[str]) -> None:
    """Have systemd know nothing of them any more. What lives of them lives on. Raises OSError."""
    units = [host_paths.boot_unit_name(name) for name in names]
    if systemctl.runs_here():
        with contextlib.suppress(SystemctlFailed):  # they are not loaded
            # nsctl leaves alone what has no definition, and others that require it stay.
            systemctl.run("stop", _ALONE, *units)
    for name, unit in zip(names, units):
        # By the link the run after one that was killed knows that something is left.
        removal.remove_path(host_paths.drop_ins(unit))
        atomic.remove_directory(f"{host_paths.UNITS}/{unit}.wants")
        atomic.remove(_link(name))
    atomic.remove_directory(_WANTED)
    if systemctl.runs_here():
        systemctl.run("daemon-reload")
        with contextlib.suppress(SystemctlFailed):  # they have not failed
            systemctl.run("reset-failed", *units)


def _link(name: str) -> str:
    return f"{_WANTED}/{host_paths.boot_unit_name(name)}"


def _is_being_started(name: str) -> bool:
    if not is_enabled(name) or not systemctl.runs_here():
        return False
    return any(state == "activating" for state, _job in _states_of([name]))


def _states_of(names: t.Sequence[str]) -> list[tuple[str, str]]:
    """Of each the state of its unit, and the number of what waits to be done with that."""
    units = [host_paths.boot_unit_name(name) for name in names]
    found = []
    with contextlib.suppress(SystemctlFailed):
        for shown in systemctl.run("show", "--property", "ActiveState,Job", *units).split("\n\n"):
            facts = dict(line.partition("=")[::2] for line in shown.strip().splitlines())
            found.append((facts.get("ActiveState", ""), facts.get("Job", "")))
    return found
