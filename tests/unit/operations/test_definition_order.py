# SPDX-License-Identifier: GPL-3.0-or-later
"""Which namespaces wait for which, when many are worked on at once."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    definition_order,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import definition

Entry = dict[str, t.Any]
HOME = "/var/lib/linux-namespaces"


def bind(path: str, src: str, *words: str) -> Entry:
    return {"path": path, "src": src, "opts": ["bind", *words]}


def groups_of(*entries: Entry) -> list[list[int]]:
    listed = [{"name": f"n{number}", **entry} for number, entry in enumerate(entries)]
    requests = definition.requests_of(definition.listed(listed), lock_timeout=0)
    before = definition_order.before(requests, "present")
    return sorted(sorted(group) for group in definition_order.grouped(requests, before))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"mounts": [bind("/a", "/srv/a")]}, {"mounts": [bind("/a", "/srv/b")]}),
        # Both find it as it is.
        ({"mounts": [bind("/a", "/srv")]}, {"mounts": [bind("/b", "/srv")]}),
        (
            {"mounts": [bind("/mnt/a", "/srv", "X-mount.mkdir")]},
            {"mounts": [bind("/mnt/a", "/srv", "X-mount.mkdir")]},
        ),
        ({"rootfs": {"directory": "/t"}}, {"rootfs": {"directory": "/t"}}),
        ({"rootfs": {"image": "docker://x/y"}}, {"rootfs": {"image": "docker://x/y"}}),
        # What is made in a tmpfs is nobody else's.
        (
            {
                "mounts": [
                    {"path": "/mnt", "src": "t", "fstype": "tmpfs"},
                    bind("/mnt/x", "/opt", "X-mount.mkdir"),
                ]
            },
            {"mounts": [bind("/b", "/mnt/x")]},
        ),
    ],
)
def test_those_that_go_side_by_side(one: Entry, other: Entry) -> None:
    assert groups_of(one, other) == [[0], [1]]
    assert groups_of(other, one) == [[0], [1]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # One unpacks what the other shows.
        ({"rootfs": {"directory": "/t"}}, {"mounts": [bind("/a", f"{HOME}-n0/rootfs/etc")]}),
        ({"rootfs": {"directory": "/t", "home": "/h/x"}}, {"mounts": [bind("/a", "/h/x")]}),
        ({"rootfs": {"directory": "/t", "home": "/h/x"}}, {"mounts": [bind("/a", "/h")]}),
        ({"rootfs": {"directory": "/t"}}, {"rootfs": {"directory": f"{HOME}-n0/rootfs"}}),
        (
            {"files": [{"dest": f"{HOME}-n0/a", "content": ""}]},
            {"mounts": [bind("/a", f"{HOME}-n0/a")]},
        ),
        # One makes the directory that the other shows.
        (
            {"mounts": [{"path": "/new", "src": "t", "fstype": "tmpfs", "opts": "X-mount.mkdir"}]},
            {"mounts": [bind("/a", "/new")]},
        ),
        (
            {"mounts": [bind("/a", "/srv"), bind("/a/new", "/opt", "X-mount.mkdir")]},
            {"mounts": [bind("/b", "/srv/new/below")]},
        ),
        # A file system that is mounted twice.
        (
            {"mounts": [{"path": "/a", "src": "/i.img", "fstype": "ext4", "opts": "loop"}]},
            {"mounts": [{"path": "/b", "src": "/i.img", "fstype": "ext4", "opts": "loop"}]},
        ),
        # A kind of namespace.
        ({"kinds": ["mnt", "net"]}, {"kinds": ["mnt"], "share": {"net": "n0"}}),
        ({"share": {"net": "n9"}}, {"share": {"net": "n9"}}),
        (
            {"rootfs": {"image": "docker://x/y", "volumes": "/srv/v"}},
            {"rootfs": {"image": "docker://x/y", "volumes": "/srv/v"}},
        ),
    ],
)
def test_those_that_go_one_after_the_other(one: Entry, other: Entry) -> None:
    assert groups_of(one, other) == [[0, 1]]


def test_in_the_order_of_the_list_and_of_what_is_shared() -> None:
    entries = [
        {"name": "a", "kinds": ["mnt"], "share": {"net": "c"}},
        {"name": "b"},
        {"name": "c", "kinds": ["net"]},
    ]
    requests = definition.requests_of(definition.listed(entries), lock_timeout=0)
    before = definition_order.before(requests, "present")
    assert definition_order.grouped(requests, before) == [[2, 0], [1]]


def test_many_take_no_longer_than_their_number() -> None:
    """Of what a thousand hold, each is looked up in a table."""
    entries = [
        {"rootfs": {"directory": "/t"}, "mounts": [bind("/a", f"/srv/{number}")]}
        for number in range(1000)
    ]
    assert len(groups_of(*entries)) == 1000


def links_of(*links: Entry) -> Entry:
    named = [{"name": f"eth{number}", **link} for number, link in enumerate(links)]
    return {"kinds": ["net"], "links": named}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "veth", "peer": {"name": "ve"}}, {"kind": "veth", "peer": {"name": "ve"}}),
        ({"kind": "moved", "parent": "up0"}, {"kind": "moved", "parent": "up0"}),
        ({"kind": "veth", "peer": {"name": "up0"}}, {"kind": "moved", "parent": "up0"}),
    ],
)
def test_an_interface_outside_is_that_of_one(one: Entry, other: Entry) -> None:
    listed = [{"name": "a", **links_of(one)}, {"name": "b", **links_of(other)}]
    requests = definition.requests_of(definition.listed(listed), lock_timeout=0)
    with pytest.raises(Refused, match=r"namespaces\[1\] \('b'\): links: .* is that of a by then"):
        definition_order.check_links(requests)


def test_interfaces_of_one_name_at_several_places() -> None:
    inside = {"kind": "veth", "peer": {"name": "ve", "namespace": "c"}}
    on_host = {"kind": "veth", "peer": {"name": "ve"}}
    bridge: Entry = {"kind": "bridge"}
    listed = [{"name": "a", **links_of(inside, bridge)}, {"name": "b", **links_of(on_host, bridge)}]
    requests = definition.requests_of(definition.listed(listed), lock_timeout=0)
    definition_order.check_links(requests)
