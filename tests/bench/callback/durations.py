# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how long each task took, as lines of "seconds name", into the file $DURATIONS."""

from __future__ import annotations

import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: durations
type: aggregate
short_description: Writes how long each task took
description: For the measurements of linux.namespaces.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "durations"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_start(self, host, task):  # noqa: ARG002 (the names are the interface)
        self.began = time.monotonic()

    def _write(self, result):
        took = time.monotonic() - self.began
        with open(os.environ["DURATIONS"], "a", encoding="utf-8") as lines:
            lines.write(f"{took:.4f} {result._task.get_name()}\n")

    def v2_runner_on_ok(self, result):
        self._write(result)
