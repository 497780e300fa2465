# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs what ansible.builtin.local runs in all namespaces of a host's first process instead.

What that takes of the processors is written into the file $BENCH_HOSTS: it is not the controller's.
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil

from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: bench_host
author: linux.namespaces contributors (@linux-namespaces)
short_description: Reaches the hosts of a fleet on this machine
description: For the measurements of linux.namespaces.
extends_documentation_fragment: [connection_pipelining]
options:
  pid:
    description: A process of the host.
    type: int
    required: true
    vars: [{name: bench_pid}]
  become_success_timeout:
    description: As of ansible.builtin.local.
    type: int
    default: 10
  become_strip_preamble:
    description: As of ansible.builtin.local.
    type: bool
    default: true
"""


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Connection(LocalConnection):
    transport = "bench_host"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        enter = f"exec nsenter --target={self.get_option('pid')} --all --root --wd /bin/sh -c "
        before = _used()
        done = super().exec_command(enter + shlex.quote(cmd), in_data=in_data, sudoable=sudoable)
        with open(os.environ["BENCH_HOSTS"], "a", encoding="ascii") as lines:
            lines.write(f"{_used() - before:.6f}\n")
        return done

    def put_file(self, in_path, out_path):
        shutil.copyfile(in_path, self._path(out_path))

    def fetch_file(self, in_path, out_path):
        shutil.copyfile(self._path(in_path), out_path)

    def _path(self, path):
        return f"/proc/{self.get_option('pid')}/root{path}"
