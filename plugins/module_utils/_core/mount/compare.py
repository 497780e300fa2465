# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a mount that is there is the one that is wanted, and what differs if not.

Pure: works on the mount table's records and on identities that were read before.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition.steps import MountStep
from ..syscalls import mounts as calls
from . import compare_options, id_ranges, option_paths, options
from .id_ranges import IdRange
from .table import Mount
from .wanted import WantedMount

# Whose source is not kept: it is shown as none, whatever it was (fs/pstore/inode.c).
_NAMELESS = ("pstore",)


class Identity(t.NamedTuple):
    """Which file something is: what a bind's source and its mount have in common."""

    device: int
    inode: int


class Part(t.NamedTuple):
    """Which bytes of an image a loop device shows."""

    offset: int = 0
    # 0 for all up to its end.
    size: int = 0


class RootOf(t.NamedTuple):
    """What the root of a mount has, or is to have; None for what it may have."""

    owner: int | None = None
    group: int | None = None
    mode: int | None = None

    @classmethod
    def asked(cls, asked: options.Options) -> RootOf:
        """What the words ask for, where users and groups are numbers."""
        owner, group = (
            int(each) if each.isdigit() else None for each in (asked.owner, asked.group)
        )
        return cls(owner, group, asked.mode)

    def without(self, has: RootOf) -> RootOf:
        """What of this is not as it ``has`` it."""
        owner, group, mode = (want if want != now else None for want, now in zip(self, has))
        # With the owner the kernel may take bits of the mode away (chown(2)).
        is_taken = owner is not None or group is not None
        return RootOf(owner, group, self.mode if is_taken else mode)


class LoopDevice(t.NamedTuple):
    """A loop device that shows an image."""

    # "major:minor", as in mount tables.
    number: str
    path: str
    read_only: bool
    # Whether it ends with its mount. One that does not, somebody has attached, and keeps.
    autoclear: bool
    part: Part = Part()


class BlockDevice(t.NamedTuple):
    """A block device that is named as a source."""

    # "major:minor", as in mount tables.
    number: str
    # Its name without links, which mount(8) gives to the kernel.
    path: str
    # What mount tables may call it, or the file system that it is a part of.
    names: frozenset[str]


class Source(t.NamedTuple):
    """What is known of what a mount is made of, before it is mounted."""

    # Of a bind or an image.
    identity: Identity | None = None
    # MOUNT_ATTR_* bits of the mount that it lies on.
    attributes: int = 0
    is_directory: bool = True
    # Whether the ids of the mount that it lies on are mapped, and whether that is shared.
    is_idmapped: bool = False
    is_shared: bool = False
    # Those that show any of the image, and which part of that is wanted.
    devices: tuple[LoopDevice, ...] = ()
    part: Part = Part()
    # The one that is named.
    device: BlockDevice | None = None
    # The names that the kernel may have for each directory of an overlay, by its path in opts.
    names: dict[str, list[str]] | None = None


class Observed(t.NamedTuple):
    """What is at a path."""

    exists: bool
    is_directory: bool = True
    # The topmost mount there; None where the path is no mount point.
    mount: Mount | None = None
    # Of the root of that mount.
    identity: Identity | None = None
    # How many are stacked directly beneath it at the same path.
    stacked: int = 0
    # What is mounted below it, where anything of the wanted mount is about that.
    children: tuple[Mount, ...] = ()
    # The file system is one of the host's, seen through a copied mount: to change it would change
    # the host.
    is_hosts: bool = False
    # The host has mounted it as well, as the one cgroup2 or a device: the mount is ours, the file
    # system is not ours alone.
    is_shared: bool = False
    # Of that root, where they are compared: its owner, its group and its mode.
    root: RootOf | None = None
    # The path without links.
    name: str = ""
    # Where options of its file system are compared: an id of the mount that no later one gets, and
    # what is noted of it.
    unique: int = 0
    meaning: compare_options.Meaning | None = None
    # The maps of an idmapped mount, for uids and for gids; None where the kernel does not tell
    # (before Linux 6.15).
    id_map: tuple[tuple[IdRange, ...], tuple[IdRange, ...]] | None = None


