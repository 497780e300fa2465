# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which programs of the host are there, of those that something here runs.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import typing as t

from .. import host_paths
from ..errors import Refused
from ..install import systemctl
from ..launch import user_network
from ..link import tool
from ..process import installed
from .host_look import MISSING, OK, Check, Found, Host

# Those of systemd that are run.
_OF_SYSTEMD = ("systemctl", "systemd-run", "busctl", "journalctl")
# Where systemd has the library of its programs, which has the version in its name.
_LIBRARIES = ("/usr/lib/systemd", "/usr/lib64/systemd", "/lib/systemd")
_LIBRARY = "libsystemd-shared-"
# Of a compression: the program, and Python's own in its place.
_COMPRESSIONS = {"gzip": "gzip", "xz": "lzma", "bzip2": "bz2"}


def _of_path(program: str, _host: Host) -> Found:
    place = shutil.which(program)
    return Found(OK, place) if place else Found(MISSING, "not found")


def _of_network(program: str, _host: Host) -> Found:
    try:
        return Found(OK, tool.path_of(program))
    except Refused as error:
        # Of another one of this name it says more.
        text = "not found" if shutil.which(program) is None else error.reason
        return Found(MISSING, text, error.hint)


def _compressions(_host: Host) -> Found:
    absent = [
        program
        for program, module in _COMPRESSIONS.items()
        if shutil.which(program) is None and not _has_module(module)
    ]
    return Found(MISSING, f"no {', '.join(absent)}") if absent else Found(OK, "there")


def _has_module(name: str) -> bool:
    try:
        importlib.import_module(name)
        return True
    except ImportError:
        return False


def _programs_of_systemd(_host: Host) -> Found:
    if not os.path.isdir(host_paths.SYSTEMD):
        return Found(OK, "not needed: systemd does not run this host")
    absent = [name for name in _OF_SYSTEMD if shutil.which(name) is None]
    return Found(MISSING, f"no {', '.join(absent)}") if absent else Found(OK, "there")


def _systemd(_host: Host) -> Found:
    if not systemctl.runs_here():
        return Found(MISSING, "it does not run this host")
    version = version_of(_libraries())
    return Found(OK, f"it runs this host, in version {version}" if version else "it runs this host")


def _libraries() -> list[str]:
    names: list[str] = []
    for place in (*_LIBRARIES, f"/usr/lib/{os.uname().machine}-linux-gnu/systemd"):
        if os.path.isdir(place):
            names += os.listdir(place)
    return names


def version_of(names: t.Iterable[str]) -> str:
    """The version of systemd by the names of its libraries; empty where they do not say it."""
    for name in names:
        if name.startswith(_LIBRARY) and name.endswith(".so"):
            return name[len(_LIBRARY) : -len(".so")].split(".")[0].split("-")[0]
    return ""


def _row(program: str, needed_for: str) -> Check:
    remedy = installed.hint(program)
    return Check(program, needed_for, functools.partial(_of_path, program), remedy=remedy)


def _network_row(program: str, needed_for: str) -> Check:
    look = functools.partial(_of_network, program)
    return Check(program, needed_for, look, remedy=installed.hint(program))


CHECKS: tuple[Check, ...] = (
    _network_row("ip", "ns_link, ns_net_info, links of ns_definition"),
    _network_row("nft", "ns_link: masquerade, publish"),
    _network_row("ss", "ns_link: publish"),
    _network_row("tc", "ns_link: publish for ::1, where bridges filter packets"),
    _network_row("wg", "ns_link: wireguard"),
    _row("skopeo", "ns_rootfs: image"),
    _row("umoci", "ns_rootfs: image"),
    _row("mmdebstrap", "ns_rootfs: bootstrap"),
    Check(
        "tar",
        "ns_rootfs: image, directory",
        functools.partial(_of_path, "tar"),
        remedy="Install the Debian package tar.",
    ),
    Check(
        "gzip, xz, bzip2",
        "ns_rootfs: archives compressed with them; else Python does it",
        _compressions,
        remedy="Install the Debian packages gzip, xz-utils and bzip2.",
    ),
    Check(
        "zstd",
        "ns_rootfs: archives compressed with it",
        functools.partial(_of_path, "zstd"),
        remedy="Install the Debian package zstd.",
    ),
    *(
        _row(program, f"ns_unshare_run: network: {program}")
        for program in (user_network.PASTA, user_network.SLIRP)
    ),
    Check(
        "systemd",
        "services that are started again when they fail, and namespaces at boot",
        _systemd,
        remedy="Without it have `nsctl up --all` run at boot.",
    ),
    Check(
        "programs of systemd",
        "ns_service, nsctl logs and nsctl adopt, where systemd runs the host",
        _programs_of_systemd,
        remedy="Install the Debian package systemd.",
    ),
)
