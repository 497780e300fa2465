# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl why: what holds a path, a device or an image, in any namespace of the host.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..facts import holders, holders_mounts, holders_remedy
from ..facts.holders import Found, Holder
from ..facts.holders_mounts import Holding
from ..facts.holders_remedy import Steps
from ..facts.holders_users import Use
from . import FAILED, complain, say, say_data
from .arguments import JSON, PATH, Given, Verb, WrongUsage
from .columns import columns

VERB = Verb(
    "why",
    "what holds a path, a device or an image",
    operands=PATH,
    text="""\
Says which namespaces of the host have a mount of it, how that came to be
there, and which processes use it: the answer to "target is busy", and to
why a file system cannot be unmounted, a directory removed, a loop device
detached or a disk taken out.

PATH is one of the host: a mount point, a directory or a file, a block
device, or an image that loop devices show. It may be gone from the host:
then it is what namespaces have mounted there, or from there.

Of each mount is said what it is of and where it came from: a bind, a copy
that came along when the namespace was made, or one that came by
propagation. Processes use it by an open file, a working directory, a root,
a program, a mapped file or a socket. The kernel does by mounts on top, by
loop devices, swap and overlays. Last is said what to do, in order.

No file system is walked, and one that does not answer is not waited for:
the path is taken by its text then.
""",
    options=(JSON,),
    form="""\
A dictionary:

path, real     The path as given, and without links.
kind           mount, directory, file, device, or absent.
held           Whether anything holds it, but for the very mount at PATH.
busy           Whether that mount cannot be unmounted as it is.
mounts         A list: namespace (its name, or null), is_host, namespace_id,
               pid (the lowest in it, or null), pins; id, parent, path, src,
               fstype, root, device, opts, propagation and peers of the
               mount; how (host, copy, propagated, bind, mount), origin (the
               same in words), follows_host (whether it goes when the host
               unmounts its own), mounted_on_it (paths).
mounted_below  What is mounted in a directory that is no mount itself: the
               first five of these, and the mount.
processes      A list: pid, uid, command, unit (of systemd, or null),
               namespace_id (of its mounts), and uses: how (file, directory,
               root, executable, mapped, socket, device), fd (or null),
               access (read, write, read and write, or empty), path, mount
               (its id; null where it is in no namespace any more).
kernel         A list: kind (loop, swap, overlay, device), and text.
todo           What to do, in order; sentences. Of a mount of the host what
               there is to do so that it can be unmounted,
todo_elsewhere and what then, so that nothing has its file system any more.
notes          What could not be looked at.
""",
    exits="""\
0 when it was told, whether anything holds it or not; 1 where there is
nothing by this path on the host or in any namespace; 2 for wrong usage.""",
    examples=("nsctl why /data", "nsctl why /dev/sdb1", "nsctl why /srv/images/web.img"),
)

# Of the mapped files of a process, which are libraries most often.
_MOST = 3
_HOW = {
    "directory": "working directory",
    "root": "root directory",
    "executable": "runs",
    "mapped": "mapped",
    "file": "open",
    "socket": "socket",
    "device": "open device",
}


def run(verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, KernelError, OSError."""
    if len(given.operands) != 1 or not given.operands[0]:
        raise WrongUsage("name one path")
    path = given.operands[0]
    if "\0" in path:
        return complain(verb, "no path has a null character in it", FAILED)
    found = holders.of(path)
    if found.subject.kind == "absent" and found.subject.answers and not found.is_held:
        return complain(
            verb,
            f"there is no {found.subject.path} on the host, and nothing by that path is mounted or"
            " in use in any namespace",
            FAILED,
        )
    todo = holders_remedy.of(found)
    if "json" in given.switches:
        say_data({**holders.as_data(found), "todo": todo.here, "todo_elsewhere": todo.elsewhere})
    else:
        say(*_shown(found, todo))
    return 0


def _shown(found: Found, todo: Steps) -> list[str]:
    subject = found.subject
    name = subject.path if subject.real == subject.path else f"{subject.path} ({subject.real})"
    if not found.is_held:
        can_go = ": it can be unmounted" if found.itself is not None else ""
        return [f"nothing holds {name}{can_go}", *(f"note: {note}" for note in found.notes)]
    if subject.kind == "absent":
        lines = [f"{name} is held elsewhere: there is nothing by that path on the host"]
    elif found.is_busy or found.itself is None:
        lines = [f"{name} is {'busy' if found.is_busy else 'held'}"]
    else:
        lines = [f"{name} can be unmounted, but what is on it stays in use elsewhere"]
    if found.holdings:
        lines += ["", "mounted:"]
        for holding in found.holdings:
            lines += _holding_shown(holding)
    if found.below:
        lines += ["", "mounted below it:"]
        rows = [
            (mount.path, mount.fstype, holders_mounts.inside(space)) for space, mount in found.below
        ]
        lines += columns(rows, indent="  ")
    if found.processes:
        lines += ["", "used by:"]
        for process in found.processes:
            lines += _process_shown(process, found)
    if found.kernel:
        lines += ["", "used by the kernel:", *(f"  {each.text}" for each in found.kernel)]
    if todo.here:
        lines += ["", "what to do, in this order:", *_numbered(todo.here)]
    if todo.elsewhere:
        lines += ["", "so that its file system is free as well:", *_numbered(todo.elsewhere)]
    notes = ["", *(f"note: {note}" for note in found.notes)] if found.notes else []
    return [*lines, *notes]


def _numbered(steps: t.Sequence[str]) -> list[str]:
    return [f"  {number}. {step}" for number, step in enumerate(steps, 1)]


def _holding_shown(holding: Holding) -> list[str]:
    lines = [
        f"  {holding.mount.path} {holders_mounts.inside(holding.space)}",
        *(f"    {part}" for part in holding.origin.split("; ")),
    ]
    if holding.follows:
        lines.append("    goes when the host unmounts it")
    return lines + [f"    {each.path} is mounted on it ({each.fstype})" for each in holding.on_top]


def _process_shown(process: Holder, found: Found) -> list[str]:
    home = next((each for each in found.spaces if each.id == process.space), None)
    where = f" {holders_mounts.inside(home)}" if home is not None and not home.is_host else ""
    unit = f", {process.unit}" if process.unit else ""
    lines = [f"  {process.pid} {process.short}{where}{unit}"]
    uses = [use for use in process.uses if use.how != "mapped"]
    mapped = [use for use in process.uses if use.how == "mapped"]
    uses += mapped[:_MOST]
    lines += columns([_use_shown(use, process, found) for use in uses], indent="    ")
    more = len(mapped) - _MOST
    return [*lines, f"    and {more} more that are mapped"] if more > 0 else lines


def _use_shown(use: Use, process: Holder, found: Found) -> tuple[str, ...]:
    how = _HOW[use.how] + (f" as {use.fd}" if use.fd >= 0 else "")
    through = ""
    if use.mount == 0 and use.how != "device":
        through = "on a mount that was detached"
    else:
        space = found.space_of_mount(use.mount)
        if space is not None and space.id != process.space:
            through = f"by the mount {holders_mounts.inside(space)}"
    return how, use.path, use.access, through
