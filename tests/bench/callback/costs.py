# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what each play cost, as lines of JSON, into the file $COSTS.

On the clock, of the processors by this process and all its children, and of that by the hosts, where
they are processes of this machine (connection/bench_host.py). All in seconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import resource
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: costs
type: aggregate
short_description: Writes what each play cost
description: For the measurements of linux.namespaces.
"""


def _now():
    for worker in multiprocessing.active_children():
        worker.join()  # counted only then
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    hosts = pathlib.Path(os.environ["BENCH_HOSTS"]).read_text(encoding="ascii").split()
    return {
        "clock": time.monotonic(),
        "processors": sum(used.ru_utime + used.ru_stime for used in both),
        "hosts": sum(map(float, hosts)),
    }


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "costs"
    CALLBACK_NEEDS_ENABLED = True

    _play = ""

    def v2_playbook_on_play_start(self, play):
        self._write()
        self._play, self._before = play.get_name(), _now()

    def v2_playbook_on_stats(self, stats):  # noqa: ARG002 (the name is the interface)
        self._write()

    def _write(self):
        if self._play:
            now = _now()
            cost = {key: now[key] - self._before[key] for key in now}
            with open(os.environ["COSTS"], "a", encoding="utf-8") as lines:
                lines.write(json.dumps({"play": self._play, **cost}) + "\n")
