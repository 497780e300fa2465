# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that enters, as text, and what is made of what it says."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.plugin_utils import _entering
from ansible_collections.linux.namespaces.plugins.plugin_utils._entering import Way

WAYS = [
    Way(namespace="web"),
    Way(namespace="web", kinds=("mnt", "net"), escalation="sudo"),
    Way(pid=4242, escalation="doas"),
    Way(path="/run/netns/it's $x"),
    Way(path="/run/netns/blue", kinds=("net",)),
]


@pytest.mark.parametrize("way", WAYS)
def test_every_login_shell_can_take_it(way: Way) -> None:
    command = way.checked().around("echo 'it'")
    assert "\n" not in command
    assert "!" not in command
    shell, option, script, _name, inner = shlex.split(command)
    assert (shell, option, inner) == ("/bin/sh", "-c", "echo 'it'")
    done = subprocess.run(["/bin/sh", "-n", "-c", script], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "way",
    [
        Way(),
        Way(namespace="web", pid=1),
        Way(namespace="web;reboot"),
        Way(namespace="web", kinds=("mount",)),
        Way(pid=0),
        Way(path="run/netns/blue"),
        Way(path="/run/\0"),
    ],
)
def test_what_makes_no_sense(way: Way) -> None:
    with pytest.raises(Refused):
        way.checked()


def test_failures_of_the_way_in() -> None:
    said = "a banner\r\nnsctl exec: There is no namespace 'web'.\r\nShared connection closed.\r\n"
    assert _entering.failure(125, said) == "There is no namespace 'web'."
    assert _entering.failure(1, said) is None
    assert _entering.failure(125, "something else") is None
    assert _entering.suspicious(1, "sudo: a password is required")
    assert not _entering.suspicious(2, "sudo: a password is required")
    assert not _entering.suspicious(1, "pseudo: x")
    assert _entering.lacks_python(127, "/bin/sh: 1: /usr/bin/python3: not found")
    assert not _entering.lacks_python(127, "/bin/sh: 1: perl: not found")
