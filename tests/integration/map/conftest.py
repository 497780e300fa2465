# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser, and the page of three hosts in it."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import browser
import map_facts
import map_pages
import pytest
from browser import Opened, chromium
from playwright.sync_api import Browser

__all__ = ["chromium"]

Open = t.Callable[..., Opened]


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The page of map_facts.three()."""
    return map_pages.render(tmp_path_factory.mktemp("three"), map_facts.three())


@pytest.fixture
def show(chromium: Browser, three: pathlib.Path) -> t.Iterator[Open]:
    """Open the page with a fragment. In the end it has said nothing and asked for nothing."""
    with contextlib.ExitStack() as stack:
        shown: list[Opened] = []

        def open_page(fragment: str = "", **options: t.Any) -> Opened:
            shown.append(stack.enter_context(browser.opened(chromium, three, fragment, **options)))
            return shown[-1]

        yield open_page
        for each in shown:
            each.checked()
