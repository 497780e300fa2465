# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbook `map`: what is wrong, who has what, and how one finds it."""

from __future__ import annotations

import re
import typing as t

import map_facts
import pytest
from browser import Opened

Open = t.Callable[..., Opened]
VIEWS = ("problems", "hosts", "roots", "sharing", "drift")


def cards(shown: Opened) -> list[str]:
    return [" ".join(text.split()) for text in shown.page.locator(".card").all_inner_texts()]


def card(shown: Opened, title: str) -> str:
    (found,) = [text for text in cards(shown) if title in text]
    return found


def rows(shown: Opened, caption: str) -> list[list[str]]:
    table = shown.page.locator(
        "table", has=shown.page.locator("caption", has_text=re.compile(f"^{caption}"))
    )
    return [
        [" ".join(cell.split()) for cell in row.locator("td").all_inner_texts()]
        for row in table.locator("tbody tr").all()
    ]


def names(shown: Opened, what: str = "namespace") -> list[str]:
    """Of the hosts or namespaces that are listed, in this order."""
    found: list[str] = shown.page.locator(f".{what} > summary > .name").evaluate_all(
        "found => found.map((each) => each.firstChild.textContent)"
    )
    return found


def test_problems_come_first_the_worst_at_the_top(show: Open) -> None:
    shown = show()
    ranks = [re.match(r"\W*(\w+)", text) for text in cards(shown)]
    found = [rank[1] for rank in ranks if rank]
    assert found == ["error"] * 4 + ["warning"] * 3
    counts = "7 problems 3 hosts, 1 not seen 9 namespaces unreachable 1 ◐ partial 1 ● up 8"
    assert " ".join(shown.text("#counts").split()) == counts


@pytest.mark.parametrize(
    ("title", "reason", "remedy", "where"),
    [
        ("postgres of db has failed", "exited with 1", "nsctl logs db postgres", "db@host1"),
        (
            "backup is partial",
            "/srv/backup on /backup is missing",
            "nsctl up backup",
            "backup@host1",
        ),
        (
            "Host cannot be reached",
            "No route to host",
            "ansible host3 -m ansible.builtin.ping",
            "host3",
        ),
        ("shop differs", "mount /srv/shop/data on /data", "nsctl up shop", "shop@host1"),
        (
            "shop of shop keeps ending",
            "started again 7 times",
            "nsctl logs shop shop",
            "shop@host1",
        ),
        ("Old root of archive /srv/nginx.tar", "(old)", "Run the play", "web@host1"),
        ("Host lacks: /run", "needed for pins", "Remount it", "host1"),
    ],
)
def test_a_problem_says_why_what_to_do_and_where(
    show: Open, title: str, reason: str, remedy: str, where: str
) -> None:
    found = card(show(), title)
    assert reason in found
    assert remedy in found
    assert where in found


def test_which_host_has_an_old_root(show: Open) -> None:
    shown = show("#view=roots")
    table = rows(shown, "Digests of this source")
    assert table[:2] == [
        ["current", map_facts.NEW, "1 namespace web@host2 (3)"],
        ["old", map_facts.OLD, "1 namespace web@host1 (2)"],
    ]
    assert "same everywhere" in card(shown, "archive /srv/shop.tar")


def test_who_shares_a_network_with_the_shop(show: Open) -> None:
    shown = show("#view=sharing&q=shop%20host2")
    assert rows(shown, "Namespaces that several names share") == [
        ["front", "net (network)", "shop, web", "front@host2"]
    ]
    one = show("#shop@host2")
    assert "net: that of front, with web" in one.text(".namespace[open]")


def test_where_the_other_end_of_an_interface_is(show: Open) -> None:
    shown = show("#view=sharing")
    assert rows(shown, "Interfaces and their other ends") == [
        ["eth0", "front", "ve-front", "the host", "front@host1 front@host2"],
        ["to-db", "front", "eth0", "db", "front@host1 front@host2"],
    ]


def test_what_changed_by_hand(show: Open) -> None:
    shown = show("#view=drift")
    (found,) = cards(shown)
    assert rows(shown, "Mounts") == [
        ["missing", "/data", "-", "/srv/shop/data bind,nosuid", "mount /srv/shop/data on /data"],
        ["surplus", "/mnt", "tmpfs tmpfs rw,nosuid,relatime", "-", ""],
    ]
    assert rows(shown, "Files and services") == [["differs", "file", "/etc/shop.conf", ""]]
    assert "nsctl up shop would: mount /srv/shop/data on /data" in found
    assert "What is surplus stays" in found
    assert names(show("#view=hosts&drift=1")) == ["shop"]


