# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why umoci(1) could not unpack a layer: which one, which entry of it, and what to do.

umoci says how far it came, in words of its own; the entry is looked up in the layer.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ...definition.data import shortened
from ...errors import Refused
from ...syscalls import regular_files
from ..tar import decompress, reader
from ..tar.byte_stream import ByteStream
from ..tar.reader import Entry

# Of umoci, with --verbose.
_LAYER = re.compile(r"unpack layer: (sha256:[0-9a-f]{64})")
_ENTRY = "unpack entry: "
# What it writes where the file system takes no attributes, the first time.
_NO_ATTRIBUTES = ("ignoring ENOTSUP on setxattr", "does not support xattrs")
_WHITEOUT = b".wh."
_SHOWN = 200
_REMEDY = (
    "Make the image anew. Where docker takes it, what docker export writes of a container of it can be"
    " given with archive."
)
_ROOM = ("no space left on device", "disk quota exceeded")


class Layers(t.NamedTuple):
    """The layers of an image, from the lowest on."""

    image: str
    # As umoci names them: skopeo may have compressed them anew.
    digests: tuple[str, ...]
    # As the image and docker name them.
    known: tuple[str, ...]
    # The files that hold them.
    paths: tuple[str, ...]


def explain(layers: Layers, lines: t.Iterable[str]) -> tuple[str, str]:
    """Why it failed, and what to do, by the ``lines`` that umoci has written.

    Both are empty where it did not fail for what is in a layer.
    """
    # The name of an entry may have newlines in it.
    parts = ["", *_LAYER.split(" ".join(lines))]
    digest, last = parts[-2:]
    _before, found, rest = last.partition(_ENTRY)
    if not found or digest not in layers.digests:
        return "", ""
    number = layers.digests.index(digest)
    where = f"layer {number + 1} of {len(layers.digests)} ({shortened(layers.known[number])}): "
    try:
        entry = _entry(layers, number, rest)
    except (Refused, OSError) as error:
        return f"{where}{error.reason if isinstance(error, Refused) else error.strerror}", _REMEDY
    why, hint = _why(entry, rest) if entry is not None else (_tail(rest), "")
    return where + why, hint or _REMEDY


def check_attributes(layers: Layers, lines: t.Iterable[str]) -> str:
    """A warning where the file system has taken no attributes; else empty.

    Raises Refused where a program has capabilities, without which it does not work.
    """
    if not any(word in line for line in lines for word in _NO_ATTRIBUTES):
        return ""
    for number in range(len(layers.paths)):
        for entry in _entries(layers, number):
            if "security.capability" in entry.xattrs:
                raise Refused(
                    f"{_shown(_clean(entry.name))} of {layers.image} has file capabilities, which the"
                    " file system here cannot keep",
                    "Name a path on another one, as a tmpfs or ext4.",
                )
    return f"attributes of files of {layers.image} could not be kept: the file system has none"


def _entries(layers: Layers, number: int) -> t.Iterator[Entry]:
    """Those of one layer. Raises Refused where it is damaged, OSError."""
    with contextlib.ExitStack() as stack:
        fd = regular_files.open_regular(layers.paths[number])
        stack.callback(os.close, fd)
        content = stack.enter_context(decompress.opened(fd, name=layers.image))
        stream = ByteStream(content.fd, name=layers.image)
        entries = reader.Reader(stream, name=layers.image, needs_end=False)
        while (entry := entries.next()) is not None:
            yield entry


def _entry(layers: Layers, number: int, rest: str) -> Entry | None:
    """The last entry whose name ``rest`` begins with, which goes on with the cause."""
    found: Entry | None = None
    rest = " ".join(rest.split())
    for entry in _entries(layers, number):
        # As what a program writes is read (run_tool.py).
        name = " ".join(_clean(entry.name).decode("utf-8", "replace").split())
        if rest.startswith(f"{name}: ") and (
            found is None or len(_clean(entry.name)) >= len(_clean(found.name))
        ):
            found = entry
    return found


