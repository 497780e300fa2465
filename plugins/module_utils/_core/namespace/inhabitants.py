# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who lives in which namespace: one pass over /proc for all of them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import kinds, once
from ..errors import KernelError
from ..process import proc
from ..syscalls import namespaces
from . import nsfs


@once.kept
def by_namespace(names: t.Sequence[str] = kinds.NAMES) -> dict[tuple[str, int], list[int]]:
    """The pids of those that live in each namespace of these kinds, by its kind and its id; the lowest first.

    What the caller may not look into is left out, and what has ended.
    """
    # The texts of the links are as good as the ids they hold until it is known which differ.
    found: dict[str, list[int]] = {}
    readlink = os.readlink
    for pid in sorted(proc.all_pids()):
        directory = f"/proc/{pid}/ns/"
        for kind in names:
            try:
                link = readlink(directory + kind)
            except FileNotFoundError:  # the kernel lacks the kind; or a zombie, which lacks most
                continue
            except (PermissionError, ProcessLookupError):
                break
            if link in found:
                found[link].append(pid)
            else:
                found[link] = [pid]
    return {(link.partition(":")[0], proc.parse_link(link)): pids for link, pids in found.items()}


@once.kept
def lines(kind: str) -> dict[int, frozenset[int]]:
    """Of each namespace of a kind that is nested, and that somebody lives in, those that it lies in."""
    own = proc.ids_of_process("self", [kind]).get(kind)
    return {
        number: line(f"/proc/{pids[0]}/ns/{kind}")
        for (of, number), pids in by_namespace().items()
        if of == kind and number != own
    }


def line(path: str) -> frozenset[int]:
    """The ids of those that the namespace of this file lies in, as far as the caller sees; none where it has ended."""
    found: set[int] = set()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it has ended meanwhile
        return frozenset()
    try:
        while True:
            above = namespaces.parent(fd)
            os.close(fd)
            fd = above
            found.add(nsfs.id_of(fd))
    except KernelError:  # EPERM: there is none above that we could see
        return frozenset(found)
    finally:
        os.close(fd)
