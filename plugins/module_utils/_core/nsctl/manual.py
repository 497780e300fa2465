# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What `nsctl --help` and `nsctl VERB --help` print, made of what each verb says of itself.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import textwrap
import typing as t

from . import VERBS, WRONG_USAGE, complain, known, say
from .arguments import Option, Verb

DOES = "named namespaces of this host"
DESCRIPTION = """\
A named namespace is one or more kernel namespaces, of different kinds,
under one name. The modules of the Ansible collection linux.namespaces make
and change them; nsctl shows them, enters them, and brings them up again
after a reboot, by the same code. It also makes and changes them by a file.

All verbs take root, but for check. On a terminal lines are as wide as that,
or as COLUMNS says, and states have colours, unless NO_COLOR is set.
"""
EXITS = (
    ("0", "Done."),
    ("1", "Not done, or for one name of several not; standard error says why."),
    ("2", "The command line makes no sense."),
    ("125", "exec, enter and service: the program was not started."),
    ("126", "exec, enter and service: the program may not be executed."),
    ("127", "exec, enter and service: there is no such program inside."),
    ("250", "service: its namespace is not there, or closed."),
)
AFTER_EXITS = "Any other exit status of these three is the program's own."
FILES = (
    (
        "/etc/linux-namespaces/NAME.json",
        "The definition: what is there again after a reboot, in order.",
    ),
    (
        "/etc/linux-namespaces/services/NAME:SERVICE.json",
        (
            "What a service is that systemd keeps running. It holds the secrets\n"
            "of the program, and only root can read it."
        ),
    ),
    (
        "/etc/linux-namespaces/generations/NAME.json",
        "What nsctl rollback goes back to. It holds secrets of services.",
    ),
    (
        "/run/linux-namespaces/NAME/KIND",
        "The pin: a namespace file, for nsenter(1) and setns(2) as well.",
    ),
    (
        "/run/linux-namespaces/NAME/KIND@OTHER",
        "The same of a kind that NAME shares with OTHER, whose it is.",
    ),
    (
        "/run/linux-namespaces/NAME/state.json",
        "What is true until the reboot.",
    ),
    (
        "/run/linux-namespaces/NAME/services/SERVICE.ended",
        "Why the program of a service ended last.",
    ),
    (
        "/var/log/linux-namespaces/NAME/SERVICE.log, .log.1 to .log.4",
        "What a service without systemd has written, up to 10 MiB each.",
    ),
    (
        "/run/linux-namespaces/NAME/failed",
        "Why the last `nsctl up` failed.",
    ),
    (
        "/etc/systemd/system/linux-namespaces@.service",
        (
            "Runs `nsctl up NAME` at boot, and `nsctl down NAME` when it is\n"
            "stopped: linux-namespaces@NAME.service. Services of a named\n"
            "namespace require that, and start with it."
        ),
    ),
    (
        "/etc/systemd/system/linux-namespaces@NAME.service.d/definition.conf",
        "The mounts, devices and network that it waits for.",
    ),
    (
        "/etc/linux-namespaces/host/links.json",
        "The interfaces of the host that ns_link has made.",
    ),
    (
        "/etc/systemd/system/linux-namespaces.target",
        "All of them: `systemctl start linux-namespaces.target`.",
    ),
)
NOTES = """\
What the caller has for mounts does not count: in a unit with PrivateTmp=,
or in a shell of unshare --mount, the host's are joined first. What is
entered keeps the caller's cgroup; the holder of a pid namespace, and what
services without systemd run, have their own.
"""
# What is listed: how wide its head is where the text stands beside that, and the text below.
_HEAD = 10
_BELOW = " " * 15
_WIDTH = 80
# In a paragraph that is set in columns.
_COLUMNS = re.compile(r"^ |\S  +\S", re.MULTILINE)
SEE_ALSO = "namespaces(7), nsenter(1), lsns(8), ip-netns(8)"


def verbs() -> list[Verb]:
    """All there are."""
    return [found[0] for found in map(known, VERBS) if found is not None]


def usages(verb: Verb) -> list[str]:
    """What stands behind `nsctl` in the synopsis of a verb."""
    if verb.usage:
        return [f"{verb.name} {usage}" for usage in verb.usage]
    words = [
        f"[--{option.word} {option.takes}".rstrip() + "]"
        for option in verb.options
        if f"--{option.word}" not in verb.operands.split()
    ]
    return [" ".join([verb.name, *words, verb.operands]).rstrip()]


def heads(options: t.Iterable[Option]) -> t.Iterator[tuple[str, str]]:
    """Options as they are listed, those that share a text in one head; and their texts."""
    together: list[str] = []
    for option in options:
        together.append(f"--{option.word} {option.takes}".rstrip())
        if option.text:
            yield ", ".join(together), option.text
            together = []


def show(name: str) -> int:
    """Print the manual of the verb, or of the whole for none; return the exit code."""
    if name.startswith("-") or name == "help":
        name = ""
    found = known(name)
    if name and found is None:
        return complain("", f"no verb {name!r}", WRONG_USAGE)
    say(*(_whole() if found is None else _of(found[0])))
    return 0


def _of(verb: Verb) -> list[str]:
    options: list[str] = []
    for head, text in heads(verb.options):
        options += _listed(head, text)
    return [
        *_section("NAME", f"nsctl {verb.name} - {verb.does}"),
        *_lines_of("SYNOPSIS", (f"nsctl {usage}" for usage in usages(verb))),
        *_section("DESCRIPTION", verb.text),
        *(["OPTIONS", *options, ""] if options else ()),
        *(_section("JSON", verb.form) if verb.form else ()),
        *_section("EXIT STATUS", verb.exits),
        *(_lines_of("EXAMPLES", verb.examples) if verb.examples else ()),
    ][:-1]


def _whole() -> list[str]:
    lines = [*_section("NAME", f"nsctl - {DOES}"), "SYNOPSIS"]
    for verb in verbs():
        lines += [f"    nsctl {usage}" for usage in usages(verb)]
    lines += ["    nsctl VERB --help", "", *_section("DESCRIPTION", DESCRIPTION), "EXIT STATUS"]
    lines += [f"    {code:<6} {text}" for code, text in EXITS]
    lines += [f"    {AFTER_EXITS}", "", "FILES"]
    for path, text in FILES:
        lines += _listed(path, text)
    return [*lines, "", *_section("NOTES", NOTES), *_section("SEE ALSO", SEE_ALSO)][:-1]


def paragraphs(text: str) -> t.Iterator[tuple[str, bool]]:
    """The paragraphs of a text, and whether each is set in columns, as lines of its own."""
    for paragraph in text.strip("\n").split("\n\n"):
        yield paragraph, bool(_COLUMNS.search(paragraph))


def _section(title: str, text: str) -> list[str]:
    lines: list[str] = []
    for paragraph, is_set in paragraphs(text):
        lines += paragraph.split("\n") if is_set else _filled(paragraph, _WIDTH - 4)
        lines.append("")
    return [title, *(f"    {line}".rstrip() for line in lines)]


def _lines_of(title: str, lines: t.Iterable[str]) -> list[str]:
    return [title, *(f"    {line}" for line in lines), ""]


def _filled(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _listed(head: str, text: str) -> list[str]:
    lines = _filled(text, _WIDTH - len(_BELOW))
    if len(head) <= _HEAD:
        return [f"    {head:<{_HEAD}} {lines[0]}", *(f"{_BELOW}{line}" for line in lines[1:])]
    return [f"    {head}", *(f"{_BELOW}{line}" for line in lines)]