def _clean(name: bytes) -> bytes:
    """As umoci has it: from the root on."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            parts = parts[:-1]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts) or b"."


def _why(entry: Entry, rest: str) -> tuple[str, str]:
    """What is wrong with the entry, and what to do where that is more than _REMEDY."""
    name = _clean(entry.name)
    shown, kind, tail = _shown(name), reader.KIND_NAMES[entry.kind], _tail(rest)
    last = name.rpartition(b"/")[2]
    if any(word in rest for word in _ROOM):
        return (
            f"there is no room for the {kind} {shown}: {tail}",
            "Make room, or name another path.",
        )
    if last.startswith(_WHITEOUT) and last[4:] in (b"", b".", b".."):
        return (
            f"{shown} is a whiteout of no file: it would remove the directory that it lies in",
            f"Do not trust this image, or make it anew. {_OF_WHITEOUTS}",
        )
    if last.startswith(_WHITEOUT):
        return f"the whiteout {shown} cannot be followed: {tail}", f"Make it anew. {_OF_WHITEOUTS}"
    if entry.kind == reader.LINK:
        return _why_no_link(entry, shown, tail), ""
    if "xattr" in rest:
        names = ", ".join(sorted(_shown(os.fsencode(each)) for each in entry.xattrs))
        return _why_no_attributes(entry, f"the attributes of the {kind} {shown}", names, tail)
    if entry.kind in reader.DEVICES and tail in _FORBIDDEN:
        return f"the device node {shown} may not be made here: {tail}", _OF_DEVICES
    if "chown" in rest and tail == "invalid argument":
        return f"{shown} is owned by {entry.uid}:{entry.gid}, which has no id here", ""
    if name == b".":
        return f"its root is a {kind}", "Do not trust this image."
    causes = {
        "file name too long": f"the name {shown} has {len(last)} bytes, more than the kernel takes",
        "not a directory": f"{shown} lies below what is no directory",
        "too many levels of symbolic links": f"{shown} lies below a link that leads to itself",
    }
    return causes.get(tail, f"the {kind} {shown} cannot be made: {tail}"), ""


_FORBIDDEN = ("operation not permitted", "permission denied")
_OF_WHITEOUTS = "The OCI image specification has them as .wh.NAME, beside the file that goes."
_OF_DEVICES = (
    "Unpack it where mknod(2) is allowed: as root of the host, with CAP_MKNOD, and not in a container"
    " or user namespace without; or make the image without it."
)


def _why_no_link(entry: Entry, shown: str, tail: str) -> str:
    target = _shown(_clean(entry.target))
    if tail == "no such file or directory":
        return f"{shown} is a hard link to {target}, which neither it nor a layer below has"
    if tail == "operation not permitted":
        return (
            f"{shown} is a hard link to {target}, which is a directory or may not have another name"
        )
    return f"the hard link {shown} to {target} cannot be made: {tail}"


def _why_no_attributes(entry: Entry, which: str, names: str, tail: str) -> tuple[str, str]:
    of_users = any(name.startswith("user.") for name in entry.xattrs)
    if of_users and entry.kind not in (reader.FILE, reader.DIRECTORY):
        return (
            f"{which} cannot be set ({names}): only files and directories have any of users (xattr(7))",
            "Make the image anew without them.",
        )
    return (
        f"{which} cannot be set ({names}): {tail}",
        "Name a path on a file system that takes them, as ext4, xfs or btrfs.",
    )


def _tail(rest: str) -> str:
    """The last part of what umoci says: what the kernel said."""
    tail = rest.rpartition(": ")[2]
    return tail if len(tail) <= _SHOWN else f"{tail[:_SHOWN]}..."


def _shown(name: bytes) -> str:
    """A name for people: in quotes, control characters escaped, its end cut off when it is long."""
    text = repr(name[:_SHOWN].decode("utf-8", "backslashreplace"))
    return text + "..." if len(name) > _SHOWN else text