class Differences(t.NamedTuple):
    """What has to change about a mount, by how it can be changed."""

    # Why only a new mount helps.
    replace: tuple[str, ...] = ()
    # The MOUNT_ATTR_* bits that the mount should have, or None where it has them.
    attributes: int | None = None
    # Options of the file system to change in place, (key, value); a flag has no value.
    reconfigure: tuple[tuple[str, str | None], ...] = ()
    # The propagation that the mount should have; empty where it has it.
    propagation: str = ""
    # What its root should have and has not.
    root: RootOf = RootOf()

    def __bool__(self) -> bool:
        return bool(
            self.replace
            or self.attributes is not None
            or self.reconfigure
            or self.propagation
            or self.root != RootOf()
        )


def is_as_wanted(
    wanted: WantedMount,
    observed: Observed,
    *,
    source: Source | None = None,
    recorded: MountStep | None = None,
    is_root: bool = False,
) -> bool:
    """Whether there is nothing to do about the mount: plan.py would plan nothing."""
    if wanted.left_out:
        return True
    if wanted.state == "unmounted" or observed.mount is None:
        return wanted.state == "unmounted" and observed.mount is None
    if is_to_be_unstacked(wanted, observed, is_root=is_root):
        return False
    return not differences(wanted, observed, source=source, recorded=recorded)


def is_to_be_unstacked(wanted: WantedMount, observed: Observed, *, is_root: bool) -> bool:
    """Whether what lies beneath it at the same path is to go.

    Not where the mount that is there is only to be changed. What is stacked below a root was there
    before it: rootfs, or another root.
    """
    return bool(observed.stacked) and wanted.state == "mounted" and not is_root


def differences(
    wanted: WantedMount,
    observed: Observed,
    *,
    source: Source | None = None,
    recorded: MountStep | None = None,
) -> Differences:
    """What differs between the topmost mount at a path and the wanted one.

    Compared are: the file-system type; the source (for binds the file that is shown, by device
    and inode); the mount's flags, those not asked for at their default (for binds: the
    source's); the file-system options that were asked for; the propagation if asked for. An
    option that the kernel does not show counts as equal when it is the default or when
    ``recorded`` was made with it.
    """
    mount = observed.mount
    if mount is None:
        return Differences(replace=("not mounted",))
    asked = wanted.options
    names = (source.names if source is not None else None) or {}

    def changed(fstype: str) -> tuple[compare_options.Pair, ...]:
        return compare_options.changed_options(
            fstype, asked, mount, recorded, names, observed.meaning
        )

    reasons: list[str] = []
    reconfigure: tuple[tuple[str, str | None], ...] = ()
    if wanted.state == "remounted":
        base = options.attributes_of(mount.flags)
        reconfigure = changed(mount.fstype)
    elif asked.bind:
        base = source.attributes if source else 0
        if source is None or source.identity != observed.identity:
            reasons.append("source")
    else:
        base = 0
        if observed.is_hosts:
            reasons.append("it is the host's own")
        elif mount.fstype != wanted.fstype and mount.fstype.partition(".")[0] != wanted.fstype:
            reasons.append("fstype")
        elif not _has_source(mount, wanted, source):
            reasons.append("src")
        elif _subdir_differs(mount, asked, recorded):
            reasons.append("subdirectory")
        elif device_to_replace(mount, wanted, source) is not None:
            reasons.append("its loop device can only be read")
        else:
            reconfigure = changed(wanted.fstype)
            reasons += [
                f"option {key}"
                for key, value in reconfigure
                if compare_options.takes_new(wanted.fstype, key, mount)
                or option_paths.is_path(wanted.fstype, key, value)
            ]
            if observed.is_shared:
                # What others have mounted as well keeps its options, as it does by mount(2).
                reconfigure = ()
    if wanted.state == "mounted" and _id_map_differs(wanted, observed, source, recorded):
        reasons.append("id map")
    if reasons:
        return Differences(replace=tuple(reasons))
    expected = asked.applied_to(base)
    attributes = None
    if options.attributes_of(mount.flags) != expected or (
        asked.recursive
        and any(
            asked.applied_to(has) != has
            for has in (options.attributes_of(child.flags) for child in observed.children)
        )
    ):
        attributes = expected
    may_change_filesystem = wanted.state == "mounted" and not asked.bind and not observed.is_shared
    if may_change_filesystem and attributes is not None:
        # ro and rw of mount(8) hold for the file system as well as for the mount.
        if asked.read_only and "ro" not in mount.options:
            reconfigure += (("ro", None),)
        elif not (expected & calls.MOUNT_ATTR_RDONLY or asked.reads_only) and "ro" in mount.options:
            reconfigure += (("rw", None),)
    return Differences(
        attributes=attributes,
        reconfigure=reconfigure,
        propagation=wanted.propagation if _propagation_differs(wanted, observed) else "",
        root=RootOf.asked(asked).without(observed.root or RootOf()),
    )


