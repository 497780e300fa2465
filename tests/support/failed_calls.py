# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of failed unshare(2), setns(2) and writes of uid_map begin with."""

from __future__ import annotations

import pathlib
import threading
import typing as t

from programs import in_child

NOBODY = 65534
Answer = tuple[str, str, str]


def with_a_thread(function: t.Callable[[], t.Any]) -> t.Any:
    """Call it in a process that has a second thread."""

    def threaded() -> t.Any:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            return function()
        finally:
            done.set()
            thread.join()

    return in_child(threaded)


def map_all() -> None:
    """In a new user namespace: be root there."""
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    for which in ("uid", "gid"):
        pathlib.Path(f"/proc/self/{which}_map").write_text("0 0 1")
