# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The page nsctl(8) of the manual, in the language of man(7), made of what `nsctl --help` prints.

Pure but for what verbs say of themselves. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import manual
from .arguments import Verb


def text() -> str:
    """The whole page, all verbs in it."""
    lines = [
        '.TH NSCTL 8 "" linux.namespaces "System Administration"',
        *[".SH NAME", f"nsctl \\- {_escaped(manual.DOES)}", ".SH SYNOPSIS", ".nf"],
        *(f"nsctl {_escaped(usage)}" for verb in manual.verbs() for usage in manual.usages(verb)),
        *[".fi", ".SH DESCRIPTION", *_paragraphs(manual.DESCRIPTION), ".SH VERBS"],
    ]
    for verb in manual.verbs():
        lines += _of(verb)
    lines += [".SH EXIT STATUS"]
    for code, means in manual.EXITS:
        lines += [".TP", f".B {code}", *_lines(means)]
    lines += [".PP", *_lines(manual.AFTER_EXITS), ".SH FILES"]
    for path, means in manual.FILES:
        lines += [".TP", f".I {_escaped(path)}", *_lines(means)]
    lines += [".SH NOTES", *_paragraphs(manual.NOTES)]
    return "\n".join([*lines, ".SH SEE ALSO", *_lines(manual.SEE_ALSO), ""])


def _of(verb: Verb) -> t.Iterator[str]:
    yield f".SS nsctl {verb.name} \\- {_escaped(verb.does)}"
    yield ".nf"
    yield from (f"nsctl {_escaped(usage)}" for usage in manual.usages(verb))
    yield ".fi"
    yield from _paragraphs(verb.text)
    for head, means in manual.heads(verb.options):
        yield from (".TP", f".B {_escaped(head)}", *_lines(means))
    for title, said in (("JSON", verb.form), ("Exit status", verb.exits)):
        if said:
            yield from (".TP", f".B {title}:")
            yield from [*_paragraphs(said)][1:]  # which begins beside its title
    if verb.examples:
        yield from (".PP", ".EX", *_lines("\n".join(verb.examples)), ".EE")


def _paragraphs(said: str) -> t.Iterator[str]:
    for paragraph, is_set in manual.paragraphs(said):
        if is_set:
            yield from (".PP", ".EX", *_lines(paragraph), ".EE")
        else:
            yield from (".PP", *_lines(paragraph))


def _lines(said: str) -> list[str]:
    return [_escaped(line) for line in said.strip("\n").split("\n")]


def _escaped(line: str) -> str:
    """A line of text, in which nothing is a request or an escape (groff(7)), and a dash is what it looks like."""
    found = (
        line.replace("\\", "\\e").replace("-", "\\-").replace("\x27", "\\(aq").replace("`", "\\(ga")
    )
    return f"\\&{found}" if found.startswith(".") else found
