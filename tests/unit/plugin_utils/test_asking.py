# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a host's answer, and of its failure to."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.linux.namespaces.plugins.plugin_utils import _asking

HOSTILE = b"\x1b]0;owned\x07\xff{{ 7 * 7 }}" + b"A" * 100_000


class Connection:
    """One that a hostile host is at the end of."""

    def __init__(self, code: int = 0, out: bytes = b"", err: bytes = b"", fails: str = "") -> None:
        self._done = (code, out, err)
        self._fails = fails

    def exec_command(self, _command: str, sudoable: bool) -> tuple[int, bytes, bytes]:
        assert not sudoable
        if self._fails:
            raise AnsibleConnectionFailure(self._fails)
        return self._done


@pytest.mark.parametrize(
    "connection",
    [
        Connection(1, HOSTILE, HOSTILE),
        Connection(255, b"", HOSTILE),
        Connection(0, b"[" + HOSTILE),
        Connection(fails=HOSTILE.decode("utf-8", "replace")),
    ],
)
def test_why_a_host_is_not_known(connection: Connection) -> None:
    why = _asking._ask(connection, "none")
    assert isinstance(why, str)
    assert why.isprintable()
    assert "{{" not in why
    assert 0 < len(why) <= 1000


def test_a_host_that_says_nothing() -> None:
    assert _asking._ask(Connection(3), "none") == "exit code 3"
    assert _asking._ask(Connection(), "none") == ({}, [])
