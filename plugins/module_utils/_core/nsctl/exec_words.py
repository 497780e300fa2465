# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The command lines of `nsctl exec` and `nsctl enter`.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..process import program
from .arguments import FILE, KINDS, Option, Verb

_BECOMING = """
The process becomes the program: nothing of nsctl remains, so that a
service manager sees the program as the process that it started. There are
two exceptions, in which nsctl waits, passes on the signals it gets, stops
and ends as the program does. A pid namespace is one, since only a child
can be born into it; the program goes with nsctl when that is killed; see
--hand-over. A terminal is the other.

Where a standard stream is a terminal, the program gets one of its own in
its place, and nsctl copies between the two, so that what runs inside
cannot type at the caller's shell (TIOCSTI). Keys, job control and the
size of the window work as ever; redirected streams are the program's own.
What it writes reaches the caller's terminal as it is, as with ssh(1).
Without a terminal it gets a session of its own; where only the session
has one, the program leaves that, but not its process group: ^C ends it.

Options may stand before or after NAME. They end at PROGRAM or at --.
"""

_OPTIONS = (
    Option("pid", "PID", ""),
    Option(
        "path",
        FILE,
        "Instead of NAME: the namespaces of a process that are not the\n"
        "host's, or a namespace file, as in /run/netns.",
    ),
    Option("kinds", KINDS, "Join only these kinds; by default all that the namespace has."),
    Option(
        "new",
        KINDS,
        "Give the program new namespaces of these kinds: cgroup, ipc, mnt,\n"
        "net, uts. A new mnt is a private copy, in a new net lo is up.",
    ),
    *[Option(option.word, option.takes, option.text) for option in program.OPTIONS],
    Option("clear-env", "", "Begin with an environment that holds nothing but a PATH."),
    Option("env", "VARIABLE=VALUE", "Set a variable; can be given more than once."),
    Option(
        "hand-over",
        "",
        "In a pid namespace: do not wait for the program, but tell systemd\n"
        "that it is the unit's main process, for which the unit needs\n"
        "NotifyAccess=main.",
    ),
    Option(
        "incomplete",
        "",
        "Enter it also while it is not what its definition says. What is\n"
        "missing of it, up to its root, is the host's there.",
    ),
    Option(
        "keep-fds",
        "",
        "Pass on the sockets that systemd passed (LISTEN_FDS,\n"
        "sd_listen_fds(3)). All other descriptors but the standard streams\n"
        "are closed.",
    ),
)
_EXITS = "The program's own; 125, 126 and 127 as said in `nsctl --help`."

EXEC = Verb(
    "exec",
    "run a program inside a named namespace",
    operands="NAME",
    usage=(
        "NAME [OPTION...] [--] PROGRAM [ARGUMENT...]",
        f"--pid PID | --path {FILE} [OPTION...] -- PROGRAM [ARGUMENT...]",
    ),
    text=f"Joins the namespaces and runs PROGRAM, which is looked up inside.\n{_BECOMING}",
    options=_OPTIONS,
    exits=_EXITS,
    examples=(
        "nsctl exec web -- nginx -t",
        "nsctl exec web --kinds net ip address",
        "ExecStart=/usr/local/sbin/nsctl exec web --keep-fds -- /usr/sbin/nginx",
    ),
    program_after=1,
)

ENTER = Verb(
    "enter",
    "a shell inside a named namespace",
    operands="NAME",
    usage=("NAME [OPTION...] [-- PROGRAM [ARGUMENT...]]",),
    text=(
        "Runs a shell inside: $SHELL where that is there, else /bin/bash or /bin/sh;\n"
        f"or PROGRAM.\n{_BECOMING}"
    ),
    options=_OPTIONS,
    exits=_EXITS,
    program_after=1,
)
