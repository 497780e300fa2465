# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbook `map` as it is used: by keyboard, on any screen, in both schemes, on paper."""

from __future__ import annotations

import typing as t

import pytest
from browser import Opened

Open = t.Callable[..., Opened]
VIEWS = ("problems", "hosts", "roots", "sharing", "drift")
FOCUSED = "document.activeElement.id || document.activeElement.innerText"
# The elements with text of their own whose contrast to what is behind them is below 4.5 (WCAG AA).
LOW_CONTRAST = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = numbers(color).map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (numbers(color)[3] !== 0) return color;
    }
  };
  return [...document.body.querySelectorAll("*")].filter((element) => {
    const own = [...element.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!own || !element.checkVisibility() || element.matches("script, noscript")) return false;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05) < 4.5;
  }).map((element) => element.outerHTML);
}"""


def press(shown: Opened, *keys: str) -> None:
    for key in keys:
        shown.page.keyboard.press(key)


def test_by_keyboard_alone(show: Open) -> None:
    shown = show()
    press(shown, "Tab")
    assert shown.page.evaluate(FOCUSED) == "skip"
    press(shown, "Enter", "Tab")
    assert shown.page.evaluate(FOCUSED) == "db@host1"
    press(shown, "Enter")
    opened = shown.page.locator(".namespace[open] > summary")
    assert "db" in opened.inner_text()
    # It has the focus, and closes and opens.
    press(shown, "Enter")
    assert opened.count() == 0
    press(shown, "Space")
    assert opened.count() == 1
    assert shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_searching_by_keyboard(show: Open) -> None:
    shown = show("#view=hosts")
    press(shown, "/", *"shop")
    assert shown.page.evaluate(FOCUSED) == "search"
    assert shown.page.locator(".namespace").count() > 0
    assert shown.page.evaluate("location.hash") == "#view=hosts&q=shop"
    press(shown, "Escape")
    assert shown.page.input_value("#search") == ""
    assert shown.page.evaluate("location.hash") == "#view=hosts"
    # In the search it is a letter.
    press(shown, *"a/b")
    assert shown.page.input_value("#search") == "a/b"


def test_every_view_is_reached_by_keyboard(show: Open) -> None:
    shown = show()
    for view in VIEWS:
        shown.page.locator(f"#views a[data-view={view}]").focus()
        press(shown, "Enter")
        # The address changes, and then the page.
        shown.page.locator(f"#views a[aria-current][data-view={view}]").wait_for()
        assert shown.page.locator("#views a[aria-current]").count() == 1


def test_everything_has_a_name_for_who_hears_it(show: Open) -> None:
    shown = show("#view=hosts")
    tree = shown.page.locator("body").aria_snapshot()
    for part in (
        'heading "Namespaces"',
        'navigation "Views"',
        'searchbox "Search"',
        "status:",
        "main:",
    ):
        assert part in tree
    for control in ('combobox "State"', 'checkbox "with problems"', 'checkbox "with drift"'):
        assert control in tree


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("fragment", [*(f"#view={view}" for view in VIEWS), "#shop@host1"])
def test_contrast(show: Open, scheme: str, fragment: str) -> None:
    shown = show(fragment, scheme=scheme)
    assert shown.page.evaluate(LOW_CONTRAST) == []
    ground = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(13, 17, 23)") == (scheme == "dark")


@pytest.mark.parametrize("width", [360, 900, 1600])
@pytest.mark.parametrize("fragment", [*(f"#view={view}" for view in VIEWS), "#shop@host1"])
def test_nothing_reaches_over_the_edge(show: Open, width: int, fragment: str) -> None:
    shown = show(fragment, width=width)
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")  # opens all there is
    assert shown.page.evaluate("document.documentElement.scrollWidth") == width


def test_on_paper_all_is_open_and_there_are_no_controls(show: Open) -> None:
    shown = show("#view=hosts&q=shop")
    assert "Id" not in shown.text()
    shown.page.emulate_media(media="print")
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.page.locator("details:not([open])").count() == 0
    text = shown.text("body")
    for part in ("shop", "/srv/shop/data bind,nosuid", '"hostname": "shop"', "4026532301"):
        assert part in text
    for control in ("#filters", "#views"):
        assert not shown.page.locator(control).is_visible()
    shown.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.page.locator("details.namespace[open]").count() == 0


def test_printing(show: Open) -> None:
    assert show("#view=hosts").page.pdf(format="A4").startswith(b"%PDF")
