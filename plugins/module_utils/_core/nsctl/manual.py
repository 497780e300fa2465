# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What `nsctl --help` and `nsctl VERB --help` print.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..process.program import OPTIONS
from . import WRONG_USAGE, complain, manual_whole, say

_WHOLE = """\
NAME
    nsctl - named namespaces of this host

SYNOPSIS
    nsctl list [--json] [NAME...]
    nsctl show [--json] NAME
    nsctl enter NAME [OPTION...] [-- PROGRAM [ARGUMENT...]]
    nsctl exec NAME [OPTION...] [--] PROGRAM [ARGUMENT...]
    nsctl service [--reload | --clear] NAME SERVICE
    nsctl logs [--follow] [--lines NUMBER] NAME SERVICE
    nsctl up [--check] [--json] [--timeout SECONDS] NAME... | --all
    nsctl down [--check] [--force] [--json] NAME... | --all
    nsctl apply [--check] [--recreate] [--force] [--json] FILE
    nsctl diff [--recreate] [--force] [--json] FILE
    nsctl rollback [--check] [--json] NAME...
    nsctl export NAME...
    nsctl adopt NAME --from FILE | --pid PID | --machine MACHINE [--keep]
    nsctl adopt NAME --unit UNIT | --fstab FILE
    nsctl VERB --help

DESCRIPTION
    A named namespace is one or more kernel namespaces, of different kinds,
    under one name. The modules of the Ansible collection linux.namespaces make
    and change them; nsctl shows them, enters them, and brings them up again
    after a reboot, by the same code. It also makes and changes them by a file.

    All verbs take root.

EXIT STATUS
    0      Done.
    1      Not done, or for one name of several not; standard error says why.
    2      The command line makes no sense.
    125    exec, enter and service: the program was not started.
    126    exec, enter and service: the program may not be executed.
    127    exec, enter and service: there is no such program inside.
    250    service: its namespace is not there, or closed.
    Any other exit status of these three is the program's own.

FILES
    /etc/linux-namespaces/NAME.json
           The definition: what is there again after a reboot, in order.
    /etc/linux-namespaces/services/NAME:SERVICE.json
           What a service is that systemd keeps running. It holds the secrets
           of the program, and only root can read it.
    /etc/linux-namespaces/generations/NAME.json
           What nsctl rollback goes back to. It holds secrets of services.
    /run/linux-namespaces/NAME/KIND
           The pin: a namespace file, for nsenter(1) and setns(2) as well.
    /run/linux-namespaces/NAME/KIND@OTHER
           The same of a kind that NAME shares with OTHER, whose it is.
    /run/linux-namespaces/NAME/state.json
           What is true until the reboot.
    /run/linux-namespaces/NAME/services/SERVICE.ended
           Why the program of a service ended last.
    /var/log/linux-namespaces/NAME/SERVICE.log, .log.1 to .log.4
           What a service without systemd has written, up to 10 MiB each.
    /run/linux-namespaces/NAME/failed
           Why the last `nsctl up` failed.
    /etc/systemd/system/linux-namespaces@.service
           Runs `nsctl up NAME` at boot, and `nsctl down NAME` when it is
           stopped: linux-namespaces@NAME.service. Services of a named
           namespace require that, and start with it.
    /etc/systemd/system/linux-namespaces@NAME.service.d/definition.conf
           The mounts, devices and network that it waits for.
    /etc/linux-namespaces/host/links.json
           The interfaces of the host that ns_link has made.
    /etc/systemd/system/linux-namespaces.target
           All of them: `systemctl start linux-namespaces.target`.

NOTES
    What the caller has for mounts does not count: in a unit with PrivateTmp=,
    or in a shell of unshare --mount, the host's are joined first. What is
    entered keeps the caller's cgroup; the holder of a pid namespace, and what
    services without systemd run, have their own.

SEE ALSO
    namespaces(7), nsenter(1), lsns(8), ip-netns(8)
"""

_LIST = """\
NAME
    nsctl list - the named namespaces of this host

SYNOPSIS
    nsctl list [--json] [NAME...]

DESCRIPTION
    Prints a line for each name, or only for those given:

    STATE      up: all is there that its definition says. partial: not all of
               it is, or a file system in it does not answer. down: none of its
               kinds is there, but `nsctl up` can bring them. failed: the last
               attempt to bring it up failed, or its definition is damaged.
    KINDS      The kinds that are there; net@front is shared, and that of front.
    PROCESSES  How many processes live in one of them.
    ROOT       The new root of the last pivot, as it was named before it.
    GENERATION Of those with a root of their own which one it is, and what
               digest that was made of has. Left out where none has one.
    AT BOOT    Whether it comes back after a reboot.
    REASON     Why it failed, what of it is missing, or why the generation
               that was tried last does not serve.

OPTIONS
    --json     Print a list of dictionaries instead.

EXIT STATUS
    0 whatever the states are, 1 where a name is unknown, 2 for wrong usage.
"""

