# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_info with ``gather``: named namespaces part by part, and the host."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
import typing as t

import pytest
from command import Nsctl
from processes_inside import inside
from results import Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import parts
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

NewName = t.Callable[[], str]
NOBODY = 65534
SUMMARY = {
    *("name", "state", "reason", "kinds", "shared_by", "processes", "persistent", "root"),
    "generation",
}


class Site(t.NamedTuple):
    shop: str
    front: str


@pytest.fixture
def site(run_module: RunModule, new_name: NewName) -> Site:
    shop, front = new_name(), new_name()  # in the order in which they go
    wanted = [
        {"name": front, "kinds": ["net"], "sysctl": {"net.ipv4.conf.lo.route_localnet": "1"}},
        {
            "name": shop,
            "kinds": ["mnt", "uts"],
            "share": {"net": front},
            "hostname": "shop",
            "mounts": [
                {"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs", "opts": ["size=1m"]},
                {"path": "/media", "src": "/usr/share", "opts": ["bind", "ro"]},
            ],
            "services": [
                {
                    "name": "sleeper",
                    "argv": ["/bin/sleep", "1000"],
                    "secret_environment": {"TOKEN": "do-not-tell"},
                }
            ],
        },
    ]
    assert run_module("ns_definition", {"namespaces": wanted})["changed"]
    return Site(shop, front)


def gathered(run_module: RunModule, *wanted: str, **more: t.Any) -> Result:
    found = run_module("ns_info", {"gather": list(wanted), **more})
    assert not found.get("failed"), found
    assert found["changed"] is False
    return found


def test_only_what_is_asked_for(run_module: RunModule, site: Site) -> None:
    assert "named" not in run_module("ns_info", {})
    assert "host" not in run_module("ns_info", {})
    for part in parts.PARTS:
        found = gathered(run_module, part)
        assert "host" not in found
        assert [each["name"] for each in found["named"]] == sorted(site)
        for each in found["named"]:
            assert each.keys() == SUMMARY | {part}
    (shop,) = gathered(run_module, "services", namespace=site.shop)["named"]
    assert shop["name"] == site.shop
    assert "named" not in gathered(run_module, "host")


def test_what_is_told_of_a_name(run_module: RunModule, nsctl: Nsctl, site: Site) -> None:
    result = gathered(run_module, *parts.PARTS)
    found = {each["name"]: each for each in result["named"]}
    shop, front = found[site.shop], found[site.front]
    assert "do-not-tell" not in str(result)
    assert (shop["state"], shop["shared_by"], front["shared_by"]) == ("up", [], [site.shop])
    assert shop["kinds"]["net"] == {
        "id": pins.pinned(site.front)["net"],
        "path": pins.shared_path(site.shop, "net", site.front),
        "shared_with": site.front,
    }
    assert shop["definition"]["hostname"] == "shop"
    assert [step["path"] for step in shop["definition"]["steps"]] == ["/mnt", "/media"]
    assert front["definition"]["sysctl"] == {"net.ipv4.conf.lo.route_localnet": "1"}
    rows = shop["drift"]["mounts"]
    assert [(row["state"], row["path"]) for row in rows] == [("ok", "/mnt"), ("ok", "/media")]
    assert "ro" in rows[1]["observed"]["opts"]
    assert shop["drift"]["changes"] == front["drift"]["changes"] == []
    (service,) = shop["services"]
    assert (service["name"], service["state"], service["supervisor"]) == (
        *("sleeper", "started"),
        "none",
    )
    # It is what nsctl shows.
    shown = nsctl.data("show", site.shop)
    assert shown["mounts"] == rows
    assert {key: shown[key] for key in SUMMARY} == {key: shop[key] for key in SUMMARY}


def test_what_differs(run_module: RunModule, site: Site) -> None:
    inside(site.shop, lambda: mounts.detach("/media"))
    inside(site.shop, lambda: mounts.mount("mine", "/opt", fstype="tmpfs"))
    found = {each["name"]: each for each in gathered(run_module, "drift")["named"]}
    drift = found[site.shop]["drift"]
    assert {(row["state"], row["path"]) for row in drift["mounts"]} == {
        *[("ok", "/mnt"), ("missing", "/media"), ("surplus", "/opt")],
    }
    assert len(drift["changes"]) == 1
    assert found[site.shop]["state"] == "partial"
    assert found[site.front]["drift"]["changes"] == []


def test_a_damaged_one_is_no_reason_to_fail(run_module: RunModule, site: Site) -> None:
    path = pathlib.Path(definitions.path_of(site.front))
    good = path.read_bytes()
    path.write_text("{")
    try:
        found = {each["name"]: each for each in gathered(run_module, *parts.PARTS)["named"]}
    finally:
        path.write_bytes(good)
    assert found[site.front]["state"] == "failed"
    assert str(path) in found[site.front]["reason"]
    assert found[site.front]["definition"] is None
    assert found[site.shop]["drift"]["mounts"]


def test_one_that_does_not_answer_holds_up_no_other(run_module: RunModule, site: Site) -> None:
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    data = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    try:
        inside(site.shop, lambda: mounts.mount("dead", "/mnt", fstype="fuse", data=data))
        begun = time.monotonic()
        found = {each["name"]: each for each in gathered(run_module, "drift")["named"]}
        assert time.monotonic() - begun < 100
    finally:
        os.close(fuse)
        with contextlib.suppress(OSError):
            inside(site.shop, lambda: mounts.detach("/mnt"))
    assert found[site.front]["state"] == "up"
    assert found[site.shop]["state"] == "partial"
    assert "does not answer" in found[site.shop]["reason"]


def test_who_may_ask(run_module: RunModule, site: Site) -> None:
    for part in parts.PARTS:
        refused = run_module("ns_info", {"gather": [part]}, user=NOBODY)
        assert refused["failed"]
        assert "root" in refused["msg"]
    host = run_module("ns_info", {"gather": ["host"]}, user=NOBODY)
    assert not host.get("failed"), host
    assert host["host"]["checks"]
    unknown = run_module("ns_info", {"gather": ["drift"], "namespace": "nosuch"})
    assert "no namespace" in unknown["msg"].lower()
    assert pins.pinned(site.shop)


def test_the_host_is_what_nsctl_check_says(run_module: RunModule, nsctl: Nsctl) -> None:
    host, said = gathered(run_module, "host")["host"], nsctl.data("check")
    assert {each["name"] for each in host["checks"]} == {each["name"] for each in said["checks"]}
    for key in ("kernel", "machine", "os", "hostname", "cgroup", "systemd"):
        assert host[key] == said[key]
