# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Options and sources of file systems that the kernel takes for paths, or for open files.

The kernel would look them up from the root of whoever mounts, through any link. The directories of
an overlay are opened by us (layers.py); all others it takes as text alone, so what they name has
to be the host's own.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import Refused
from . import layers

if t.TYPE_CHECKING:
    from .options import Options

# Numbers of open files (fuse, autofs, coda; 9p with trans=fd).
_DESCRIPTORS = ("fd", "rfdno", "wfdno")
# What is a path also when it does not start with a slash: journals and further devices of ext4,
# xfs, btrfs, erofs and reiserfs; a namespace for proc; a program for cgroup.
_PATHS = ("journal_path", "logdev", "rtdev", "device", "jdev", "pidns", "release_agent")
# Whose source is the path of a device, or of a directory, also when it does not start with a slash:
# from wherever the caller is then.
_PATH_IN_SOURCE = (
    "adfs", "affs", "bcachefs", "befs", "bfs", "btrfs", "cramfs", "ecryptfs", "efs", "erofs",
    "exfat", "ext2", "ext3", "ext4", "f2fs", "freevxfs", "fuseblk", "gfs2", "hfs", "hfsplus",
    "hpfs", "iso9660", "jfs", "minix", "msdos", "nilfs2", "ntfs", "ntfs3", "ocfs2", "omfs",
    "qnx4", "qnx6", "reiserfs", "romfs", "squashfs", "sysv", "udf", "ufs", "v7", "vfat", "xfs",
    "zonefs",
)  # fmt: skip
_MTD = re.compile("mtd[^/]*")  # the number or the name of such a device, in place of a path
# Several devices in one source.
_LISTS_IN_SOURCE = ("bcachefs",)


def named(fstype: str, asked: Options) -> list[tuple[str, str]]:
    """The options that hold a path, without the directories of an overlay: (key, path)."""
    return [
        (key, value) for key, value in asked.filesystem if value and is_path(fstype, key, value)
    ]


def is_path(fstype: str, key: str, value: str | None) -> bool:
    """Whether the option holds a path that the kernel looks up by itself."""
    # To remount takes no type.
    if value is None or (fstype in ("overlay", "") and key in layers.KEYS):
        return False
    return key in _PATHS or value.startswith("/")


def is_on_device(fstype: str) -> bool:
    """Whether a file system of the type is mounted from a device, or a directory."""
    return fstype.partition(".")[0] in _PATH_IN_SOURCE  # what follows says which of FUSE it is


def of_source(fstype: str, src: str, asked: Options) -> list[str]:
    """The paths in the source of a file system: a device, an image, a socket; or none."""
    parts = src.split(":") if fstype in _LISTS_IN_SOURCE else [src]
    is_name = fstype == "overlay"  # which has none, and shows whatever it was given
    known = is_on_device(fstype) or ("trans", "unix") in asked.filesystem
    return [
        part
        for part in parts
        if not is_name and (part[:1] == "/" or (known and part and not _MTD.fullmatch(part)))
    ]


def check(fstype: str, asked: Options, *, where: str, src: str = "") -> None:
    """Refuse options, and a source, that make no sense by themselves; ``where`` is the path of the mount.

    Raises Refused.
    """
    keys = {key for key, _value in asked.filesystem}
    for key in keys.intersection(_DESCRIPTORS):
        raise Refused(
            f"the option {key} of the mount on {where} is the number of an open file, which nobody "
            "can know",
            "Have the program that opens the file mount it, and bind it from there.",
        )
    paths = named(fstype, asked)
    if src:
        paths += [("src", path) for path in of_source(fstype, src, asked)]
    if fstype == "overlay":
        if "lowerdir" in keys and keys & {layers.LOWER, layers.DATA}:
            raise Refused(
                f"lowerdir of the mount on {where} excludes lowerdir+ and datadir+",
                "Name all directories in the same way.",
            )
        paths += [(each.key.rstrip("+"), each.path) for each in layers.of(asked.filesystem)]
    for key, path in paths:
        if not path.startswith("/") or "\0" in path:
            raise Refused(f"{key} of the mount on {where} must be an absolute path, not {path!r}")