_SHOW = """\
NAME
    nsctl show - one named namespace, what it should be and what it is

SYNOPSIS
    nsctl show [--json] NAME

DESCRIPTION
    Prints its kinds with their ids (as in lsns(8)) and pins, its root, its
    properties, who shares a kind of it, the processes inside, its services, and
    its interfaces and mounts, wanted and observed side by side. Of a service of
    systemd it says how often systemd has started it again, and how it ended
    last. Paths are named as they are inside now. A mount's state, and likewise
    that of an interface, is

    ok         It is as wanted.
    missing    Nothing is mounted there.
    differs    Something else is mounted there, or with other options.
    surplus    Nobody asked for it, and it did not come from the host.
    left out   Nothing is mounted there, and need not be: its source does not
               exist and it has nofail, or it has noauto.

    Last come the steps that `nsctl up NAME` would take.

OPTIONS
    --json     Print a dictionary instead.

EXIT STATUS
    0 whatever differs, 1 where the name is unknown, 2 for wrong usage.
"""


def _of_program() -> str:
    """What the table of a program's options says of them."""
    lines, heads = [], []
    for option in OPTIONS:
        heads.append(f"--{option.word} {option.takes}".rstrip())
        if option.text:
            lines.append(f"    {', '.join(heads)}")
            lines += [f"           {line}" for line in option.text.split("\n")]
            heads = []
    return "\n".join(lines)


_PROGRAM_OPTIONS = f"""\
    --pid PID, --path FILE
           Instead of NAME: the namespaces of a process that are not the
           host's, or a namespace file, as in /run/netns.
    --kinds KIND[,KIND...]
           Join only these kinds; by default all that the namespace has.
    --new KIND[,KIND...]
           Give the program new namespaces of these kinds: cgroup, ipc, mnt,
           net, uts. A new mnt is a private copy, in a new net lo is up.
{_of_program()}
    --clear-env
           Begin with an environment that holds nothing but a PATH.
    --env NAME=VALUE
           Set a variable; can be given more than once.
    --hand-over
           In a pid namespace: do not wait for the program, but tell systemd
           that it is the unit's main process, for which the unit needs
           NotifyAccess=main.
    --incomplete
           Enter it also while it is not what its definition says. What is
           missing of it, up to its root, is the host's there.
    --keep-fds
           Pass on the sockets that systemd passed (LISTEN_FDS,
           sd_listen_fds(3)). All other descriptors but the standard streams
           are closed.
"""

_BECOMING = """\
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

_EXEC = f"""\
NAME
    nsctl exec - run a program inside a named namespace

SYNOPSIS
    nsctl exec NAME [OPTION...] [--] PROGRAM [ARGUMENT...]
    nsctl exec --pid PID | --path FILE [OPTION...] -- PROGRAM [ARGUMENT...]

DESCRIPTION
    Joins the namespaces and runs PROGRAM, which is looked up inside.

{_BECOMING}
OPTIONS
{_PROGRAM_OPTIONS}
EXIT STATUS
    The program's own; 125, 126 and 127 as said in `nsctl --help`.

EXAMPLES
    nsctl exec web -- nginx -t
    nsctl exec web --kinds net ip address
    ExecStart=/usr/local/sbin/nsctl exec web --keep-fds -- /usr/sbin/nginx
"""

_ENTER = f"""\
NAME
    nsctl enter - a shell inside a named namespace

SYNOPSIS
    nsctl enter NAME [OPTION...] [-- PROGRAM [ARGUMENT...]]

DESCRIPTION
    Runs a shell inside: $SHELL where that is there, else /bin/bash or /bin/sh;
    or PROGRAM.

{_BECOMING}
OPTIONS
{_PROGRAM_OPTIONS}
EXIT STATUS
    The program's own; 125, 126 and 127 as said in `nsctl --help`.
"""

_SERVICE = """\
NAME
    nsctl service - become the program of a service

SYNOPSIS
    nsctl service NAME SERVICE
    nsctl service --reload NAME SERVICE
    nsctl service --clear NAME SERVICE

