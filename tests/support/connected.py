# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin `local`, on a host that has nsctl or nsenter(1), and a namespace to enter."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from results import RunModule
from roots import with_root_of_host

from ansible_collections.linux.namespaces.plugins.connection import local
from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command

NewName = t.Callable[[], str]
OPTIONS = ("namespace", "pid", "path", "kinds")


class Connected:
    """A connection to a target, given by the options of the plugin."""

    def __init__(self, **variables: t.Any) -> None:
        self.plugin = local.Connection(PlayContext())
        # What Ansible makes of the variables is tested with plays.
        options = {**dict.fromkeys(OPTIONS), "escalation": "none", "has_init": False}
        self.plugin._options = {**options, **variables}

    def __call__(self, command: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        code, out, err = self.plugin.exec_command(command, in_data=stdin)
        return code, out.decode(), err.decode()

    def said(self, command: str) -> str:
        code, out, err = self(command)
        assert (code, err) == (0, "")
        return out

    def why_not(self) -> str:
        """Why the target cannot be entered."""
        with pytest.raises(AnsibleConnectionFailure) as caught:
            self("true")
        return str(caught.value)


@pytest.fixture(params=["nsctl", "nsenter"])
def way(request: pytest.FixtureRequest) -> t.Iterator[str]:
    """What the host has. A unit needs nsctl, else it goes with the next namespace that does not."""
    unit = pathlib.Path("/etc/systemd/system/needs-nsctl.service")
    if request.param == "nsctl":
        host_command.present(nsctl, check=False)
        unit.write_text(f"[Service]\nExecStart={host_command.COMMAND}\n")
    yield request.param
    assert os.path.exists(host_command.COMMAND) == (request.param == "nsctl")
    unit.unlink(missing_ok=True)
    host_command.absent(check=False)


@pytest.fixture
def web(run_module: RunModule, new_name: NewName, way: str) -> t.Iterator[str]:  # noqa: ARG001
    """A named namespace with its own root, processes and host name."""
    name = new_name()
    with_root_of_host(run_module, name, kinds=("mnt", "pid", "uts"))
    yield name
    shutil.rmtree(f"/run/tests/{name}")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
