# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbook `map` with 500 hosts of 10 namespaces each."""

from __future__ import annotations

import pathlib

import browser
import map_facts
import map_pages
import pytest
from browser import Opened
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return map_pages.render(tmp_path_factory.mktemp("many"), map_facts.many())


def problem(shown: Opened, title: str) -> str:
    return " ".join(shown.page.locator(".card", has_text=title).inner_text().split())


def test_a_problem_of_many_hosts_is_one(chromium: Browser, many: pathlib.Path) -> None:
    with browser.opened(chromium, many) as shown:
        assert "6 problems" in shown.text("#counts")
        found = problem(shown, "tenant7 has failed")
        assert "on 13 hosts" in found
        assert "and 5 more" in found
        shown.page.click("text=and 5 more")
        assert "tenant7@host483.example.org" in problem(shown, "tenant7 has failed")
        assert "on 2 hosts" in problem(shown, "Host cannot be reached")
        assert "python3: not found" in problem(shown, "Host could not be looked at")


def test_all_of_a_long_list_is_there_in_the_end(chromium: Browser, many: pathlib.Path) -> None:
    with browser.opened(chromium, many, "#view=hosts") as shown:
        shown.page.locator(".host").nth(499).wait_for(state="attached")