DESCRIPTION
    What the units of services run, that linux.namespaces.ns_service writes.
    What the program of SERVICE in the namespace NAME is, and its environment,
    is read from the file of the service, and exists on the host nowhere else.
    The process joins the namespaces, puts the credentials of the service into
    place, and becomes the program. In a pid namespace it has it as a child,
    and tells systemd that this is the main process of the unit.

    The program has the environment of the service alone, HOME, USER and
    LOGNAME of its user where that does not set them, and of what systemd
    tells: INVOCATION_ID, JOURNAL_STREAM, the sockets that it passes
    (LISTEN_FDS), WATCHDOG_USEC, and where the service tells that it is ready
    NOTIFY_SOCKET. Environment= of a unit or a drop-in is that of nsctl itself.
    Limits and the umask are what systemd has set.

OPTIONS
    --reload   Run the program of the service that reloads it, in the
               namespaces of its main process ($MAINPID), or send that the
               signal.
    --clear    Take the credentials of the service away, and note why its
               program ended ($SERVICE_RESULT), for ns_service to tell.

EXIT STATUS
    The program's own; 125, 126, 127 and 250 as said in `nsctl --help`.
"""

_LOGS = """\
NAME
    nsctl logs - what a service has written

SYNOPSIS
    nsctl logs [--follow] [--lines NUMBER] NAME SERVICE

DESCRIPTION
    Prints what SERVICE in the namespace NAME has written to its standard output
    and standard error, the oldest first: from the journal where systemd
    keeps the service running, by journalctl(1), else from its files. These
    hold up to 50 MiB in five parts; what is older is gone. Characters that
    could steer a terminal are escaped.

OPTIONS
    --follow   Go on with what it writes from then on, until interrupted.
    --lines NUMBER
               Begin with the last lines alone. By default with the first.

EXIT STATUS
    0 when printed, 1 when there is nothing, 2 for wrong usage; with the journal
    that of journalctl(1).
"""

_UP = """\
NAME
    nsctl up - make named namespaces what their definitions say

SYNOPSIS
    nsctl up [--check] [--json] [--timeout SECONDS] NAME... | --all

DESCRIPTION
    Creates what is missing, with its interfaces, and takes the recorded steps
    in their order: mounts, root file systems unpacked again from their
    archives, pivots. What is there already stays; what differs is mended. Those
    come first of which it shares kinds, or that have the other end of an
    interface; and the interfaces of the host that ns_link has made. A mount
    with noauto is left out, and one with nofail whose source does not exist. A
    namespace that fails does not keep the others from coming up. Why it failed
    is printed, and kept for `nsctl list` and `nsctl show`. With --all or
    --timeout several are brought up at the same time. Where another run changes
    a namespace, nsctl waits for up to a minute, and says for whom.

OPTIONS
    --all      All that have a definition.
    --check    Only say what would be done.
    --timeout SECONDS
               Give up on a namespace that is not up by then: after 300 seconds
               with --all, never (0) with names.
    --json     Print a list of dictionaries: name, actions, failure.

EXIT STATUS
    0 when all are up, 1 when one failed, 2 for wrong usage.
"""

_DOWN = """\
NAME
    nsctl down - take named namespaces down

SYNOPSIS
    nsctl down [--check] [--force] [--json] NAME... | --all

DESCRIPTION
    Removes the pins, so that the namespaces and all that is mounted in them
    end. Their definitions stay, and `nsctl up` brings them back; what was
    mounted or changed without being recorded does not come back. Fails where
    processes live inside, where there is no definition, and while others that
    are up share a kind of it. Of several names those that share go first.

OPTIONS
    --all      All that have a definition.
    --check    Only say what would be done.
    --force    End the services of systemd as they want to end, and kill all
               other processes inside.
    --json     Print a list of dictionaries: name, actions, failure.

EXIT STATUS
    0 when all are down, 1 when one failed, 2 for wrong usage.
"""

_TEXTS = {
    "list": _LIST,
    "show": _SHOW,
    "exec": _EXEC,
    "enter": _ENTER,
    "service": _SERVICE,
    "logs": _LOGS,
    "up": _UP,
    "down": _DOWN,
    **manual_whole.TEXTS,
}


def show(verb: str) -> int:
    """Print the manual of the verb, or of the whole for none; return the exit code."""
    if verb.startswith("-") or verb == "help":
        verb = ""
    if verb and verb not in _TEXTS:
        return complain("", f"no verb {verb!r}", WRONG_USAGE)
    say(*_TEXTS.get(verb, _WHOLE).splitlines())
    return 0
