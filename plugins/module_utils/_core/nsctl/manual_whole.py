# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What `nsctl VERB --help` prints of the verbs that act on whole definitions: see manual.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

APPLY = """\
NAME
    nsctl apply - make named namespaces what a file says

SYNOPSIS
    nsctl apply [--check] [--recreate] [--force] [--json] FILE

DESCRIPTION
    Reads FILE, or standard input for -, and brings the namespaces that it lists
    to what it says of them: their kinds and settings, their root, mounts, files
    and services. What is there beside that inside of them goes. It is what the
    module ns_definition does, whose options the file has in JSON:

        {"namespaces": [{"name": "shop", "kinds": ["mnt", "net"]}]}

    `nsctl export` prints such a file. With "exclusive": true beside the list
    all named namespaces that are not in it are removed.

    All of it is read before anything is changed: what is wrong is said with the
    place where it stands. A namespace that fails leaves the others done, and
    one that is new is whole or not there. For each a line says what was done.

OPTIONS
    --check    Only say what would be done.
    --recreate
               Remove a namespace first that cannot be changed into what is
               wanted, with its services, and make it anew.
    --force    End the processes that are in the way of a removal.
    --json     Print a list of dictionaries: name, actions, before, after,
               warnings, failure.

EXIT STATUS
    0 when all are as wanted, 1 when one failed or the file makes no sense, 2
    for wrong usage.

EXAMPLES
    nsctl export shop > shop.json
    nsctl apply --check shop.json
    ssh host2 nsctl apply - < shop.json
"""

DIFF = """\
NAME
    nsctl diff - what named namespaces are beside what a file says

SYNOPSIS
    nsctl diff [--recreate] [--force] [--json] FILE

DESCRIPTION
    Changes nothing. For each namespace that `nsctl apply FILE` would change it
    prints the name and lines that begin with - for what is there, and with +
    for what would be. Where nothing would change it prints nothing. FILE is -
    for standard input.

OPTIONS
    --recreate
               Also what would be made anew, which is an error without it.
    --force    As if the processes that are in the way of that were ended.
    --json     Print a list of dictionaries, as of nsctl apply.

EXIT STATUS
    0 whatever differs, 1 when one cannot be what is wanted or the file makes no
    sense, 2 for wrong usage.
"""

ROLLBACK = """\
NAME
    nsctl rollback - the root that a named namespace had before

SYNOPSIS
    nsctl rollback [--check] [--json] NAME...

DESCRIPTION
    Goes back to the generation before the one that serves: its root with what
    was written to it, its mounts, its services and their files, as they were
    when another root took their place. It is built beside the one that serves,
    which ends only then. What serves now is kept, so that a second rollback
    leads back to it.

    One generation is kept unless keep_generations says otherwise, and none
    with upper: keep. A play with the newer root brings that again.

    Where a service does not become ready what served before serves again, and
    `nsctl list` says why.

OPTIONS
    --check    Only say what would be done.
    --json     Print a list of dictionaries, as of nsctl apply.

EXIT STATUS
    0 when done, 1 when one failed or has nothing to go back to, 2 for wrong
    usage.
"""

EXPORT = """\
NAME
    nsctl export - named namespaces as a file for nsctl apply

SYNOPSIS
    nsctl export NAME...

DESCRIPTION
    Prints what the namespaces are, however they were made, in the form that
    `nsctl apply`, `nsctl diff` and the module ns_definition take. What has its
    default is left out. To apply it changes nothing on this host, and makes the
    same namespaces on another one that has what they are made of.

    It holds the secrets of their services, as they are.

EXIT STATUS
    0 when printed, 1 where a name is unknown, 2 for wrong usage.
"""

ADOPT = """\
NAME
    nsctl adopt - what is there already as the definition of a named namespace

SYNOPSIS
    nsctl adopt NAME --from FILE [--keep]
    nsctl adopt NAME --pid PID [--keep]
    nsctl adopt NAME --machine MACHINE [--keep]
    nsctl adopt NAME --unit UNIT
    nsctl adopt NAME --fstab FILE

DESCRIPTION
    Prints what somebody else has made as a file for `nsctl apply`, which makes
    its like under NAME. What of it cannot be said so is told on standard error,
    line by line.

OPTIONS
    --from FILE
           A namespace file, as those of `ip netns` in /run/netns.
    --pid PID
           The namespaces that a process has and the host has not.
    --machine MACHINE
           Those of the first process of a machine of systemd-machined.
    --unit UNIT
           A service of systemd: its sandbox, its root and its program.
    --fstab FILE
           The mounts of a file in the form of fstab(5).
    --keep
           Have these very namespaces under NAME, and record them, instead of
           having others made: what lives in them lives on.

EXIT STATUS
    0 when printed, 1 where nothing can be adopted, 2 for wrong usage.

EXAMPLES
    nsctl adopt blue --from /run/netns/blue --keep
    nsctl adopt web --unit nginx.service > web.json
"""

TEXTS = {"apply": APPLY, "diff": DIFF, "export": EXPORT, "rollback": ROLLBACK, "adopt": ADOPT}
