# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain user, or root inside a namespace, that locks whatever can be opened and never lets go."""

from __future__ import annotations

import contextlib
import json
import subprocess
import typing as t

# Opens everything below the directories again and again; says so after each round.
_PROGRAM = """
import fcntl, json, os, stat, sys
held = {}
def hold(path):
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError:
        return
    key = os.fstat(fd)[1:3]
    try:
        if key in held:
            os.close(fd)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held[key] = fd
    except OSError:
        os.close(fd)
def walk(top):
    hold(top)
    for above, folders, files in os.walk(top):
        for name in folders + files:
            hold(os.path.join(above, name))
alone, below = json.loads(sys.argv[1])
rounds = 0
while True:
    for path in alone:
        hold(path)
    for path in below:
        walk(path)
    rounds += 1
    if rounds == 1:
        print(len(held), flush=True)
"""


@contextlib.contextmanager
def hoarding(
    alone: t.Sequence[str], below: t.Sequence[str], *, prefix: t.Sequence[str] = ()
) -> t.Iterator[int]:
    """Lock these paths, and everything below those; yields how many locks there were at first.

    ``prefix`` are the words that start the program: as nobody, or inside a namespace.
    """
    # Not that of the tests, which not everybody can reach.
    argv = [*prefix, "/usr/bin/python3", "-IS", "-c", _PROGRAM, json.dumps([alone, below])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
