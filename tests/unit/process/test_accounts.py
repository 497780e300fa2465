# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and groups by name and by number: nothing that is no number becomes one."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import accounts
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.accounts import (
    Identity,
)

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/:/usr/sbin/nologin
web:x:33:34:Web:/srv:/bin/false
3proxy:x:13:13::/:/bin/false
toor:x:0:5::/:/bin/sh
huge:x:4294967295:0::/:/bin/sh
minus:x:-1:0::/:/bin/sh
short:x:7
# comment:x:9:9:::
"""
GROUP = """\
root:x:0:
daemon:x:1:
web:x:34:
adm:x:4:daemon,web
logs:x:40:web
wheel:x:10:root
broken:x:zero:web
"""
FILES = accounts.Files(PASSWD, GROUP)


@pytest.mark.parametrize(
    ("user", "group", "groups", "wanted"),
    [
        # CVE-2026-30892: "1" became the uid 0.
        ("1", None, None, Identity(1, 1, (1, 4), groups_implied=True)),
        ("1:1", None, None, Identity(1, 1, (1, 4), groups_implied=True)),
        ("daemon", None, None, Identity(1, 1, (1, 4), groups_implied=True)),
        ("0", None, None, Identity(0, 0, (0, 10), groups_implied=True)),
        ("web", None, None, Identity(33, 34, (4, 34, 40), groups_implied=True)),
        ("33", None, None, Identity(33, 34, (4, 34, 40), groups_implied=True)),
        ("web:adm", None, None, Identity(33, 4, (4, 40), groups_implied=True)),
        ("web", "40", None, Identity(33, 40, (4, 40), groups_implied=True)),
        ("web", None, (), Identity(33, 34, ())),
        ("web", None, ("adm", "7", "adm"), Identity(33, 34, (4, 7))),
        ("3proxy", None, None, Identity(13, 13, (13,), groups_implied=True)),
        ("1234", None, None, Identity(1234, 1234, (1234,), groups_implied=True)),
        ("4294967294", "0", (), Identity(4294967294, 0, ())),
        (None, "web", None, Identity(None, 34, (34,), groups_implied=True)),
        (None, None, ("web",), Identity(None, None, (34,))),
    ],
)
def test_what_a_user_means(
    user: str | None, group: str | None, groups: tuple[str, ...] | None, wanted: Identity
) -> None:
    accounts.checked(user, group, groups)
    assert accounts.resolve(user, group, groups, FILES) == wanted


NO_USER = [
    "",
    " ",
    " 1",
    "1 ",
    "+1",
    "-1",
    "01",
    "²",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "4294967295",
    "4294967296",
    "99999999999999999999",
    "9" * 5_000,  # of which Python makes no number
    ":",
    ":1",
    "1:",
    "web:",
    "1:-1",
    "1:2:3",
    "a/b",
    "a b",
    "a\n",
    "~root",
    "a,b",
]


@pytest.mark.parametrize("user", NO_USER)
def test_what_can_name_no_user_is_refused_before_any_lookup(user: str) -> None:
    with pytest.raises(Refused):
        accounts.checked(user, None, None)


@pytest.mark.parametrize("group", [word for word in NO_USER if ":" not in word])
def test_what_can_name_no_group_is_refused(group: str) -> None:
    with pytest.raises(Refused):
        accounts.checked("web", group, None)
    with pytest.raises(Refused):
        accounts.checked(None, None, [group])


def test_a_group_that_is_named_twice_is_refused() -> None:
    with pytest.raises(Refused, match="names a group already"):
        accounts.checked("web:adm", "adm", None)


@pytest.mark.parametrize(
    "user",
    ["nobody-here", "huge", "minus", "short", "comment", "1x", "0x1", "1.0", "1e3"],
)
def test_an_unknown_or_damaged_user_is_refused_with_the_place_where_it_was_sought(
    user: str,
) -> None:
    with pytest.raises(Refused) as refused:
        accounts.resolve(user, None, None, FILES)
    assert repr(user) in refused.value.reason
    assert "/etc/passwd" in refused.value.reason


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(Refused, match="there is no group 'broken'"):
        accounts.resolve(None, "broken", None, FILES)
    with pytest.raises(Refused, match="there is no group 'nope'"):
        accounts.resolve("web", None, ["nope"], FILES)


def test_the_first_of_several_users_with_one_uid_is_taken() -> None:
    account = FILES.user_by_id(0)
    assert account is not None
    assert account.name == "root"


def test_an_id_of_thousands_of_digits_is_none() -> None:
    files = accounts.Files(
        f"long:x:{'9' * 5_000}:0::/:\n{PASSWD}", f"long:x:{'9' * 5_000}:\n{GROUP}"
    )
    assert files.user("long") is None
    assert files.group("long") is None
    assert files.user("web") is not None


def test_the_host_knows_its_root() -> None:
    host = accounts.Host()
    assert accounts.resolve("root", None, (), host) == Identity(0, 0, ())
    assert host.user("no-such-user-here") is None
    assert host.user_by_id(4294967294) is None
    assert host.group("no-such-group-here") is None
