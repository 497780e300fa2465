# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of services: which make sense, and their JSON form."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    service_socket,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service_socket import (
    Socket,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program

GOOD = [
    Socket("127.0.0.1:1"),
    Socket("0.0.0.0:65535", "datagram", "a name"),
    Socket("[::]:80"),
    Socket("[2001:db8::1]:80", "datagram"),
    Socket("/app.sock"),
    Socket("/run/a b/app.sock", "datagram", mode=0, owner="nobody", group="4"),
]


@pytest.mark.parametrize("good", GOOD)
def test_what_makes_sense_comes_back_from_its_json_form(good: Socket) -> None:
    assert good.checked() is good
    assert Socket.from_data(good.to_data()) == good
    spec = ServiceSpec("web", "idle", Program(["/bin/idle"]), sockets=(good,))
    assert ServiceSpec.from_data(spec.to_data()) == spec
    assert not spec.runs_as(ServiceSpec("web", "idle", spec.program))


def test_the_json_form_is_short() -> None:
    assert Socket("127.0.0.1:1").to_data() == {"listen": "127.0.0.1:1"}
    assert GOOD[-1].to_data() == {
        "listen": "/run/a b/app.sock",
        "type": "datagram",
        "mode": "0000",
        "owner": "nobody",
        "group": "4",
    }
    for wrong in (
        {},
        {"listen": 1},
        {"listen": "/a", "type": "raw"},
        {"listen": "/a", "mode": "9"},
    ):
        with pytest.raises(ValueError):
            Socket.from_data(wrong)


BAD = [
    "",
    "8080",
    ":8080",
    "localhost:8080",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:http",
    "127.0.0.1:80:80",
    "127.1:80",
    "::1:80",
    "[::1]",
    "[::1]80",
    "[::1]]:80",
    "[fe80::1%lo]:80",
    "[127.0.0.1]:80",
    "@abstract",
    "run/app.sock",
    "/",
    "/run/",
    "/run//app.sock",
    "/run/../app.sock",
    "/run/./app.sock",
    "/run/a\0b",
    f"/run/{'x' * 103}",
]


@pytest.mark.parametrize("listen", BAD)
def test_what_nobody_can_listen_on_is_refused(listen: str) -> None:
    with pytest.raises(Refused):
        Socket(listen).checked()


@pytest.mark.parametrize(
    "wrong",
    [
        Socket("127.0.0.1:80", "raw"),
        Socket("127.0.0.1:80", name="a:b"),
        Socket("127.0.0.1:80", name="x" * 256),
        Socket("127.0.0.1:80", mode=0o660),
        Socket("127.0.0.1:80", owner="root"),
        Socket("127.0.0.1:80", group="root"),
        Socket("/run/app.sock", owner="root:root"),
        Socket("/run/app.sock", owner="a b"),
    ],
)
def test_what_else_is_refused(wrong: Socket) -> None:
    with pytest.raises(Refused):
        wrong.checked()


def test_lists() -> None:
    both = [Socket("127.0.0.1:53"), Socket("127.0.0.1:53", "datagram")]
    service_socket.check("web", "idle", both)
    with pytest.raises(Refused, match="listed twice"):
        service_socket.check("web", "idle", [*both, Socket("127.0.0.1:53", name="again")])
    with pytest.raises(Refused, match="may have 64"):
        every = [Socket(f"127.0.0.1:{port}") for port in range(1, 66)]
        service_socket.check("web", "idle", every)
    service_socket.check("n" * 60, "idle", [Socket("/run/app.sock")])
    with pytest.raises(Refused, match="too long"):
        service_socket.check("n" * 64, "idle", [Socket("/run/app.sock")])
    service_socket.check("n" * 64, "s" * 64, both)


def test_names_and_places() -> None:
    assert service_socket.names_of("idle", [Socket("/a", name="b"), Socket("/c")]) == "b:idle"
    place = service_socket.place_of("web", "idle", Socket("/a", name="b"))
    assert place.startswith("/run/linux-namespaces.sockets/web/idle/")
    # It is the same whatever else is said of it, and however many come before it.
    assert place == service_socket.place_of("web", "idle", Socket("/a", mode=0o600))
    assert place != service_socket.place_of("web", "idle", Socket("/a", "datagram"))


def test_a_file_needs_mounts_of_its_own() -> None:
    spec = ServiceSpec("web", "idle", Program(["/bin/idle"]), sockets=(Socket("/run/a.sock"),))
    spec.check_places({"mnt", "net"})
    with pytest.raises(Refused, match="would be mounted on the host"):
        spec.check_places({"net"})
    ServiceSpec("web", "idle", spec.program, sockets=(Socket("127.0.0.1:1"),)).check_places(())