def test_all_that_is_known_of_a_namespace(show: Open) -> None:
    shown = show("#shop@host1")
    assert rows(shown, "Kinds") == [
        ["mnt", "its own", "4026532301", "/run/linux-namespaces/shop/mnt"],
        ["net", "that of front", "4026532210", "/run/linux-namespaces/shop/net@front"],
        ["pid", "its own", "4026532302", "/run/linux-namespaces/shop/pid"],
        ["user uts ipc cgroup time", "that of the host", "", ""],
    ]
    (service,) = rows(shown, "Services")
    assert service[:5] == ["started", "shop", "4242", "7", "exited with 3 at 2026-11-28T09:12:44Z"]
    assert map_facts.digest_of("shop") in shown.text(".namespace[open]")


def test_a_host_that_is_down_is_there_with_the_reason(show: Open) -> None:
    shown = show("#@host3")
    assert "No route to host" in shown.text(".host:has-text('host3')")
    assert names(show("#view=hosts&state=unreachable"), "host") == ["host3"]


def test_hosts_and_namespaces_with_problems_come_first(show: Open) -> None:
    shown = show("#view=hosts")
    assert names(shown, "host") == ["host1", "host3", "host2"]
    assert names(shown) == ["backup", "db", "shop", "web", "front", "db", "front", "shop", "web"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("nginx host2", ["web"]),
        ("WEB@host1", ["web"]),
        (map_facts.OLD[:20], ["web"]),
        ("/srv/shop/data host2", ["shop"]),
        ("10.1.0.2/24", []),
        ("10.1.0.2/30 host2", ["db"]),
        ("4026532301", ["shop", "shop"]),
        ("nothing like that", []),
    ],
)
def test_searching(show: Open, query: str, found: list[str]) -> None:
    shown = show("#view=hosts")
    shown.page.fill("#search", query)
    assert names(shown) == found
    number = shown.text("#status").split()[0]
    assert number == str(len(found))


def test_filters_are_in_the_address_and_an_address_sets_them(show: Open) -> None:
    shown = show("#view=hosts")
    shown.page.fill("#search", "b & c=%")
    shown.page.select_option("#state", "up")
    shown.page.check("#problems")
    shown.page.check("#drift")
    fragment = "#view=hosts&q=b%20%26%20c%3D%25&state=up&problems=1&drift=1"
    assert shown.page.evaluate("location.hash") == fragment
    again = show(fragment)
    assert again.page.input_value("#search") == "b & c=%"
    assert again.page.input_value("#state") == "up"
    assert again.page.is_checked("#problems")
    assert again.page.is_checked("#drift")
    again.page.click("text=Show all")
    assert again.page.input_value("#search") == ""
    assert len(names(again)) == 9


@pytest.mark.parametrize("fragment", ["#web@host1", "#web%40host1", "#w%65b@host1&q=nothing"])
def test_a_link_to_one_namespace_opens_it(show: Open, fragment: str) -> None:
    shown = show(fragment)
    assert names(shown)[0:1]
    assert shown.page.locator(".namespace[open]").get_attribute("data-address") == "web@host1"
    assert shown.page.evaluate("document.activeElement.innerText").split()[2] == "web"
    assert shown.page.title() == "web · Hosts · Namespaces"


def test_a_link_to_what_is_not_there_says_so(show: Open) -> None:
    assert "gone@host%zz is not on this page" in show("#gone@host%zz").text("#status")


def test_going_back(show: Open) -> None:
    shown = show()
    shown.page.click("main >> text=web@host1")
    assert shown.page.locator(".namespace[open]").count() == 1
    shown.page.go_back()
    assert len(cards(shown)) == 7


def test_what_was_opened_stays_open_when_the_filters_change(show: Open) -> None:
    shown = show("#view=hosts")
    shown.page.click(".namespace[data-address='web@host2'] > summary")
    shown.page.click(".host[data-address='@host1'] > summary")
    shown.page.fill("#search", "web")
    assert shown.page.locator("details[open]").evaluate_all(
        "found => found.map((each) => each.dataset.address)"
    ) == ["@host2", "web@host2"]
