# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A scope of systemd: processes that it did not start, in a cgroup that it knows of.

systemd has a scope begun by a process that is to be in it, and ends it when none is left
(systemd.scope(5)). So systemd-run(1) begins it, with a process that waits while others are moved
there. It asks systemd over the socket that root has for itself: no D-Bus daemon is needed.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import typing as t

# How long systemd may take, in seconds.
_PATIENCE = 10.0
# It ends with its input, which it has of us alone.
_WAITS = "echo; read -r _"


@contextlib.contextmanager
def begun(name: str, title: str) -> t.Iterator[None]:
    """The scope NAME.scope exists while the block runs, and as long as anything is in it.

    Where no systemd runs, or does not begin one, as while the host goes down, there is none.
    """
    program = shutil.which("systemd-run") if os.path.isdir("/run/systemd/system") else None
    if program is None:
        yield
        return
    words = [program, "--scope", "--quiet", "--collect", f"--unit={name}.scope"]
    words += [f"--description={title}", "--slice=system.slice", "--", "/bin/sh", "-c", _WAITS]
    with contextlib.ExitStack() as stack:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            yield
            return
        stack.callback(_end, process)
        poller = select.poll()
        poller.register(t.cast(t.IO[bytes], process.stdout), select.POLLIN)
        poller.poll(_PATIENCE * 1000)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
