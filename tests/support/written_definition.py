# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition file as users write it, in which each option of the tables is said at least once."""

from __future__ import annotations

import copy
import typing as t

# The first two can be made on any host; the others are looked at in check mode alone.
FRONT: dict[str, t.Any] = {
    "name": "fuzz-front",
    "kinds": ["mnt", "uts", "ipc", "net"],
    "propagation": "slave",
    "hostname": "front",
    "domainname": "example",
    "loopback": False,
    "sysctl": {"net.ipv4.ip_forward": 1, "kernel.shmmax": "65536"},
    "persistent": True,
    "mounts": [
        {"path": "/mnt", "src": "fuzz", "fstype": "tmpfs", "opts": ["size=1m", "mode=755"]},
        {"path": "/media", "src": "/usr/share", "opts": "bind,ro", "propagation": "private"},
        {"path": "/mnt/here", "src": "/mnt", "opts": ["bind", "X-mount.mkdir"], "src_in": "namespace"},
    ],
}  # fmt: skip
BOXED: dict[str, t.Any] = {
    "name": "fuzz-boxed",
    "kinds": ["mnt", "user", "time", "pid", "cgroup"],
    "share": {"net": "fuzz-front", "ipc": "fuzz-front"},
    "id_map": {
        "uid": [{"inside": 0, "outside": 100_000, "count": 65_536}],
        "gid": [{"inside": 0, "outside": 100_000, "count": 65_536}],
    },
    "time_offsets": {"monotonic": 5, "boottime": 7},
}
_SERVED: dict[str, t.Any] = {
    "name": "fuzz-served",
    "files": [
        {"dest": "/var/lib/linux-namespaces-fuzz-served/etc", "state": "directory", "mode": "0750"},
        {
            "dest": "/var/lib/linux-namespaces-fuzz-served/etc/a.conf",
            "content": "a = 1\n",
            "owner": "root",
            "group": "0",
            "validate": ["/bin/true", "%s"],
        },
    ],
    "services": [
        {
            "name": "plain",
            "argv": ["/bin/sleep", "infinity"],
            "state": "stopped",
            "supervisor": "none",
            "kinds": ["uts"],
            "user": "nobody",
            "group": "0",
            "groups": ["0"],
            "capabilities": ["net_bind_service"],
            "no_new_privs": True,
            "chdir": "/usr",
            "environment": {"A": "1", "B": 2},
            "secret_environment": {"TOKEN": "hush"},
            "credentials": {"key": "hush"},
            "limits": {"nofile": "1024:unlimited", "core": 0},
            "reload": {"signal": "HUP"},
            "stop_signal": "INT",
            "stop_timeout": 5,
            "ready": {"port": 8000, "address": "::1", "timeout": 3.5},
            "files": [{"dest": "/var/lib/linux-namespaces-fuzz-served/b.conf", "content": "b"}],
        },
        {
            "name": "kept",
            "argv": ["/bin/sleep", "infinity"],
            "supervisor": "systemd",
            "enabled": False,
            "sockets": [
                {"listen": "127.0.0.1:8081", "name": "web"},
                {
                    "listen": "/run/fuzz.sock", "type": "datagram", "mode": "0660",
                    "owner": "root", "group": "0", "blocking": False,
                },
            ],
            "image_config": {
                "argv": ["/bin/true"], "entrypoint": [], "cmd": ["/bin/true"], "ports": ["80/tcp"], "volumes": [],
                "user": "", "group": "", "chdir": "/", "stop_signal": "TERM", "environment": {"A": "1"},
                "labels": {}, "healthcheck": {},
            },
            "reload": {"argv": ["/bin/true"]},
            "ready": {"notify": True},
            "restart_policy": {
                "condition": "always", "delay": 1, "max_delay": 2.5, "limit": 3, "interval": 30,
            },
        },
        {"name": "seen", "argv": ["/bin/true"], "ready": {"file": "/run/seen"}},
    ],
}  # fmt: skip
_ARCHIVED: dict[str, t.Any] = {
    "name": "fuzz-archived",
    "rootfs": {
        "archive": "/run/none-such.tar",
        "digest": "sha256:" + "a" * 64,
        "size_limit": "1.5 GB",
        "id_map": "root",
        "device_nodes": "skip",
        "home": "/var/lib/fuzz-archived",
        "root": "overlay",
        "usual_mounts": False,
        "volumes": "/var/lib/fuzz-volumes",
        "upper": "keep",
        "keep_generations": 2,
        "verify": ["/bin/true"],
    },
}
_IMAGED: dict[str, t.Any] = {
    "name": "fuzz-imaged",
    "rootfs": {
        "image": "oci-archive:/run/none-such.tar",
        "platform": "linux/amd64",
        "authfile": "/run/none-such.json",
        "tls_verify": False,
    },
    "mounts": [{"path": "/dev/shm", "src": "shm", "fstype": "tmpfs", "opts": ["size=9m"]}],
    "services": [{"name": "main"}],
}
_BOOTED: dict[str, t.Any] = {
    "name": "fuzz-booted",
    "rootfs": {
        "bootstrap": {
            "suite": "trixie",
            "packages": ["nginx-light"],
            "mirror": "http://127.0.0.1:1/debian",
            "variant": "minbase",
            "components": ["main"],
        },
        "root": "bind",
    },
}
_COPIED: dict[str, t.Any] = {
    "name": "fuzz-copied",
    "rootfs": {"directory": "/usr/share/doc/bash", "root": "tmpfs"},
}
_STEPPED: dict[str, t.Any] = {
    "name": "fuzz-stepped",
    "steps": [
        {"do": "mount", "path": "/mnt", "src": "fuzz", "fstype": "tmpfs", "opts": ["size=1m"],
         "propagation": "private", "src_in": "host"},
        {"do": "unpack", "path": "/mnt", "archive": "/run/none-such.tar",
         "digest": "sha256:" + "b" * 64, "device_nodes": "skip"},
        {"do": "unpack", "path": "/mnt/b", "directory": "/usr/share/doc/bash"},
        {"do": "pivot", "new_root": "/mnt", "put_old": "/mnt/old", "persistent": False},
    ],
}  # fmt: skip
_LINKED: dict[str, t.Any] = {
    "name": "fuzz-linked",
    "kinds": ["net"],
    "links": [
        {
            "name": "eth0", "kind": "veth", "up": True, "mac": "02:00:00:00:00:01", "mtu": 1450, "master": "br0",
            "addresses": ["10.9.0.2/30", "fd00:9::2/64"],
            "routes": [
                {"to": "default", "via": "10.9.0.1", "dev": "eth0", "metric": 5, "table": 7},
                {"to": "10.0.0.0/8", "blackhole": True},
            ],
            "rules": [
                {
                    "priority": 9, "table": 7, "from": "10.0.0.0/8", "to": "10.2.0.0/16", "iif": "eth0",
                    "oif": "br0", "fwmark": 3,
                },
            ],
            "peer": {"name": "ve0", "namespace": "fuzz-front", "bridge": "br1", "addresses": []},
        },
        {
            "name": "eth1", "kind": "veth", "addresses": ["10.8.0.2/24", "fd00:8::2/64"], "masquerade": True,
            "publish": ["8080:80", "[2001:db8::1]:53:53/udp"],
            "dns": {
                "servers": ["10.8.0.1"], "search": ["example.internal"], "options": ["ndots:2"],
                "hosts": [{"address": "10.8.0.7", "names": ["db", "db.example.internal"]}],
            },
            "peer": {"name": "ve1", "addresses": ["10.8.0.1/24", "fd00:8::1/64"]},
        },
        {"name": "br0", "kind": "bridge"},
        {"name": "vlan7", "kind": "vlan", "parent": "br0", "parent_in": "namespace", "id": 7},
        {"name": "mac0", "kind": "macvlan", "parent": "eth0", "mode": "vepa"},
        {"name": "vrf0", "kind": "vrf", "table": 9},
        {"name": "wan", "kind": "moved", "parent": "eth9", "force": True},
        {
            "name": "wg0", "kind": "wireguard",
            "wireguard": {
                "private_key_file": "/run/none-such.key", "listen_port": 51820, "fwmark": 9,
                "peers": [
                    {
                        "public_key": "A" * 43 + "=", "preshared_key_file": "/run/none-such.psk",
                        "endpoint": "[2001:db8::1]:51820", "allowed_ips": ["0.0.0.0/0"],
                        "persistent_keepalive": 25,
                    },
                ],
            },
        },
    ],
}  # fmt: skip


def written() -> dict[str, t.Any]:
    """What is in the file."""
    every = [FRONT, BOXED, _SERVED, _ARCHIVED, _IMAGED, _BOOTED, _COPIED, _STEPPED, _LINKED]
    return copy.deepcopy({"namespaces": every, "exclusive": False})
