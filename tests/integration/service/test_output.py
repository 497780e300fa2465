# SPDX-License-Identifier: GPL-3.0-or-later
"""What services without systemd write: kept within limits, and shown by nsctl logs."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess

import pytest
from command import Nsctl
from waiting import has_ended, wait_until
from web_service import LOGS, Web, make_web, web

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import cgroups
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import watch
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import log_file

__all__ = ["make_web", "web"]
MIB = 1 << 20


def written(web: Web) -> list[pathlib.Path]:
    return [pathlib.Path(each) for each in log_file.parts_of(str(web.log))]


def test_a_hundred_megabytes(web: Web, nsctl: Nsctl) -> None:
    script = f"yes 'all the same' | head -c {100 * MIB}; echo; echo last; exec sleep infinity"
    pid = web.started(argv=["/bin/sh", "-c", script])
    assert wait_until(lambda: web.log.read_bytes().endswith(b"\nlast\n"))
    sizes = [each.stat().st_size for each in written(web)]
    assert len(sizes) == log_file.KEPT + 1
    assert max(sizes) <= log_file.LIMIT
    assert sum(sizes) > log_file.KEPT * log_file.LIMIT * 0.9
    assert {each.stat().st_mode & 0o777 for each in written(web)} == {0o640}
    shown = nsctl("logs", "--lines", "2", web.name, "idle").stdout
    assert shown.splitlines()[-1] == "last"
    assert len(shown.splitlines()) == 2
    web.converge(state="stopped")
    assert has_ended(pid)
    web.converge(state="absent")
    assert not LOGS.exists()


def test_a_killed_module_leaves_a_service_that_can_write(web: Web) -> None:
    """Who started it has long ended: the output goes on to be written down."""
    script = "echo first; while [ ! -e /run/tests/more ]; do sleep .05; done; echo more"
    web.started(argv=["/bin/sh", "-c", script])
    assert wait_until(lambda: web.log.read_text() == "first\n")
    more = pathlib.Path("/run/tests/more")
    more.touch()
    try:
        assert wait_until(lambda: web.log.read_text() == "first\nmore\n")
    finally:
        more.unlink()
    web.converge(state="absent")


def test_what_writes_it_down_may_be_killed(web: Web) -> None:
    """Either of its processes, or stopped: the program goes on, and so does its log."""
    script = "while :; do date +%s.%N; sleep .01; done"
    pid = web.started(argv=["/bin/sh", "-c", script])

    def writers() -> list[int]:
        return cgroups.processes_of(web.name, cgroups.log_of("idle"))

    def goes_on() -> bool:
        before = web.log.stat().st_size
        return wait_until(lambda: web.log.stat().st_size > before)

    def in_order() -> list[int]:
        """The parent, and the one that writes."""
        assert wait_until(lambda: len(writers()) == 2)
        return sorted(writers(), key=lambda each: (watch.identify(each).start, each))

    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
        for which in (0, 1, 0, 1):
            os.kill(in_order()[which], number)
            assert goes_on()
    os.kill(in_order()[1], signal.SIGSTOP)
    assert goes_on()
    assert web.task(state="started")["service"]["pid"] == pid
    web.converge(state="stopped")
    assert writers() == []
    lines = web.log.read_text().splitlines()
    assert lines == sorted(lines)
    web.converge(state="absent")


def test_a_log_that_somebody_takes_away(web: Web) -> None:
    script = "while :; do echo line; sleep .02; done"
    web.started(argv=["/bin/sh", "-c", script])
    assert wait_until(lambda: web.log.exists() and web.log.stat().st_size > 0)
    web.log.rename(f"{web.log}.mine")
    assert wait_until(lambda: web.log.exists() and web.log.stat().st_size > 0)
    web.log.unlink()
    os.mkfifo(web.log)
    web.log.unlink()
    assert wait_until(lambda: web.log.exists() and web.log.is_file())
    assert web.task(state="started")["service"]["state"] == "started"
    pathlib.Path(f"{web.log}.mine").unlink()
    web.converge(state="absent")


def test_logs_are_data(web: Web, nsctl: Nsctl) -> None:
    text = "one\\ttab\\n\\033[31mred\\007\\n\\302\\233bad\\377\\n"
    web.started(argv=["/bin/sh", "-c", f"printf '{text}'; exec sleep infinity"])
    assert wait_until(lambda: web.log.read_bytes().count(b"\n") == 3)
    (service,) = nsctl.data("show", web.name)["services"]
    assert (service["name"], service["state"], service["log"]) == ("idle", "started", str(web.log))
    assert nsctl("logs", web.name, "idle").stdout == (
        "one\ttab\n\\x1b[31mred\\x07\n\\x9bbad\ufffd\n"
    )
    web.converge(state="absent")
    assert "has a log" in nsctl("logs", web.name, "idle", code=1).stderr


def test_follow_over_a_new_part(web: Web, nsctl: Nsctl) -> None:
    web.log.parent.mkdir(parents=True)
    web.log.write_text("first\nsecond\n")
    words = ["logs", "--follow", "--lines", "1", web.name, "idle"]
    with nsctl.start(*words, stdout=subprocess.PIPE) as shown:
        assert shown.stdout is not None
        try:
            assert shown.stdout.readline() == "second\n"
            with web.log.open("a") as log:
                web.log.rename(f"{web.log}.1")
                log.write("to the earlier part\n")
            web.log.write_text("to the next\n")
            assert shown.stdout.readline() == "to the earlier part\n"
            assert shown.stdout.readline() == "to the next\n"
        finally:
            shown.terminate()
    web.task(state="absent")


@pytest.mark.parametrize("how", ["a link", "a FIFO", "a directory"])
def test_what_is_no_log_is_not_shown(web: Web, nsctl: Nsctl, how: str) -> None:
    web.log.parent.mkdir(parents=True)
    if how == "a link":
        web.log.symlink_to("/etc/shadow")
    elif how == "a FIFO":
        os.mkfifo(web.log)
    else:
        web.log.mkdir()
    try:
        done = nsctl("logs", web.name, "idle", code=1)
        assert done.stdout == ""
        assert "not a regular file" in done.stderr
    finally:
        web.log.rmdir() if how == "a directory" else web.log.unlink()
        web.log.parent.rmdir()
        LOGS.rmdir()
