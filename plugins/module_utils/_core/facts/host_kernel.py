# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kernel has drivers for: file systems, interfaces, rules for packets, devices.

Nothing is made and no module loaded to find out: the kernel's own lists say it, those of its modules,
and the configuration that it was built with, where there is one.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import re
import typing as t
import zlib

from .. import once
from ..definition import link_words
from .host_look import MISSING, OK, UNKNOWN, Check, Found, Host

# What has them in the configuration of a kernel.
_FILESYSTEMS = {
    "btrfs": "BTRFS_FS",
    "erofs": "EROFS_FS",
    "ext4": "EXT4_FS",
    "iso9660": "ISO9660_FS",
    "overlay": "OVERLAY_FS",
    "proc": "PROC_FS",
    "squashfs": "SQUASHFS",
    "tmpfs": "TMPFS",
    "vfat": "VFAT_FS",
    "xfs": "XFS_FS",
}
_OF_DEVICES = ("btrfs", "erofs", "ext4", "iso9660", "squashfs", "vfat", "xfs")
# By kind of interface: its module, and the option of its configuration.
_INTERFACES = {
    "bridge": ("bridge", "BRIDGE"),
    "dummy": ("dummy", "DUMMY"),
    "ipvlan": ("ipvlan", "IPVLAN"),
    "macvlan": ("macvlan", "MACVLAN"),
    "veth": ("veth", "VETH"),
    "vlan": ("8021q", "VLAN_8021Q"),
    "vrf": ("vrf", "NET_VRF"),
    "wireguard": ("wireguard", "WIREGUARD"),
}
# What our rules are made of.
_RULES = {
    "nf_tables": "NF_TABLES",
    "nft_ct": "NFT_CT",
    "nft_fib_inet": "NFT_FIB_INET",
    "nft_masq": "NFT_MASQ",
    "nft_nat": "NFT_NAT",
}
_FORCED = "net/ipv6/conf/all/force_forwarding"
# Below a directory of modules: what is built in and what can be loaded (modules.builtin(5), modules.dep(5)).
_LISTS = ("modules.builtin", "modules.dep")
_CONFIG = "/proc/config.gz"
_GZIP = 16 + zlib.MAX_WBITS
_MODULE = re.compile(r"^[^:\n]*/([^/:\n]+)\.ko", re.MULTILINE)


class Drivers(t.NamedTuple):
    """What is known of a kernel's drivers."""

    # The names of its modules; both empty where their lists are not on this host.
    built_in: frozenset[str] = frozenset()
    loadable: frozenset[str] = frozenset()
    # The configuration that it was built with; empty where nothing tells.
    config: str = ""
    may_load: bool = True

    def look(self, module: str, option: str, *, is_loaded: bool) -> Found:
        """Whether there is the driver."""
        if is_loaded:
            return Found(OK, "there")
        if module in self.built_in or f"\nCONFIG_{option}=y\n" in self.config:
            return Found(OK, "built in")
        if module in self.loadable:
            if self.may_load:
                return Found(OK, f"module {module}, not loaded yet")
            return Found(
                MISSING,
                f"module {module} is not loaded, and kernel.modules_disabled is 1",
                f"Have {module} loaded at boot (modules-load.d(5)).",
            )
        if f"\nCONFIG_{option}=m\n" in self.config:
            why = f"it is a module, and /lib/modules has no {module}"
            return Found(MISSING, why, "Install the modules of the kernel that runs.")
        if self.config or self.built_in:
            remedy = f"Boot a kernel that was built with CONFIG_{option}."
            return Found(MISSING, "this kernel has none", remedy)
        return Found(UNKNOWN, "nothing on this host says what its kernel was built with")


def modules_in(text: str) -> frozenset[str]:
    """The modules that the text of modules.builtin or modules.dep is about (modules.dep(5))."""
    return frozenset(name.replace("-", "_") for name in _MODULE.findall(text))


@once.kept
def _drivers(host: Host) -> Drivers:
    release = os.uname().release
    built_in, loadable = (host.text(f"/lib/modules/{release}/{name}") for name in _LISTS)
    config = _packed_config() or host.text(f"/boot/config-{release}")
    may_load = host.setting("kernel/modules_disabled") != "1"
    return Drivers(modules_in(built_in), modules_in(loadable), config and f"\n{config}", may_load)


def _packed_config() -> str:
    try:
        with open(_CONFIG, "rb") as packed:
            return zlib.decompress(packed.read(), _GZIP).decode("ascii", "replace")
    except (OSError, zlib.error):
        return ""


def _filesystem(fstype: str, host: Host) -> Found:
    is_loaded = fstype in host.filesystems
    if not host.filesystems:
        return Found(UNKNOWN, "no proc is mounted on /proc")
    return _drivers(host).look(fstype, _FILESYSTEMS[fstype], is_loaded=is_loaded)


def _of_devices(host: Host) -> Found:
    found = [each for each in _OF_DEVICES if _filesystem(each, host).state == OK]
    return Found(OK, ", ".join(found)) if found else Found(MISSING, "none that is known here")


def _interface(kind: str, host: Host) -> Found:
    module, option = _INTERFACES[kind]
    return _driver(module, option, host)


def _driver(module: str, option: str, host: Host) -> Found:
    # What is built in is there as well, where it has parameters.
    is_loaded = os.path.exists(f"/sys/module/{module}")
    return _drivers(host).look(module, option, is_loaded=is_loaded)


def _rules(host: Host) -> Found:
    found = [_driver(module, option, host) for module, option in _RULES.items()]
    return next((each for each in found if each.state != OK), Found(OK, "there"))


def _by_interface(host: Host) -> Found:
    if not host.text("/proc/net/if_inet6"):
        return Found(OK, "no IPv6 here")
    if host.setting(_FORCED):
        return Found(OK, "there")
    return Found(MISSING, f"no {_FORCED.replace('/', '.')}")


def _device(path: str, _host: Host) -> Found:
    return Found(OK, path) if os.path.exists(path) else Found(MISSING, f"no {path}")


CHECKS: tuple[Check, ...] = (
    *(
        Check(fstype, needed_for, functools.partial(_filesystem, fstype), required=True)
        for fstype, needed_for in (
            ("proc", "all"),
            ("tmpfs", "pins, which lie in one below /run"),
        )
    ),
    Check(
        "overlay",
        "roots that are not written to: rootfs of ns_definition with overlay, ns_mount: fstype: overlay",
        functools.partial(_filesystem, "overlay"),
    ),
    Check("file systems of devices and images", "ns_mount: a device or loop", _of_devices),
    Check(
        "loop devices",
        "ns_mount: loop in opts",
        functools.partial(_device, "/dev/loop-control"),
        remedy="Load the module: modprobe loop.",
    ),
    Check(
        "/dev/net/tun",
        "ns_unshare_run: network",
        functools.partial(_device, "/dev/net/tun"),
        remedy="Load the module: modprobe tun.",
    ),
    *(
        Check(
            f"{kind} interfaces",
            "ns_link, links of ns_definition: interfaces of the kind",
            functools.partial(_interface, kind),
        )
        for kind in link_words.KINDS
        if kind in _INTERFACES
    ),
    Check("rules of nftables", "ns_link: masquerade, publish", _rules),
    Check(
        "IPv6 passed on by interface",
        "ns_link: masquerade and publish with IPv6; else all interfaces pass it on",
        _by_interface,
        since="6.17",
    ),
)
