# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up results of ns_info, of which playbooks/map.yml makes its page: of a small fleet, of a large one."""

from __future__ import annotations

import hashlib
import typing as t

Facts = dict[str, t.Any]
Results = dict[str, Facts]

KERNEL = "6.1.0-28-amd64"
REFUSED = "Failed to connect to the host via ssh: ssh: connect to host {} port 22: No route to host"


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


NEW = digest_of("nginx 1.28")
OLD = digest_of("nginx 1.26")


LACKING: Facts = {
    "name": "vrf interfaces",
    "required": False,
    "state": "missing",
    "found": "this kernel has none",
    "needed_for": "ns_link, links of ns_definition: interfaces of the kind",
    "remedy": "Boot a kernel that was built with CONFIG_NET_VRF.",
}


def mount(
    path: str, src: str, *, state: str = "ok", fstype: str = "ext4", remark: str = ""
) -> Facts:
    """A line of the drift: a bind of ``src``, or a file system of this type."""
    options = ["nosuid"] if fstype == "tmpfs" else ["bind", "nosuid"]
    kind = fstype if fstype == "tmpfs" else ""
    wanted = {"do": "mount", "path": path, "src": src, "fstype": kind, "opts": options}
    observed = {
        "id": 1000 + len(path),
        "path": path,
        "src": src if fstype == "tmpfs" else "/dev/vda1",
        "fstype": fstype,
        "root": "/" if fstype == "tmpfs" else src,
        "opts": ["rw", "nosuid", "relatime"],
        "propagation": "private",
    }
    return {
        "state": state,
        "path": path,
        "wanted": None if state == "surplus" else wanted,
        "observed": None if state == "missing" else observed,
        "remark": remark,
    }


def link(
    name: str, peer: str, *, namespace: str | None = None, address: str = "10.0.0.2/24"
) -> Facts:
    """A veth whose other end is there, or on the host."""
    line = f"veth up mtu 1500 {address}"
    end = {"name": peer, "namespace": namespace}
    return {"state": "ok", "name": name, "wanted": line, "observed": line, "peer": end}


def service(name: str, namespace: str, state: str = "started", **further: t.Any) -> Facts:
    return {
        "name": name,
        "namespace": namespace,
        "state": state,
        "pid": 4242 if state == "started" else None,
        "supervisor": "systemd",
        "enabled": True,
        "restarts": 0,
        "reason": "",
        "ended": None,
        **further,
    }


def ended(status: int, at: str) -> Facts:
    words = f"exited with {status} at {at}"
    return {
        "at": at,
        "result": "exit-code",
        "code": "exited",
        "status": str(status),
        "words": words,
    }


def generation(number: int, source: str, digest: str, *before: str, failed: str = "") -> Facts:
    kept = [
        {"number": number - 1 - at, "made_of": f"archive {source} {each}"}
        for at, each in enumerate(before)
    ]
    made_of = f"archive {source} {digest}"
    return {"number": number, "made_of": made_of, "failed": failed, "before": kept}


def namespace(name: str, kinds: t.Mapping[str, int | str], **further: t.Any) -> Facts:
    """A named namespace that is up. A kind has an id, or as OWNER:ID that of another name's."""
    found: Facts = {}
    for kind, value in kinds.items():
        owner, _colon, number = str(value).rpartition(":")
        pin = f"/run/linux-namespaces/{name}/{kind}"
        found[kind] = {"id": int(number), "path": f"{pin}@{owner}" if owner else pin}
        if owner:
            found[kind]["shared_with"] = owner
    drift = {
        key: further.pop(key, []) for key in ("changes", "mounts", "links", "files", "lacking")
    }
    drift["services"] = drift.pop("lacking")
    return {
        "name": name,
        "state": "up",
        "reason": "",
        "kinds": found,
        "shared_by": [],
        "processes": [{"pid": 4242, "uid": 33, "command": f"{name}: master process"}],
        "persistent": True,
        "root": "/",
        "generation": None,
        "definition": {
            "kinds": list(kinds),
            "hostname": name,
            "steps": [each["wanted"] for each in drift["mounts"] if each["wanted"]],
            "links": [{"name": each["name"], "kind": "veth"} for each in drift["links"]],
        },
        "drift": drift,
        "services": [],
        **further,
    }


def host(named: list[Facts], *, checks: t.Sequence[Facts] = (), os: str = "12") -> Facts:
    """What ns_info returns for a host with these."""
    unnamed = {
        "id": 4026532100,
        "kind": "mnt",
        "processes": 1,
        "pid": 401,
        "ppid": 1,
        "command": "/usr/lib/systemd/systemd-udevd",
        "uid": 0,
        "user": "root",
        "parent": None,
        "owner": 4026531837,
        "netnsid": None,
        "pins": [],
        "name": None,
    }
    known = [
        {**unnamed, "id": pin["id"], "kind": kind, "pins": [pin["path"]], "name": each["name"]}
        for each in named
        for kind, pin in each["kinds"].items()
    ]
    about = {
        "kernel": KERNEL,
        "machine": "x86_64",
        "os": f"Debian GNU/Linux {os}",
        "python": "3.11.2",
        "cgroup": "v2",
        "hostname": "vm",
        "systemd": True,
        "problems": 0,
        "checks": [
            {
                "name": "Linux 5.10",
                "required": True,
                "state": "ok",
                "found": KERNEL,
                "needed_for": "all",
                "remedy": "",
            },
            LACKING,
            *checks,
        ],
    }
    return {"changed": False, "namespaces": [unnamed, *known], "named": named, "host": about}


