# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a namespace asks for names, and the files that say so."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import dns
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.dns import Dns, Host
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused


def test_what_several_interfaces_say_is_put_together() -> None:
    first = Dns(("10.9.0.1",), ("a.example",), ("ndots:2",), (Host("10.9.0.7", ("db",)),))
    second = Dns(("10.9.0.1", "fd00::1"), ("b.example", "a.example"))
    found = dns.files_of([first, second])
    assert found.keys() == {"resolv.conf", "hosts"}
    assert found["resolv.conf"].splitlines() == [
        dns.MARK,
        "nameserver 10.9.0.1",
        "nameserver fd00::1",
        "search a.example b.example",
        "options ndots:2",
    ]
    assert found["hosts"].splitlines()[-1] == "10.9.0.7 db"
    assert "127.0.0.1 localhost" in found["hosts"]
    assert dns.files_of([Dns()]) == dns.files_of([]) == {}
    assert dns.files_of([Dns(hosts=(Host("::1", ("x",)),))]).keys() == {"hosts"}


def test_together_they_name_no_more_than_are_asked() -> None:
    with pytest.raises(Refused, match="4 servers"):
        dns.files_of([Dns(("10.0.0.1", "10.0.0.2")), Dns(("10.0.0.3", "10.0.0.4"))])


def test_in_the_form_of_the_kernel() -> None:
    found = dns.checked(Dns(("FD00:0::1", "fd00::1"), hosts=(Host("FD00::7", ("db",)),)))
    assert found.servers == ("fd00::1",)
    assert found.hosts[0].address == "fd00::7"


@pytest.mark.parametrize(
    "wrong",
    [
        Dns(("localhost",)),
        Dns(("10.0.0.1 ",)),
        Dns(search=("-a",)),
        Dns(search=("a..b",)),
        Dns(search=("a" * 254,)),
        Dns(options=("Ndots:2",)),
        Dns(options=("ndots:2\nnameserver 6.6.6.6",)),
        Dns(hosts=(Host("10.0.0.1", ("db\n6.6.6.6 bank",)),)),
        Dns(hosts=(Host("10.0.0.1\n", ("db",)),)),
        Dns(hosts=(Host("10.0.0.1"),)),
    ],
)
def test_what_is_more_than_a_word_is_refused(wrong: Dns) -> None:
    with pytest.raises(Refused, match="dns:"):
        dns.checked(wrong)


def test_names_of_domains() -> None:
    for text in ("example", "example.internal.", "_tcp.example", "xn--bcher-kva.example", "."):
        assert dns.checked(Dns(search=(text,))).search == (text,)
