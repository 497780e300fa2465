# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What can be set in namespaces that live: their names, lo, and kernel parameters.

Each setting is made in the one namespace that it belongs to, with the host's /proc: that of a
namespace with a root of its own may be missing, or a lie.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import functools
import os
import typing as t

from .. import actions, redact
from ..errors import KernelError
from ..syscalls import namespaces
from . import enter, network, sysctl, within
from .target import Handles

# Opens the namespaces of these kinds.
Opened = t.Callable[[t.Collection[str]], Handles]


class Setting(t.NamedTuple):
    """One setting."""

    # For people.
    name: str
    # Of the namespace that has it.
    kind: str
    # Both are called inside.
    is_set: t.Callable[[], bool]
    set: t.Callable[[], None]
    explain: actions.Explain | None = None
    # The same by way of an open /proc that can be written; None where it takes none.
    set_by: t.Callable[[int], None] | None = None


def hostname(text: str) -> Setting:
    """The host name."""
    return Setting(
        f"set hostname {text}",
        "uts",
        lambda: os.uname().nodename == text,
        functools.partial(namespaces.sethostname, text),
    )


def domainname(text: str) -> Setting:
    """The NIS domain name."""
    return Setting(
        f"set domainname {text}",
        "uts",
        lambda: sysctl.read("kernel.domainname") == text,
        functools.partial(namespaces.setdomainname, text),
    )


def loopback(*, up: bool) -> Setting:
    """Whether lo is up."""
    return Setting(
        f"set lo {'up' if up else 'down'}",
        "net",
        lambda: network.is_loopback_up() == up,
        functools.partial(network.set_loopback, up=up),
    )


def parameter(key: str, value: str) -> Setting:
    """A kernel parameter. Raises Refused where it belongs to no namespace."""
    return Setting(
        f"set {key} to {redact.parameter(key, value)}",
        sysctl.kind_of(key),
        lambda: sysctl.is_set(key, value),
        functools.partial(sysctl.write, key, value),
        functools.partial(sysctl.explain, key=key, value=value),
        lambda proc_fd: sysctl.write(key, value, proc_fd=proc_fd),
    )


def missing(settings: t.Sequence[Setting], opened: Opened) -> list[Setting]:
    """Those of the settings that have another value now.

    ``opened`` opens the namespaces of the given kinds. Raises KernelError.
    """
    if not settings:
        return []
    found = []
    for kind in dict.fromkeys(setting.kind for setting in settings):
        those = [setting for setting in settings if setting.kind == kind]
        with opened([kind]) as handles:
            done = _inside(handles, kind, lambda: [setting.is_set() for setting in those])  # noqa: B023
        found += [setting for setting, is_set in zip(those, done) if not is_set]
    return [setting for setting in settings if setting in found]


def make(setting: Setting, opened: Opened) -> None:
    """Make one setting, as a step. Raises StepFailed."""

    def change() -> None:
        with opened([setting.kind]) as handles:
            try:
                _inside(handles, setting.kind, setting.set)
            except KernelError as error:
                if error.errno != errno.EROFS or setting.set_by is None:
                    raise
                set_by = setting.set_by
                # Opened out here: who has joined a user namespace may mount nothing on the host.
                with sysctl.fresh_proc() as proc_fd:
                    _inside(handles, setting.kind, lambda: set_by(proc_fd))

    actions.run(setting.name, change, explain=setting.explain)


def _inside(handles: Handles, kind: str, function: t.Callable[[], t.Any]) -> t.Any:
    """Call it in the namespace of the kind, which is the only one that is open. Raises KernelError."""
    if kind not in within.KINDS:
        return enter.run_inside(function, joins=handles)
    with within.within(handles.fd_of(kind), kind):
        return function()
