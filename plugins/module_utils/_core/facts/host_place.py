# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a host is, and what the caller may do there: versions, cgroups, where it can be written, whose it is.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import os
import sys

from ..mount import table
from ..process import proc
from .host_look import LIMITED, MISSING, OK, UNKNOWN, Check, Found, Host

OLDEST_KERNEL = (5, 10)
OLDEST_PYTHON = (3, 9)
# Of the namespaces that the kernel begins with (include/linux/proc_ns.h).
_FIRST = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC}
# What engines of containers leave inside: a file, and who has it.
_MARKS = {
    "/run/systemd/container": "",
    "/run/.containerenv": "podman",
    "/.dockerenv": "docker",
}
_PLACES = {
    "/run": "pins, and locks",
    "/etc": "definitions, units",
    "/usr/local": "nsctl, for namespaces that come back at boot and services of systemd",
}
_LESS = {
    "/var/log": "what services write, without systemd",
    "/var/lib": "roots of ns_definition",
    "/var/cache": "ns_rootfs: what was fetched or built, for other names and hosts",
}


def _kernel(_host: Host) -> Found:
    release = os.uname().release
    state = OK if version_in(release) >= OLDEST_KERNEL else MISSING
    return Found(state, release)


def version_in(release: str) -> tuple[int, ...]:
    """The version in the name of a kernel: two numbers."""
    numbers = release.partition("-")[0].split(".")[:2]
    return tuple(int("".join(filter(str.isdigit, each)) or 0) for each in numbers)


def _python(_host: Host) -> Found:
    state = OK if sys.version_info >= OLDEST_PYTHON else MISSING
    # Without ctypes nothing of this would have come as far.
    return Found(state, f"{python_version()}, with ctypes")


def python_version() -> str:
    """As people write it."""
    return ".".join(map(str, sys.version_info[:3]))


def cgroup_version(host: Host) -> int | str | None:
    """Which cgroups are mounted: 2, 1, "hybrid" for both, None for none."""
    types = {mount.fstype for mount in _cgroup_mounts(host)}
    if types == {"cgroup", "cgroup2"}:
        return "hybrid"
    return {"cgroup2": 2, "cgroup": 1}.get(*types) if types else None


def _cgroup_mounts(host: Host) -> list[table.Mount]:
    lines = host.text("/proc/self/mountinfo").splitlines()
    return table.parse("\n".join(line for line in lines if " - cgroup" in line))


def _cgroups(host: Host) -> Found:
    mounted = _cgroup_mounts(host)
    if not mounted:
        return Found(MISSING, "no cgroup file system is mounted")
    version = cgroup_version(host)
    names = _controllers(host, [each.path for each in mounted if each.fstype == "cgroup2"])
    text = f"{version if version == 'hybrid' else f'version {version}'}: {', '.join(names) or 'no controllers'}"
    if host.is_root and not any(os.access(each.path, os.W_OK) for each in mounted):
        return Found(
            LIMITED,
            f"{text}; they can only be read",
            "Mount them for writing, or have the container get cgroups of its own.",
        )
    return Found(OK, text)


def _controllers(host: Host, tops: list[str]) -> list[str]:
    """Those of version 1 that are in use, and those of version 2 (cgroups(7))."""
    rows = [line.split() for line in host.text("/proc/cgroups").splitlines()]
    found = {row[0] for row in rows if len(row) == 4 and row[1] not in ("0", "hierarchy")}
    for top in tops[:1]:
        found.update(host.text(f"{top}/cgroup.controllers").split())
    return sorted(found)


def _first_user_namespace(_host: Host) -> Found:
    own = proc.ids_of_process("self", _FIRST)
    if not own:
        return Found(UNKNOWN, "nothing says so")
    if own.get("user", _FIRST["user"]) != _FIRST["user"]:
        return Found(
            LIMITED,
            "this is another one: root is root there, and not of the machine",
            "Run on the host itself for what is left out.",
        )
    return Found(OK, "this is it")


def _no_container(host: Host) -> Found:
    marks = {path: name for path, name in _MARKS.items() if os.path.exists(path)}
    engine = next((host.text(path).strip() or name for path, name in marks.items()), "")
    own = proc.ids_of_process("self", ["pid"]).get("pid", _FIRST["pid"])
    # A machine may have the image of a container for its root; what lies in /run is of this boot.
    if own != _FIRST["pid"] or any(path.startswith("/run/") for path in marks):
        return Found(
            LIMITED,
            f"this is a container of {engine}" if engine else "the processes are not the machine's",
            "Give it the rights and devices that are missing, or run on the host itself.",
        )
    return Found(OK, "nothing looks like one")


def _capability(host: Host) -> Found:
    if host.is_capable:
        return Found(OK, "the caller has it")
    if host.is_root:
        return Found(
            MISSING,
            "root has it not: it was taken away, as from containers",
            "Give the container CAP_SYS_ADMIN, or run on the host.",
        )
    return Found(
        LIMITED,
        f"the caller is no root (uid {os.geteuid()}), and sees less",
        "Run it as root for what modules can do with become: true.",
    )


def _writable(path: str, host: Host) -> Found:
    try:
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as error:
        return Found(MISSING, f"{path}: {error.strerror}", f"Make the directory {path}.")
    if is_read_only:
        return Found(
            MISSING, "it can only be read", f"Mount it for writing: mount -o remount,rw {path}."
        )
    if os.access(path, os.W_OK):
        return Found(OK, "it can be written")
    if host.is_root:
        return Found(MISSING, "root may not write there", f"`lsattr -d {path}` may say why.")
    return Found(UNKNOWN, "only root may write there", "Run it as root to see.")


CHECKS: tuple[Check, ...] = (
    Check(
        f"Linux {'.'.join(map(str, OLDEST_KERNEL))}",
        "all",
        _kernel,
        required=True,
        remedy="Boot a newer kernel.",
    ),
    Check(
        f"Python {'.'.join(map(str, OLDEST_PYTHON))}",
        "all; nothing beside its standard library",
        _python,
        required=True,
        remedy="Install a newer Python.",
    ),
    Check(
        "CAP_SYS_ADMIN", "all that makes or joins namespaces of a name", _capability, required=True
    ),
    Check(
        "the first user namespace",
        "devices, disks, clocks and what else is the machine's",
        _first_user_namespace,
    ),
    Check(
        "no container around",
        "rights and devices that engines of containers take away",
        _no_container,
    ),
    *(
        Check(f"{path}, to be written", text, functools.partial(_writable, path), required=True)
        for path, text in _PLACES.items()
    ),
    *(
        Check(f"{path}, to be written", text, functools.partial(_writable, path))
        for path, text in _LESS.items()
    ),
    Check(
        "cgroups",
        "ending all that a service or the holder of a pid namespace has started",
        _cgroups,
        remedy="Mount them: mount -t cgroup2 cgroup2 /sys/fs/cgroup.",
    ),
)
