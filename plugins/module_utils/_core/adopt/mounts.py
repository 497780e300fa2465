# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is mounted in a mount namespace beside what it has of the host, as mounts of a named namespace.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import host_paths
from ..definition.layout import is_below
from ..definition.root import home_of
from ..mount import options, table
from ..mount.table import Mount
from .adopted import EMPTY, Adopted, Options

# What is not said of a mount that the kernel says of every one.
_USUAL = ("rw", "relatime", "seclabel")
# Of whom nothing can be said that would make them again.
_NEVER = ("autofs", "fuse", "fuseblk", "nsfs", "rpc_pipefs")
# Flag of a mount: the word for a mount that has not got it, of one that has.
_OPPOSITES = {
    "ro": "rw",
    "nosuid": "suid",
    "nodev": "dev",
    "noexec": "exec",
    "nosymfollow": "symfollow",
    "nodiratime": "diratime",
}
# What the kernel adds to the path of a directory that was removed.
_REMOVED = "//deleted"


def add(
    found: Adopted, there: t.Sequence[Mount], host: t.Sequence[Mount], full: t.Container[str] = ()
) -> None:
    """Take over what is ``there``, as seen from the root of the namespace, but for what is the host's.

    ``full`` are the places of file systems in memory with something in them.
    """
    host = table.reachable(host)
    seen = table.reachable(there)
    root = next(mount for mount in seen if mount.path == "/")
    own = {(mount.device, mount.root, mount.path): mount for mount in host}
    if (root.device, root.root, "/") not in own and not _add_root(found, root, host):
        return
    propagation = _propagation(root, () if found.root is not None else host)
    if propagation != "private":
        found.properties["propagation"] = propagation
    ids = {mount.id for mount in seen}
    news = []
    for mount in table.Table(there).descendants(root.id):
        if mount.id not in ids or mount.path == "/":
            continue
        copied = own.get((mount.device, mount.root, mount.path))
        if found.root is None and copied is not None and copied.flags == mount.flags:
            continue
        news.append(mount.path)
        what = f"the mount on {mount.path}"
        if is_below(mount.path, host_paths.BASE):
            found.leave(what, "named namespaces are the host's")
            continue
        said = _said(mount, host, seen)
        if isinstance(said, str):
            found.leave(what, said)
            continue
        found.add_mount({"path": mount.path, **said}, what)
        if mount.path in full and "bind" not in said.get("opts", ()):
            found.leave(f"what lies in {mount.path}", f"a {mount.fstype} is empty when it is made")
    if found.root is None:
        _tell_what_is_missing(found, seen, news, host)


def _add_root(found: Adopted, root: Mount, host: t.Sequence[Mount]) -> bool:
    said = _said(root, host, ())
    if isinstance(said, str):
        found.leave("the root, and what is mounted on it", f"{said}: give it a rootfs")
        return False
    if "src" not in said or "bind" not in said.get("opts", ()):
        found.leave("the root", f"what lies in its {root.fstype} is not a part of definitions")
    said["opts"] = [*said.get("opts", []), "X-mount.mkdir"]
    found.root = {"path": f"{home_of(found.name)}/root", **said}
    return True


def _tell_what_is_missing(
    found: Adopted, seen: t.Sequence[Mount], news: t.Sequence[str], host: t.Sequence[Mount]
) -> None:
    paths = {mount.path for mount in seen}
    for mount in host:
        is_ours = is_below(mount.path, host_paths.BASE) or mount.fstype == "nsfs"
        is_hidden = any(is_below(mount.path, new) for new in news)
        if mount.path not in paths and not is_ours and not is_hidden:
            found.leave(
                f"that the host's mount on {mount.path} is not there",
                "a new mount namespace has what the host has",
            )


def _propagation(root: Mount, host: t.Sequence[Mount]) -> str:
    """The word of the option for what mounts have to do with those of the host."""
    groups = {peer for mount in host for peer in mount.peers if peer.startswith("shared:")}
    if groups & {*root.peers}:
        return "unchanged"
    return "slave" if "slave" in root.propagation else "private"


def _said(mount: Mount, host: t.Sequence[Mount], beside: t.Sequence[Mount]) -> Options | str:
    """The options of a mount like this one, but for its path; or why there are none.

    ``beside`` are those in the same namespace.
    """
    if mount.root.endswith(_REMOVED):
        return "what it shows was removed"
    if "idmapped" in mount.flags:
        return "its ids are mapped: see X-mount.idmap"
    flags = [flag for flag in mount.flags if flag not in _USUAL]
    if not {"noatime", "relatime"} & {*mount.flags}:
        flags.append("strictatime")
    # What the host has mounted too is shown by a bind of it.
    found = _shown_by(mount, host)
    if found is not None:
        src, shown = found
        return {"src": src, "opts": ["bind", *flags, *_opposites(mount, shown)]}
    if any(each.device == mount.device for each in host):
        return "what it shows is nowhere on the host"
    if mount.root != "/":
        others = [each for each in beside if not is_below(each.path, mount.path)]
        found = _shown_by(mount, others) if mount.fstype not in EMPTY else None
        if found is not None:
            # A mount above it may have come between, with flags of its own.
            words = ["bind", *flags, *(["rw"] if "ro" not in flags else [])]
            return {"src": found[0], "src_in": "namespace", "opts": words}
    if mount.root != "/" or mount.fstype.partition(".")[0] in _NEVER:
        return f"a {mount.fstype} that nothing can make again"
    words = [word for word in mount.options if word not in _USUAL]
    if any('"' in word for word in words):
        return "its options hold a quote"
    said: Options = {"src": mount.src, "fstype": mount.fstype}
    said["opts"] = [*dict.fromkeys([*flags, *map(options.quoted, words)])]
    return {key: value for key, value in said.items() if value}


def _opposites(mount: Mount, shown: Mount) -> list[str]:
    """The words for what the mount that is shown has, and this one has not."""
    words = [no for flag, no in _OPPOSITES.items() if flag in {*shown.flags} - {*mount.flags}]
    return [*words, *(["relatime"] if "relatime" in {*mount.flags} - {*shown.flags} else [])]


def _shown_by(mount: Mount, mounts: t.Sequence[Mount]) -> tuple[str, Mount] | None:
    """Where one of the mounts shows the same, and which one."""
    for each in mounts:
        if each.device == mount.device and is_below(mount.root, each.root):
            rest = mount.root[len(each.root.rstrip("/")) :]
            path = (each.path.rstrip("/") + rest).rstrip("/") or "/"
            above = [other for other in mounts if is_below(path, other.path)]
            if max(above, key=lambda other: len(other.path)) is each:
                return path, each
    return None
