# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What has to be there on the host before a definition can be carried out, for systemd to wait for.

    /etc/systemd/system/linux-namespaces@web.service.d/definition.conf

It is written with the definition (file.py), where systemd manages the host, and names mounts, devices
and the network. They are wanted, not required: a unit that lacks what it requires is not started, and so not
among those that have failed. Instead it fails by itself, with the reason: see absent_mounts().
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths
from ..errors import Refused
from ..storage import atomic
from .layout import ancestors
from .steps import MountStep, PivotStep, RootStep

if t.TYPE_CHECKING:
    from .model import Definition
    from .steps import Step

_FILE = "definition.conf"
# As systemd knows them (systemd.mount(5), _netdev), and 9p, which may go over TCP.
_NETWORK_TYPES = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs", "gfs2", "glusterfs", "lustre",
        "ncp", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "sshfs",
    }
)  # fmt: skip
# Before anything else is started they are there.
_ALWAYS_THERE = ("/proc", "/sys", "/dev")
_LONGEST_UNIT = 255
# Where units of mounts lie that this host was given: by its administrator, or from /etc/fstab.
_CONFIGURED = (host_paths.UNITS, "/run/systemd/system", "/run/systemd/generator")


def drop_in(definition: Definition) -> str:
    """What systemd is told; empty where nothing has to be there first. Pure.

    All of it are names of units in which systemd's own escaping has left no character with a meaning.
    """
    steps = _taken_at_boot(definition)
    needed = _units(_needed(steps))
    lines = [f"{key}={unit}" for unit in needed for key in ("Wants", "After")]
    # What need not be there is not waited for, unless somebody else wants it (systemd.mount(5), nofail).
    lines += [f"After={unit}" for unit in _units(steps) if unit not in needed]
    for other in sorted(definition.needed):
        unit = host_paths.boot_unit_name(other)
        lines += [f"Wants={unit}", f"After={unit}"]
    of_host = any(link.is_of_host for link in definition.links)
    if of_host or any(_is_of_network(step) for step in steps):
        # As for a mount of the host's (systemd.mount(5), DEFAULT DEPENDENCIES).
        lines += ["Wants=network-online.target", "After=network-online.target remote-fs-pre.target"]
    if not lines:
        return ""
    head = f"# Written by linux.namespaces with the definition of {definition.name}."
    return "\n".join([head, "[Unit]", *lines, ""])


def write(definition: Definition) -> bool:
    """Write it, or remove it where it says nothing; whether it is another than before.

    Raises OSError.
    """
    path = _path_of(definition.name)
    text = drop_in(definition) if os.path.isdir(host_paths.SYSTEMD) else ""
    if not text:
        was_there = atomic.is_there(path)
        forget(definition.name)
        return was_there
    before = os.path.exists(path) and os.stat(path)
    atomic.make_directory(os.path.dirname(path), mode=0o755)
    atomic.write(path, text, mode=0o644)  # which leaves alone what is as it should be
    return not before or not os.path.samestat(before, os.stat(path))


def forget(name: str) -> None:
    """Remove it, and its directory where nobody has put more into that. Raises OSError."""
    path = _path_of(name)
    atomic.remove(path)
    atomic.remove_directory(os.path.dirname(path))


def absent_mounts(definition: Definition, mounted: t.Container[str]) -> list[tuple[str, str]]:
    """The mounts that the host is configured to have, that the definition needs, and that are not there.

    ``mounted`` are the places where something is mounted. Each with its unit: ("/srv", "srv.mount").
    """
    if not os.path.isdir(host_paths.SYSTEMD):
        return []
    return [
        (path, unit)
        for path, unit in _mounts(_needed(_taken_at_boot(definition)))
        if path not in mounted and any(_is_unit(f"{above}/{unit}") for above in _CONFIGURED)
    ]


def _path_of(name: str) -> str:
    return f"{host_paths.drop_ins(host_paths.boot_unit_name(name))}/{_FILE}"


def _is_unit(path: str) -> bool:
    return os.path.exists(path) and os.path.realpath(path) != os.devnull  # else it is masked


def _taken_at_boot(definition: Definition) -> list[Step]:
    return [step for step in definition.steps if not step.only_if_asked]


def _needed(steps: t.Sequence[Step]) -> list[Step]:
    return [step for step in steps if not step.may_be_absent]


def _units(steps: t.Sequence[Step]) -> list[str]:
    devices = {_device_of(step) for step in steps if isinstance(step, MountStep)} - {""}
    found = {unit for _path, unit in _mounts(steps)}
    found |= {_unit_of(device, "device") for device in devices}
    return sorted(unit for unit in found if len(unit) <= _LONGEST_UNIT)


def _device_of(step: MountStep) -> str:
    """The path of the device that it mounts, by which udev and systemd know it; empty for none."""
    if not {"bind", "rbind", "loop"}.isdisjoint(step.words):
        return ""
    if step.has_tag:
        from . import tag  # for who names a device so

        try:
            return tag.of(step.src).link
        except Refused:  # somebody has edited it, and whoever takes it says what is wrong
            return ""
    path = os.path.normpath(step.src)
    return path if path.startswith("/dev/") else ""


def _mounts(steps: t.Sequence[Step]) -> list[tuple[str, str]]:
    """All places where a mount would have to be there first, with the unit of such a mount."""
    found = {
        above
        for path in _paths(steps)
        for above in (*ancestors(path), path)
        if above != "/" and not f"{path}/".startswith(tuple(f"{each}/" for each in _ALWAYS_THERE))
    }
    return [(path, _unit_of(path, "mount")) for path in sorted(found)]


def _paths(steps: t.Sequence[Step]) -> set[str]:
    """The paths of the host that the steps name."""
    found: list[str] = []
    shows_host = True  # until it has a root of its own
    for step in steps:
        if isinstance(step, PivotStep):
            shows_host = False
            continue
        if shows_host:
            found.append(step.path)
        if isinstance(step, RootStep):
            found += [step.archive, step.directory]
        elif step.src_in == "host" or shows_host:
            found += _paths_in(step)
    return {f"/{os.path.normpath(path).lstrip('/')}" for path in found if path.startswith("/")}


def _paths_in(step: MountStep) -> list[str]:
    """What of its source and options may be a path: one too many does no harm."""
    texts = [word.partition("=")[2] for word in step.words]
    if not _is_of_network(step):
        texts.append(step.src)
    # Overlays and some disks have several in one.
    return [part for text in texts for part in (text, *text.split(":"))]


def _is_of_network(step: object) -> bool:
    if not isinstance(step, MountStep):
        return False
    return step.fstype.removeprefix("fuse.") in _NETWORK_TYPES or "_netdev" in step.words


def _unit_of(path: str, suffix: str) -> str:
    """The name of the unit of a path: systemd.unit(5), STRING ESCAPING FOR INCLUSION IN UNIT NAMES."""
    data = os.path.normpath(path).strip("/").encode("utf-8", "surrogateescape")
    name = "".join(
        "-"
        if byte == ord("/")
        else chr(byte)
        if chr(byte).isascii()
        and (chr(byte).isalnum() or chr(byte) in ":_" or (byte == 0x2E and at))
        else f"\\x{byte:02x}"
        for at, byte in enumerate(data)
    )
    return f"{name}.{suffix}"
