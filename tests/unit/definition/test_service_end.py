# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd tells of the end of a program, as data and in words."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_end


@pytest.mark.parametrize(
    ("told", "end", "words"),
    [
        (("exit-code", "exited", "3"), ("exit-code", 3, None), "exit status 3"),
        (("success", "exited", "0"), ("success", 0, None), "exit status 0"),
        (("signal", "killed", "KILL"), ("signal", None, "KILL"), "SIGKILL"),
        (("success", "killed", "TERM"), ("success", None, "TERM"), "SIGTERM"),
        (("core-dump", "dumped", "SEGV"), ("core-dump", None, "SEGV"), "core-dump, SIGSEGV"),
        (("timeout", "killed", "KILL"), ("timeout", None, "KILL"), "timeout, SIGKILL"),
        (("watchdog", "dumped", "ABRT"), ("watchdog", None, "ABRT"), "watchdog, SIGABRT"),
        (("resources", "", ""), ("resources", None, None), "resources"),
        (("exit-code", "exited", "x"), ("exit-code", None, None), "exit-code"),
    ],
)
def test_an_end(told: tuple[str, str, str], end: tuple[t.Any, ...], words: str) -> None:
    names = ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")
    found = service_end.told(dict(zip(names, told)))
    assert found == dict(zip(("result", "exit_status", "signal"), end))
    assert service_end.in_words(found) == words


def test_nothing_is_told() -> None:
    assert service_end.told({"EXIT_CODE": "exited"}) is None
