# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbook `map` with 500 hosts of 10 namespaces each: it opens and answers at once."""

from __future__ import annotations

import pathlib
import typing as t

import browser
import map_facts
import map_pages
import pytest
from browser import chromium
from playwright.sync_api import Browser

__all__ = ["chromium"]

# Seconds. The best of some tries counts: the machine may do other things as well.
TRIES = 12
OPEN = 2.0
SEARCH = 0.1
VIEWS = ("problems", "hosts", "roots", "sharing", "drift")
QUERIES = (
    "host4",
    "tenant3",
    "tenant3 host2",
    "sha256:1b",
    "/srv/tenant5/a",
    "nothing like that",
    "",
)
# Since the navigation began, with all that can be seen laid out.
OPENED_AFTER = "(document.documentElement.offsetHeight, performance.now() / 1000)"
ANSWERED_AFTER = """(words) => {
  const search = document.getElementById("search");
  const start = performance.now();
  search.value = words;
  search.dispatchEvent(new Event("input", {bubbles: true}));
  document.documentElement.offsetHeight;
  return (performance.now() - start) / 1000;
}"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return map_pages.render(tmp_path_factory.mktemp("many"), map_facts.many())


def best(measure: t.Callable[[], float], below: float) -> float:
    """The best of some tries; no more than are needed."""
    found = measure()
    for _try in range(TRIES - 1):
        if found < below:
            break
        found = min(found, measure())
    return found


@pytest.mark.parametrize("fragment", ["", "#view=hosts", "#tenant3@host107.example.org"])
def test_it_opens_at_once(chromium: Browser, many: pathlib.Path, fragment: str) -> None:
    def measure() -> float:
        with browser.opened(chromium, many, fragment) as shown:
            shown.checked()
            return t.cast("float", shown.page.evaluate(OPENED_AFTER))

    took = best(measure, OPEN)
    print(f"{fragment or 'problems'}: {took:.2f} s, {many.stat().st_size / 1e6:.1f} MB")
    assert took < OPEN


@pytest.mark.parametrize("view", VIEWS)
def test_a_search_is_answered_at_once(chromium: Browser, many: pathlib.Path, view: str) -> None:
    with browser.opened(chromium, many, f"#view={view}") as shown:

        def measure(words: str) -> t.Callable[[], float]:
            return lambda: t.cast("float", shown.page.evaluate(ANSWERED_AFTER, words))

        took = {words: best(measure(words), SEARCH) for words in QUERIES}
        print(view, {words: f"{1000 * each:.0f} ms" for words, each in took.items()})
        assert max(took.values()) < SEARCH
        shown.checked()
