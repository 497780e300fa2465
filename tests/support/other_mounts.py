# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a pid 1 of its own, and runs on it that have mounts of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import typing as t

from module_server import CHECKOUT, MODULES
from own_host import next_number
from results import Result

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import descendants

# As the wrapper does that Ansible sends.
RUN = f"""
import json, runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = json.dumps({{"ANSIBLE_MODULE_ARGS": json.loads(sys.argv[2])}}).encode()
basic._ANSIBLE_PROFILE = "legacy"
name, sys.argv = sys.argv[1], sys.argv[:1]
runpy.run_module(f"{MODULES}.{{name}}", run_name="__main__", alter_sys=True)
"""
# Where the collection lies as the archive that Ansible sends to a private /tmp does.
PRIVATE = "/mnt"
_PLACE = f"{PRIVATE}/ansible_collections/linux/namespaces"
PRIVATE_COPY = (
    f"mount -t tmpfs private {PRIVATE} && mkdir -p {_PLACE} && cp -r {CHECKOUT}/plugins {_PLACE}"
)
OWN_RUN = "mount -t tmpfs own /run"


class Host:
    """A host, by its pid 1."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def shell(
        self, script: str, *, before: t.Sequence[str] = (), env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the shell on it. With ``before`` these words run the shell."""
        words = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--", *before]
        return subprocess.run(
            [*words, "/bin/sh", "-c", script],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
        )

    def run(
        self, module: str, *, mounts: str | None = None, limit: str = "", **args: t.Any
    ) -> Result:
        """Run a module on it. ``mounts`` is a script that makes mounts of its own for it alone."""
        words = [sys.executable, "-c", RUN, module, json.dumps(args)]
        before = [] if mounts is None else ["unshare", "--mount"]
        place = str(CHECKOUT / ".build/collections") if mounts is None else PRIVATE
        script = f"{limit} {shlex.join(words)}"
        if mounts is not None:
            script = f"{PRIVATE_COPY} && {mounts or ':'} && {script}"
        done = self.shell(script, before=before, env={"PYTHONPATH": place})
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        assert len(lines) == 1, done
        result: Result = json.loads(lines[0])
        return result


@contextlib.contextmanager
def host() -> t.Iterator[Host]:
    """A host until the end of the block, with the files and the /run of the one we are on."""
    # Of the mount namespaces the oldest: see own_host.py.
    lowest = min(os.sched_getaffinity(0), key=next_number)
    words = ["taskset", "--cpu-list", str(lowest), "unshare", "--pid", "--fork", "--mount"]
    words += ["--mount-proc", "--kill-child", "/bin/sh", "-c", "echo; read -r _"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        (pid,) = descendants._children(process.pid)
        try:
            yield Host(pid)
        finally:
            process.stdin.close()
            process.wait()