def _has_source(mount: Mount, wanted: WantedMount, source: Source | None) -> bool:
    if wanted.options.loop:
        return _device_of(mount, source) is not None
    device = source.device if source is not None else None
    if device is not None:
        return is_on(mount, device.number, device.names)
    return mount.src == (wanted.src or "none") or mount.fstype in _NAMELESS


def _subdir_differs(mount: Mount, asked: options.Options, recorded: MountStep | None) -> bool:
    if asked.subdir:
        # A subvolume of btrfs has a path of its own above it.
        is_above = mount.fstype == "btrfs" and mount.root.endswith(f"/{asked.subdir}")
        return not is_above and mount.root != f"/{asked.subdir}"
    had = options.parse(recorded.words, recorded.fstype).subdir if recorded is not None else ""
    return bool(had) and mount.root.endswith(f"/{had}")


def is_on(mount: Mount, number: str, names: t.Container[str]) -> bool:
    """Whether the device holds what is mounted.

    A file system that may have several devices, as btrfs, has a number of its own, in which nothing
    says which they are: it is known by what it was mounted from.
    """
    is_of_its_own = mount.device.startswith("0:")
    return mount.src in names if is_of_its_own else mount.device == number


def _device_of(mount: Mount, source: Source | None) -> LoopDevice | None:
    """The loop device of the image ``source`` that the mount is of."""
    if source is None:
        return None
    same = (each for each in source.devices if each.part == source.part)
    return next((each for each in same if is_on(mount, each.number, {each.path})), None)


def device_to_replace(
    mount: Mount, wanted: WantedMount, source: Source | None
) -> LoopDevice | None:
    """The loop device that keeps the mount from being written to, where that is wanted.

    What was attached to be read stays so: no call makes the device writable (loop(4)).
    """
    if not wanted.options.loop or wanted.options.reads_only:
        return None
    device = _device_of(mount, source)
    return device if device is not None and device.read_only else None


def _id_map_differs(
    wanted: WantedMount,
    observed: Observed,
    source: Source | None,
    recorded: MountStep | None,
) -> bool:
    asked = wanted.options.idmap
    has = observed.mount is not None and "idmapped" in observed.mount.flags
    if not asked:
        return has != (source is not None and source.is_idmapped)
    if not has:
        return True
    if asked.startswith("/") or observed.id_map is None:
        # Which namespace it was cannot be told: it is what was asked for last time.
        return (
            recorded is not None and options.parse(recorded.words, recorded.fstype).idmap != asked
        )
    # The kernel may put what adjoins together: compare what each id becomes, not the ranges.
    return any(
        id_ranges.joined(now) != id_ranges.joined(want)
        for now, want in zip(observed.id_map, id_ranges.ranges_of(asked))
    )


def _propagation_differs(wanted: WantedMount, observed: Observed) -> bool:
    if not wanted.propagation or observed.mount is None:
        return False
    affected = [observed.mount]
    word, recursive = options.propagation_of(wanted.propagation)
    if recursive:
        affected += observed.children
    for mount in affected:
        has = mount.propagation
        # A slave of nothing is what it was (mount_namespaces(7)): there is nothing to change.
        if word == "slave" and has not in ("private", "slave", "unbindable"):
            return True
        if word == "shared" and "shared" not in has:
            return True
        if word in ("private", "unbindable") and has != word:
            return True
    return False
