# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the site that are made here: its first one, and that of nsctl. pages.py DIRECTORY"""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t

import yaml
from _core.nsctl import manual
from _core.nsctl.arguments import Verb

HERE = pathlib.Path(__file__).parent
# What antsibull-docs makes, by the end of the names of its pages.
MADE = (
    ("Modules", "module"),
    ("Roles", "role"),
    ("Connections", "connection"),
    ("Inventory", "inventory"),
)

_MARKUP = re.compile(r"[\\*_|]")


def main(directory: pathlib.Path) -> None:
    """Write them beside those that antsibull-docs has made."""
    (directory / "index.rst").write_text("\n".join(_first(directory)))
    (directory / "nsctl.rst").write_text("\n".join(_nsctl()))


def _first(directory: pathlib.Path) -> t.Iterator[str]:
    yield (HERE / "index.rst").read_text()
    extra = yaml.safe_load((HERE.parent / "docsite/extra-docs.yml").read_text())
    for section in extra["sections"]:
        pages = [f"docsite/{name}" for name in section["toctree"]]
        yield from _listed(section["title"], pages)
    for title, kind in MADE:
        # Their titles have the name of the collection, which is that of the site.
        names = sorted(path.stem for path in directory.glob(f"*_{kind}.rst"))
        yield from _listed(title, [f"{name[: -len(kind) - 1]} <{name}>" for name in names])
    yield from _listed("On the host", ["nsctl"])
    yield from _listed("Of all", ["environment_variables"])


def _listed(title: str, pages: t.Iterable[str]) -> list[str]:
    listed = [f"   {page}" for page in pages]
    return [".. toctree::", f"   :caption: {title}", "   :maxdepth: 1", "", *listed, ""]


def _nsctl() -> t.Iterator[str]:
    yield from _titled("nsctl", "=")
    yield from (f"{manual.DOES[0].upper()}{manual.DOES[1:]}.", "")
    yield from _text(manual.DESCRIPTION)
    for verb in manual.verbs():
        yield from _verb(verb)
    yield from _titled("Exit status", "-")
    yield from _defined(manual.EXITS)
    yield from (*_text(manual.AFTER_EXITS), *_titled("Files", "-"))
    yield from _defined(manual.FILES)
    yield from (*_titled("Notes", "-"), *_text(manual.NOTES))
    yield from _text(f"See also {manual.SEE_ALSO}.")


def _verb(verb: Verb) -> t.Iterator[str]:
    yield from _titled(f"nsctl {verb.name}", "-")
    yield from (f"{verb.does[0].upper()}{verb.does[1:]}.", "")
    yield from _set([f"nsctl {usage}" for usage in manual.usages(verb)])
    yield from _text(verb.text)
    yield from _defined(manual.heads(verb.options))
    for title, said in (("JSON", verb.form), ("Exit status", verb.exits)):
        if said:
            yield from (f"**{title}**", "", *_text(said))
    if verb.examples:
        yield from ("**Examples**", "", *_set(verb.examples))


def _titled(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def _set(lines: t.Iterable[str]) -> list[str]:
    return [".. code-block:: text", "", *(f"   {line}" for line in lines), ""]


def _text(said: str) -> t.Iterator[str]:
    for paragraph, is_set in manual.paragraphs(said):
        yield from _set(paragraph.split("\n")) if is_set else (_plain(paragraph), "")


def _defined(rows: t.Iterable[tuple[str, str]]) -> t.Iterator[str]:
    for head, said in rows:
        yield from (f"``{head}``", f"   {_plain(' '.join(said.split()))}", "")


def _plain(text: str) -> str:
    """A paragraph in which nothing is markup, but for what stands between backquotes: that is code."""
    parts = text.split("`")
    return "``".join(
        part if number % 2 else _MARKUP.sub(r"\\\g<0>", part) for number, part in enumerate(parts)
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
