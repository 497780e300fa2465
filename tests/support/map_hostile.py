# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of ns_info from hosts that mean harm, or that answer in a form nobody expects."""

from __future__ import annotations

import copy
import itertools
import typing as t

import map_facts
from map_facts import Facts, Results

# What would run, and what it would leave.
_RUN = "window.hacked=1"
MARKUP = [
    f"</script><script>{_RUN}</script>",
    f"<!--<script>{_RUN}//",
    f'"><img src=x onerror={_RUN}>',
    f"'><svg onload={_RUN}>",
    f"javascript:{_RUN}",
    f"]]></style><style>@import 'file:///x'</style><iframe src=\"javascript:{_RUN}\">",
    f"`${{{_RUN}}}`",
]
# What Ansible would template.
TEMPLATES = [
    "{{ 7*7 }}",
    "{% raw %}",
    "{# gone #}",
    "{{ lookup('pipe', 'false') }}",
    "!unsafe {{ x }}",
]
NAMES = [
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
    "",
    "-",
    "a@b",
    "%00",
    "%zz",
    "&q=x",
]
# What the eye would not see, or see elsewhere.
UNSEEN = "a\u202eb\u2028c\u2029d\x1b[31me\x00f\u200bg\ufeffh\ud800i\x9bj"
TEXTS = [*MARKUP, *TEMPLATES, *NAMES, UNSEEN, "x" * 3000]
WRONG: list[t.Any] = [
    None,
    7,
    -1.5,
    True,
    "x",
    [],
    {},
    [None],
    [[1]],
    [{"name": {}}],
    {"__proto__": {"a": [1]}},
]


def texts() -> Results:
    """Hosts whose every text is one of TEXTS, each of them with another one there."""
    found: Results = {}
    for number in range(len(TEXTS)):
        source = itertools.cycle(TEXTS[number:] + TEXTS[:number])
        found[f"host{number}"] = t.cast(Facts, _with_texts(map_facts.three()["host1"], source))
    named = [map_facts.namespace(text, {"mnt": at}) for at, text in enumerate(TEXTS, start=1)]
    found["names"] = map_facts.host([_with_state(each, "partial") for each in named])
    for text in TEXTS:
        found[f"failed {text}"] = {"failed": True, "msg": text}
    return found


def _with_state(namespace: Facts, state: str) -> Facts:
    return {**namespace, "state": state}


def _with_texts(value: t.Any, source: t.Iterator[str]) -> t.Any:
    """The same with other texts; a namespace stays up, so that what it is made of is looked at."""
    if isinstance(value, dict):
        return {
            key: each if key == "state" and each == "up" else _with_texts(each, source)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_with_texts(each, source) for each in value]
    return next(source) if isinstance(value, str) else value


def types() -> Results:
    """Hosts that each have a wrong type in one place."""
    found: Results = {}
    whole = map_facts.three()["host1"]
    for at, path in enumerate(_paths(whole)):
        for number, wrong in enumerate(WRONG):
            if (at + number) % 7 == 0:  # each place and each type, but not all pairs: they are many
                found[f"wrong{at}.{number}"] = _replaced(whole, path, wrong)
    return found


def _paths(value: t.Any, path: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    """Every place below, of a list only those in its first element."""
    if path:
        yield path
    items: t.Iterable[tuple[t.Any, t.Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:1])
    for key, each in items:
        yield from _paths(each, (*path, key))


def _replaced(value: Facts, path: tuple[t.Any, ...], wrong: t.Any) -> Facts:
    made = copy.deepcopy(value)
    place: t.Any = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    return made
