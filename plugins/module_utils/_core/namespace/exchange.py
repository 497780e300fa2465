# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The next generation of a named namespace: built beside the one that lives, then put in its place.

    /run/linux-namespaces/web          the one that lives
    /run/linux-namespaces/.next.web    the next one; afterwards the one before, until it has ended

It has mounts, and with them pids, of its own: the holder of pids lives in the mounts. All other kinds are the
same, so that addresses, connections and sockets that listen are. One rename gives each the other's place
(renameat2(2), RENAME_EXCHANGE), with all of its pins and what is true of it: at every instant the name is that
of one of the two.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import shutil

from .. import kinds
from ..errors import Refused
from ..host_paths import as_next, closed_directory, directory, is_directory, is_kept
from ..process import kill, proc
from ..storage import atomic
from ..syscalls import files, trees
from . import cgroups, gate, pid_holder, pins

# The kinds that a generation has of its own.
RENEWED = ("mnt", "pid")
# What is kept of what runs. It is of the name, whichever generation that is of.
_OF_THE_NAME = ("services", "cgroups")


def begin(name: str) -> None:
    """Have a next one that has all kinds of the one that lives but for those that are renewed.

    It is closed, and nothing is left of an earlier one. The lock is held. Raises Refused where processes live
    on in the one before; KernelError, OSError.
    """
    pids = living(name)
    if pids:
        raise Refused(
            f"processes live on in the generation before of {name}: {', '.join(map(str, pids))}",
            "End them, and run again.",
        )
    discard(name)
    own, shared = pins.pinned(name), pins.shared(name)
    sources = {kind: pins.path_now(name, kind) for kind in own if kind not in RENEWED}
    with as_next(name):
        pins.prepare(name)
        for kind in kinds.KINDS:
            if kind in sources:
                pins.pin_file(name, kind, sources[kind])
        for kind, (other, number) in shared.items():
            if number:
                pins.share(name, kind, other)


def is_there(name: str) -> bool:
    """Whether there is a next one, or what is left of one before."""
    with as_next(name):
        return is_kept(name)


def carry_over(name: str) -> None:
    """Have the next one know what runs in the one that lives. Raises OSError."""
    with as_next(name):
        place = directory(name)
    for part in _OF_THE_NAME:
        source = f"{directory(name)}/{part}"
        for each in sorted(os.listdir(source)) if is_directory(source) else ():
            if not each.startswith("@"):  # of the holder, which each has of its own
                atomic.make_directory(f"{place}/{part}", mode=0o700)
                shutil.copy2(f"{source}/{each}", f"{place}/{part}/{each}")


def put(name: str) -> None:
    """Have the next one in the place of the one that lives, and that in the place of the next one.

    Both are open. Raises KernelError.
    """
    with as_next(name):
        place = directory(name)
    trees.exchange(files.AT_FDCWD, place, files.AT_FDCWD, directory(name))


def living(name: str) -> list[int]:
    """The pids of those that live in what the next one, or the one before, has of its own."""
    with as_next(name):
        ids = {kind: number for kind, number in pins.pinned(name).items() if kind in RENEWED}
        holder = pid_holder.pid_of(name)
    found = []
    for pid in proc.all_pids() if ids else ():
        own = proc.ids_of_process(pid, ids)
        lives = any(own.get(kind) == number for kind, number in ids.items())
        if lives and pid != holder and not kill.has_ended(pid):
            found.append(pid)
    return found


def discard(name: str) -> None:
    """Leave nothing of the next one, or of the one before. Who lives in its mounts lives on.

    Raises KernelError, OSError.
    """
    with as_next(name):
        if not is_kept(name):
            return
        if is_directory(directory(name)):
            gate.close(name)
        pid_holder.end(name)
        cgroups.end(name, cgroups.HOLDER)
        from ..storage import removal  # not loaded by who enters

        # What it knows of what runs is of the one that lives.
        for part in _OF_THE_NAME:
            removal.remove_path(f"{closed_directory(name)}/{part}")
        pins.discard(name)
