# SPDX-License-Identifier: GPL-3.0-or-later
"""An option of ns_definition is documented in the words of the module that it is of."""

from __future__ import annotations

import importlib
import re
import typing as t

import pytest
import yaml

from ansible_collections.linux.namespaces.plugins.module_utils._core.options import definition

PLUGINS = "ansible_collections.linux.namespaces.plugins"
Options = dict[str, t.Any]
# Where in the fragment the options of a module are.
MODULES = {
    "ns_namespace": (),
    "ns_link": ("links",),
    "ns_rootfs": ("rootfs",),
    "ns_mount": ("mounts",),
    "ns_service": ("services",),
}
# What the module says by an option that is none here, and by what it returns.
OTHER_WORDS = {"services.kinds", "services.image_config"}
# What single tasks may be without, or have more of.
OTHER_VALUES = {
    "mounts.path": ["required"],
    "links.name": ["required"],
    "links.kind": ["required"],
    "services.state": ["choices"],
}


def documented(text: str) -> Options:
    found: Options = yaml.safe_load(text).get("options", {})
    return found


def fragment_of(name: str) -> Options:
    module = importlib.import_module(f"{PLUGINS}.doc_fragments.{name}")
    return documented(module.ModuleDocFragment.DOCUMENTATION)


def options_of(module: str) -> Options:
    return documented(importlib.import_module(f"{PLUGINS}.modules.{module}").DOCUMENTATION)


NAMESPACE: Options = fragment_of("_definition")["namespaces"]["suboptions"]


def pairs(
    ours: Options, theirs: Options, place: str, path: str
) -> t.Iterator[tuple[str, str, Options, Options]]:
    """Each option that both have: where it is here and there, and what is said of it in both."""
    for name, option in ours.items():
        if name in theirs:
            here, there = f"{place}.{name}".strip("."), f"{path}.{name}".strip(".")
            yield here, there, option, theirs[name]
            below = option.get("suboptions", {}), theirs[name].get("suboptions", {})
            is_list = option.get("elements") == "dict"
            yield from pairs(*below, here, f"{there}[]" if is_list else there)


def all_pairs() -> list[t.Any]:
    found = []
    for module, place in MODULES.items():
        ours = NAMESPACE[place[0]]["suboptions"] if place else NAMESPACE
        theirs = options_of(module)
        if module == "ns_service":
            del theirs["namespace"]
        if module == "ns_namespace":
            del theirs["links"]["suboptions"]
        for here, there, *both in pairs(ours, theirs, ".".join(place), ""):
            found.append(pytest.param(module, here, there, *both, id=here))
    return found


def first_sentence(option: Options) -> str:
    text = option["description"]
    text = text if isinstance(text, str) else text[0]
    # An option is named by its place in the list here, and by its own name there.
    text = re.sub(
        r"O\((?:namespaces\[\]\.)?(?:rootfs\.|mounts\[\]\.|services\[\]\.|links\[\]\.)?", "O(", text
    )
    return re.split(r"(?<=\.)\s", " ".join(text.split()))[0]


@pytest.mark.parametrize(("module", "here", "there", "ours", "theirs"), all_pairs())
def test_it_has_the_words_of_its_module(
    module: str, here: str, there: str, ours: Options, theirs: Options
) -> None:
    for word in ("type", "elements", "required", "choices", "default"):
        if word not in OTHER_VALUES.get(here, ()):
            assert ours.get(word) == theirs.get(word), word
    if here not in OTHER_WORDS:
        assert first_sentence(ours) == first_sentence(theirs)
    assert f"See O(linux.namespaces.{module}#module:{there})." in ours["description"]


def test_a_step_says_where_to_look() -> None:
    for name, option in NAMESPACE["steps"]["suboptions"].items():
        for place in re.findall(r"#module:(\w+)", str(option["description"])):
            assert place == name


def names(options: Options, word: str) -> dict[str, t.Any]:
    return {
        name: names(option[word], word) if option.get(word) else {}
        for name, option in options.items()
    }


def test_all_options_are_documented() -> None:
    assert names(NAMESPACE, "suboptions") == names(definition.NAMESPACE, "options")
