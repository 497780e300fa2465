# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options of an interface: of ns_link, and of each in a list of interfaces.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.link_words import HOST, KINDS, NAMESPACE
from ..errors import Refused

if t.TYPE_CHECKING:
    from ..definition.link import Link

_TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
_ROUTE: dict[str, t.Any] = {
    "to": {"type": "str", "required": True},
    "via": {"type": "str"},
    "dev": {"type": "str"},
    "metric": {"type": "int", "default": 0},
    "table": {"type": "int", "default": 0},
    "blackhole": {"type": "bool", "default": False},
}
_RULE: dict[str, t.Any] = {
    "priority": {"type": "int", "required": True},
    "table": {"type": "int", "required": True},
    "from": {"type": "str"},
    "to": {"type": "str"},
    "iif": {"type": "str"},
    "oif": {"type": "str"},
    "fwmark": {"type": "int", "default": 0},
}
_PEER: dict[str, t.Any] = {
    "name": {"type": "str"},
    "namespace": {"type": "str"},
    "bridge": {"type": "str"},
    "addresses": _TEXTS,
}
_WIREGUARD_PEER: dict[str, t.Any] = {
    "public_key": {"type": "str", "required": True, "no_log": False},
    "preshared_key_file": {"type": "path", "no_log": False},
    "endpoint": {"type": "str"},
    "allowed_ips": _TEXTS,
    "persistent_keepalive": {"type": "int", "default": 0},
}
_WIREGUARD: dict[str, t.Any] = {
    "private_key_file": {"type": "path", "required": True, "no_log": False},
    "listen_port": {"type": "int", "default": 0},
    "fwmark": {"type": "int", "default": 0},
    "peers": {"type": "list", "elements": "dict", "options": _WIREGUARD_PEER, "default": []},
}
_DNS_HOST: dict[str, t.Any] = {
    "address": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
}
_DNS: dict[str, t.Any] = {
    "servers": _TEXTS,
    "search": _TEXTS,
    "options": _TEXTS,
    "hosts": {"type": "list", "elements": "dict", "options": _DNS_HOST, "default": []},
}
OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str"},
    "kind": {"type": "str", "choices": list(KINDS)},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "up": {"type": "bool", "default": True},
    "mac": {"type": "str"},
    "mtu": {"type": "int", "default": 0},
    "master": {"type": "str"},
    "addresses": _TEXTS,
    "routes": {"type": "list", "elements": "dict", "options": _ROUTE, "default": []},
    "rules": {"type": "list", "elements": "dict", "options": _RULE, "default": []},
    "peer": {"type": "dict", "options": _PEER},
    "parent": {"type": "str"},
    "parent_in": {"type": "str", "choices": [HOST, NAMESPACE], "default": HOST},
    "mode": {"type": "str"},
    "id": {"type": "int", "default": 0},
    "table": {"type": "int", "default": 0},
    "wireguard": {"type": "dict", "options": _WIREGUARD},
    "force": {"type": "bool", "default": False},
    "masquerade": {"type": "bool", "default": False},
    "publish": _TEXTS,
    "dns": {"type": "dict", "options": _DNS},
}
LIST: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {**OPTIONS, "name": {"type": "str", "required": True}},
}
# Those of a whole namespace, of which all are named.
OF_NAMESPACE: dict[str, t.Any] = {
    **LIST,
    "options": {
        **{name: option for name, option in LIST["options"].items() if name != "state"},
        "kind": {**OPTIONS["kind"], "required": True},
    },
}


def wanted(params: t.Mapping[str, t.Any]) -> Link:
    """The interface that the options describe, as it is compared. Raises Refused."""
    # 20 ms to compile, with what it loads, for a namespace that has none.
    from ..definition.link import Link
    from ..definition.link_checks import checked

    given = {name: params[name] for name in OPTIONS if name != "state"}
    return checked(Link.from_options({**given, "kind": given["kind"] or ""}))


def all_wanted(listed: t.Iterable[t.Mapping[str, t.Any]], where: str) -> tuple[Link, ...]:
    """Those of a list, ``where`` that stands for people. Raises Refused."""
    from ..definition.link_checks import check_together

    found = []
    for number, params in enumerate(listed):
        try:
            found.append(wanted(params))
        except Refused as error:
            told = f"{where}[{number}] ({params['name']!r}): {error.reason}"
            raise Refused(told, error.hint, **error.facts) from error
    check_together(found)
    return tuple(found)


def gone(listed: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """The names of those of a list that are not to be there. Raises Refused."""
    from ..definition.link_checks import check_name

    names = [params["name"] for params in listed if params["state"] == "absent"]
    for name in names:
        check_name(name)
    return names
