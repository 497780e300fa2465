# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbook `map` of what hosts say that mean harm: it stays text, and is there."""

from __future__ import annotations

import json
import pathlib
import shlex
import typing as t

import browser
import map_hostile
import map_pages
import pytest
from browser import Opened
from map_facts import Results
from playwright.sync_api import Browser

VIEWS = ("problems", "hosts", "roots", "sharing", "drift")
PLAIN = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "a",
    "header",
    "h1",
    "p",
    "ul",
    "div",
    "nav",
    "form",
}
PLAIN |= {"label", "input", "select", "main", "noscript", "script"}
# What the page makes of what it has: none of it can run, load or lead elsewhere.
FOREIGN = """() => [...document.querySelectorAll("*")].filter((each) =>
  each.matches("img, iframe, svg, object, embed, base, link")
  || [...each.attributes].some(({name}) => name.startsWith("on"))
  || (each.href !== undefined && !each.getAttribute("href").startsWith("#"))
).map((each) => each.outerHTML)"""
# The address of what has the focus once this link was followed.
FOLLOWED = """(link) => new Promise((done) => {
  addEventListener("hashchange", () => setTimeout(() => done(document.activeElement.parentElement.dataset.address)));
  location.hash = link;
})"""
UNSEEN = r"/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u2028-\u202e\ufeff]/.test(document.body.innerText)"


@pytest.fixture(
    scope="module", params=[map_hostile.texts, map_hostile.types], ids=["texts", "types"]
)
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pathlib.Path, Results]:
    results: Results = request.param()
    return map_pages.render(tmp_path_factory.mktemp("hostile"), results), results


def unfolded(shown: Opened) -> None:
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")


def test_the_text_of_the_page_has_no_other_elements(page: tuple[pathlib.Path, Results]) -> None:
    path, _results = page
    tags = map_pages.tags_of(path)
    assert set(tags) <= PLAIN
    assert tags.count("script") == 2
    assert path.read_text().isascii() or "\u2028" not in path.read_text()


def test_the_data_is_what_the_hosts_said(page: tuple[pathlib.Path, Results]) -> None:
    path, results = page
    data = map_pages.data_of(path)
    assert data["form"] == 1
    assert [host["name"] for host in data["hosts"]] == list(results)
    for host, result in zip(data["hosts"], results.values()):
        if host["state"] == "ok":
            assert host["facts"]["named"] == json.loads(json.dumps(result["named"]))
        else:
            assert host["reason"] == result["msg"]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_of_it_runs(
    chromium: Browser, page: tuple[pathlib.Path, Results], view: str
) -> None:
    with browser.opened(chromium, page[0], f"#view={view}", width=360) as shown:
        unfolded(shown)
        assert shown.page.evaluate(FOREIGN) == []
        assert shown.page.evaluate("window.hacked") is None
        assert not shown.page.evaluate(UNSEEN)
        assert shown.page.evaluate("document.documentElement.scrollWidth") == 360
        for text in ("__proto__", "<", "constructor {{ 7*7"):
            shown.page.fill("#search", text)
        shown.checked()


def test_each_has_its_link(chromium: Browser, page: tuple[pathlib.Path, Results]) -> None:
    with browser.opened(chromium, page[0], "#view=hosts") as shown:
        unfolded(shown)
        links = shown.page.locator(".namespace dd a").evaluate_all(
            "all => all.map(each => each.hash)"
        )
        assert len(links) > 20
        for link in dict.fromkeys([*links[:20], *links[-20:]]):
            assert shown.page.evaluate(FOLLOWED, link) == link[1:]
        shown.checked()


def test_commands_are_quoted_for_the_shell(
    chromium: Browser, page: tuple[pathlib.Path, Results]
) -> None:
    with browser.opened(chromium, page[0]) as shown:
        commands = shown.page.locator("code.command").all_inner_texts()
        assert any("nsctl up" in each for each in commands)
        for each in commands:
            program, *words = shlex.split(each)
            assert (program, len(words)) in {
                ("nsctl", 2),
                ("nsctl", 3),
                ("ansible", 3),
                ("ansible", 4),
            }


@pytest.mark.parametrize("nonce", ["", " nonce=1"])
def test_the_policy_forbids_other_scripts(
    chromium: Browser, three: pathlib.Path, nonce: str, tmp_path: pathlib.Path
) -> None:
    text = three.read_text().replace(
        "</main>", f"<script{nonce}>window.hacked=1</script><img src=x.png></main>"
    )
    path = tmp_path / "injected.html"
    path.write_text(text)
    with browser.opened(chromium, path) as shown:
        shown.page.evaluate(
            """() => {
              const made = document.createElement("script");
              made.textContent = "window.hacked = 1";
              document.body.append(made);
            }"""
        )
        assert shown.page.evaluate("window.hacked") is None
        refused = [text for text in shown.said if "Content Security Policy" in text]
        assert len(refused) == 3
        assert all(url.startswith("file://") for url in shown.requests)


def test_each_page_has_another_nonce(three: pathlib.Path, tmp_path: pathlib.Path) -> None:
    again = map_pages.render(tmp_path, {})
    nonces: list[t.Any] = [path.read_text().partition("'nonce-")[2][:20] for path in (three, again)]
    assert nonces[0] != nonces[1]
