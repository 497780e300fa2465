# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's chromium, driven by playwright: a page that is opened from a file."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# As root it has no sandbox; what it opens is ours.
_OPTIONS = ["--no-sandbox"]


class Opened:
    """A page, and what it has said and asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.requests.append(request.url))

    def _dismiss(self, dialog: t.Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def text(self, selector: str = "main") -> str:
        return self.page.inner_text(selector)

    def checked(self) -> None:
        """It has said nothing, and asked for nothing but itself."""
        assert not self.said
        assert all(url.startswith("file://") for url in self.requests), self.requests


@pytest.fixture(scope="session")
def chromium() -> t.Iterator[Browser]:
    """It runs, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser,
    path: pathlib.Path,
    fragment: str = "",
    *,
    width: int = 1600,
    scheme: t.Literal["light", "dark"] = "light",
) -> t.Iterator[Opened]:
    """The page of this file in a window of this width, with a fragment such as "#web@host1"."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        found = Opened(context.new_page())
        found.page.goto(f"{path.as_uri()}{fragment}")
        yield found
    finally:
        context.close()