def web(digest: str = NEW, number: int = 3, *before: str, **further: t.Any) -> Facts:
    """nginx with a root of its own, behind the network of `front`."""
    mounts = [
        mount("/etc/nginx", "/srv/nginx/etc"),
        mount("/var/www", "/srv/nginx/pages"),
        mount("/tmp", "tmpfs", fstype="tmpfs"),
    ]
    return namespace(
        "web",
        {"mnt": 4026532204, "net": "front:4026532210", "uts": 4026532205},
        **{
            "root": "/var/lib/linux-namespaces-web/new",
            "generation": generation(number, "/srv/nginx.tar", digest, *before),
            "mounts": mounts,
            "services": [service("nginx", "web")],
            **further,
        },
    )


def front(**further: t.Any) -> Facts:
    links = [link("eth0", "ve-front"), link("to-db", "eth0", namespace="db", address="10.1.0.1/30")]
    return namespace(
        "front", {"net": 4026532210}, links=links, shared_by=["web", "shop"], **further
    )


def shop(**further: t.Any) -> Facts:
    return namespace(
        "shop",
        {"mnt": 4026532301, "net": "front:4026532210", "pid": 4026532302},
        **{
            "root": "/var/lib/linux-namespaces-shop/new",
            "generation": generation(1, "/srv/shop.tar", digest_of("shop")),
            "mounts": [mount("/data", "/srv/shop/data")],
            "services": [service("shop", "shop")],
            **further,
        },
    )


def db(**further: t.Any) -> Facts:
    links = [link("eth0", "to-db", namespace="front", address="10.1.0.2/30")]
    mounts = [mount("/var/lib/postgresql", "/srv/db")]
    kinds = {"mnt": 4026532401, "net": 4026532402}
    postgres = [service("postgres", "db")]
    return namespace(
        "db", kinds, **{"links": links, "mounts": mounts, "services": postgres, **further}
    )


def three() -> Results:
    """Three hosts: one with an old root, a change by hand and what fails, one as it should be, one down."""
    by_hand = mount("/mnt", "tmpfs", fstype="tmpfs", state="surplus")
    lost = mount("/data", "/srv/shop/data", state="missing", remark="mount /srv/shop/data on /data")
    crashed = service(
        "postgres",
        "db",
        "failed",
        restarts=5,
        reason="exited with 1 at 2026-11-27T10:00:00Z, and systemd has given up",
        ended=ended(1, "2026-11-27T10:00:00Z"),
    )
    partial = {
        "state": "partial",
        "reason": "the mount of /srv/backup on /backup is missing; `nsctl up backup` mends it",
        "processes": [],
    }
    lacks = {
        "name": "/run, to be written",
        "required": True,
        "state": "missing",
        "found": "it is read-only",
        "needed_for": "pins, and locks",
        "remedy": "Remount it.",
    }
    first = [
        web(OLD, 2),
        front(),
        shop(
            mounts=[lost, by_hand],
            changes=["mount /srv/shop/data on /data"],
            services=[service("shop", "shop", restarts=7, ended=ended(3, "2026-11-28T09:12:44Z"))],
            files=[{"path": "/etc/shop.conf", "state": "differs"}],
        ),
        db(services=[crashed]),
        namespace("backup", {"mnt": 4026532501}, **partial),
    ]
    second = [web(NEW, 3, OLD), front(), shop(), db()]
    return {
        "host1": host(first, checks=[lacks], os="11"),
        "host2": host(second),
        "host3": {"unreachable": True, "msg": REFUSED.format("192.0.2.13"), "changed": False},
    }


def many(hosts: int = 500, namespaces: int = 10) -> Results:
    """So many hosts, each with so many namespaces; some of them are not as they should be."""
    found: Results = {}
    checks = [{**LACKING, "name": f"thing {at}"} for at in range(7)]
    for number in range(1, hosts + 1):
        named = [_one_of_many(number, at) for at in range(namespaces)]
        found[f"host{number:03}.example.org"] = host(named, checks=checks)
    for number in (17, 230):
        down = {"unreachable": True, "msg": REFUSED.format(f"10.0.0.{number}"), "changed": False}
        found[f"host{number:03}.example.org"] = down
    found["host404.example.org"] = {"failed": True, "msg": "/bin/sh: 1: python3: not found"}
    return found


def _one_of_many(number: int, at: int) -> Facts:
    name = f"tenant{at}"
    is_old = at == 3 and number % 100 == 7
    digest = digest_of(f"{at} old" if is_old else f"{at} new")
    before = [] if is_old else [digest_of(f"{at} old")]
    mounts = [mount(f"/srv/{each}", f"/srv/{name}/{each}") for each in "abcde"]
    mounts.append(mount("/tmp", "tmpfs", fstype="tmpfs"))
    if at == 5 and number % 50 == 1:
        mounts.append(mount("/mnt", "tmpfs", fstype="tmpfs", state="surplus"))
    state, reason = "up", ""
    if at == 7 and number % 40 == 3:
        state, reason = "failed", f"mount /srv/{name}/a: the source does not exist"
    second = "failed" if at == 1 and number % 125 == 2 else "started"
    kinds: dict[str, int | str] = {"mnt": 4026540000 + at * 10, "uts": 4026540001 + at * 10}
    kinds["net"] = 4026540002 if at == 0 else "tenant0:4026540002"
    return namespace(
        name,
        kinds,
        state=state,
        reason=reason,
        shared_by=[] if at else ["tenant1"],
        root=f"/var/lib/linux-namespaces-{name}/new",
        generation=generation(1 if is_old else 2, f"/srv/roots/{name}.tar", digest, *before),
        mounts=mounts,
        links=[link("eth0", f"ve-{at}"), link("eth1", f"br-{at}", address=f"10.{at}.0.2/24")],
        services=[service("app", name), service("cron", name, second)],
    )
