# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The units that bring up all persistent namespaces at boot, on hosts that systemd manages.

    linux-namespaces@.service     brings one up: each has an instance, linux-namespaces@web.service
    linux-namespaces.target       stands for all of them

Each comes up by itself, within its own time. What it needs of the host first is in a drop-in of its
(definition/boot.py), and its services require it. Nothing else waits for any of them.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import typing as t

from .. import host_paths
from ..actions import Action
from ..definition import boot
from ..definition import file as definitions
from ..errors import Refused
from ..host_paths import BOOT_TARGET, BOOT_TEMPLATE, COMMAND, UNITS
from ..namespace import gate, pins
from ..storage import atomic
from . import instance, ours, systemctl
from .systemctl import SystemctlFailed

TARGET = os.path.basename(BOOT_TARGET)
# What `systemctl enable` makes of WantedBy=.
_ENABLED = f"{UNITS}/multi-user.target.wants/{TARGET}"
# So many are told by their names.
_MOST_NAMED = 5
# Brought up all of them, one after the other, for earlier versions.
_EARLIER = f"{UNITS}/linux-namespaces.service"

# Without default dependencies: with them multi-user.target would wait for the slowest (systemd.target(5)),
# and all would be taken down one by one when the host goes down. The one that has failed six
# times in ten seconds may be started again: nothing does so by itself.
_TEXTS = {
    BOOT_TEMPLATE: f"""\
{ours.MARK}
[Unit]
Description=Named namespace %i
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target basic.target
Before={TARGET}
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
Environment={host_paths.BY_UNIT}=%i
ExecStart={COMMAND} up %i
ExecStop={COMMAND} down %i
TimeoutStartSec=300
# The holder of a pid namespace stays.
KillMode=process

[Install]
WantedBy={TARGET}
""",
    BOOT_TARGET: f"""\
{ours.MARK}
[Unit]
Description=All named namespaces of this host
DefaultDependencies=no

[Install]
WantedBy=multi-user.target
""",
}


def settlement(
    *,
    present: t.Sequence[str] = (),
    alone: bool = False,
    without: t.Collection[str] = (),
    check: bool = False,
) -> list[Action]:
    """What is left to do until systemd has the units, and an instance of each definition.

    ``present`` are names that have one, or would in check mode, which are started ``alone`` where somebody
    else starts their services; ``without`` those that have none any more. Raises Refused where a unit is another's.
    """
    found = _forgetting(present=present, without=without)
    if not systemctl.runs_here():
        return found
    recorded = [name for name in definitions.names() if name not in without]
    if not recorded and not present:
        return found
    if not _are_in_step():
        for path in _TEXTS:
            ours.check(path)
        found.append(Action(f"install {TARGET}", _install))
    left = [name for name in sorted({*recorded, *present}) if not instance.is_enabled(name)]
    if left:
        enable = functools.partial(_enable, left, present, alone=alone)
        found.append(Action(f"enable {_named(left)}", enable))
    # In check mode they may be still to come.
    up = [name for name in present if name not in left and (check or _is_open(name))]
    down = instance.down_among(up)
    if down:
        start = functools.partial(instance.start, down, alone=alone)
        found.append(Action(f"start {_named(down)}", start))
    return found


def _forgetting(*, present: t.Collection[str], without: t.Collection[str]) -> list[Action]:
    """What is left to do until systemd knows of no instance that has no definition."""
    gone = [
        name
        for name in instance.enabled_names()
        if name in without or not (name in present or definitions.has_record(name))
    ]
    return [Action(f"disable {_named(gone)}", lambda: instance.forget(gone))] if gone else []


def removal() -> list[Action]:
    """What is left to do until the units are gone; their instances are."""
    there = any(ours.is_ours(path) for path in _paths())
    return [Action(f"remove {TARGET}", _remove)] if there else []


def is_one(path: str) -> bool:
    """Whether the path leads to one of them, or to that of an earlier version."""
    return os.path.realpath(path) in _paths()


def _paths() -> tuple[str, ...]:
    return (*_TEXTS, _EARLIER)


def _named(names: list[str]) -> str:
    if len(names) <= _MOST_NAMED:
        return ", ".join(map(host_paths.boot_unit_name, names))
    return f"the units of {len(names)} namespaces"


def _are_in_step() -> bool:
    return (
        all(ours.text_of(path) == text for path, text in _TEXTS.items())
        and os.path.islink(_ENABLED)
        and os.readlink(_ENABLED) == BOOT_TARGET
        and not ours.is_ours(_EARLIER)
    )


def _is_open(name: str) -> bool:
    return bool(pins.pinned(name)) and not gate.is_closed(name)


def _install() -> None:
    for path, text in _TEXTS.items():
        atomic.write(path, text, mode=0o644)
    atomic.make_directory(os.path.dirname(_ENABLED), mode=0o755)
    atomic.link(BOOT_TARGET, _ENABLED)
    if ours.is_ours(_EARLIER):
        _bind_to_instances()
        _remove_unit(_EARLIER)
    systemctl.run("daemon-reload")
    with contextlib.suppress(SystemctlFailed):
        # As after a boot, but what somebody has taken down stays down.
        systemctl.run("start", "--job-mode=ignore-dependencies", TARGET)


def _enable(names: list[str], present: t.Sequence[str], *, alone: bool) -> None:
    for name in names:
        if name not in present:  # whoever made those has written what they need
            with contextlib.suppress(Refused):  # which is damaged, and so fails by its name
                definition = definitions.load(name)
                if definition is not None and definition.persistent:
                    boot.write(definition)
        instance.enable(name)
    systemctl.run("daemon-reload")
    # So that all is what it will be after a boot; one that is closed is still to be completed.
    made = [name for name in names if name in present and _is_open(name)]
    instance.start(made, alone=alone)
    others = [host_paths.boot_unit_name(name) for name in names if name not in present]
    if others:
        with contextlib.suppress(SystemctlFailed):
            systemctl.run("start", "--no-block", *others)


def _bind_to_instances() -> None:
    """Have the services of earlier versions wait for their namespaces; the next task does the rest."""
    earlier = os.path.basename(_EARLIER)
    for path in glob.glob(f"{UNITS}/linux-namespaces:*:*.service"):
        namespace = os.path.basename(path).split(":")[1]
        text = ours.text_of(path)
        if definitions.has_record(namespace) and f"After={earlier}" in text:
            unit = host_paths.boot_unit_name(namespace)
            bound = text.replace(f"After={earlier}", f"Requires={unit}\nAfter={unit}", 1)
            atomic.write(path, bound, mode=0o644)


def _remove() -> None:
    for path in _paths():
        if ours.is_ours(path):
            _remove_unit(path)
    if systemctl.runs_here():
        systemctl.run("daemon-reload")


def _remove_unit(path: str) -> None:
    name = os.path.basename(path)
    if systemctl.runs_here() and path != BOOT_TEMPLATE:
        for verb in ("stop", "reset-failed"):
            with contextlib.suppress(SystemctlFailed):  # it is not loaded
                systemctl.run(verb, name)
    link = f"{os.path.dirname(_ENABLED)}/{name}"
    atomic.remove(link)
    atomic.remove(path)
    atomic.remove_directory(os.path.dirname(link))
