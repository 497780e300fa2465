# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kernel itself has of a file system: images of loop devices, swap, layers of overlays.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..mount import block_names, layers, table
from ..process import proc
from ..syscalls import loop_devices
from .holders_mounts import inside
from .holders_spaces import Space
from .holders_subject import Subject, part_at


class Hold(t.NamedTuple):
    """Something of the kernel that holds it."""

    # loop, swap, overlay, device.
    kind: str
    # For people.
    text: str
    # What ends it, for people.
    remedy: str
    # Whether that can only be done when all else is.
    comes_last: bool = False


class Image(t.NamedTuple):
    """A loop device with its file."""

    # "major:minor", and its path.
    number: str
    device: str
    # As the kernel names it: from the root of the namespace that it was opened in.
    file: str


def of(subject: Subject, spaces: t.Sequence[Space]) -> list[Hold]:
    """What the kernel holds of it."""
    return [
        *_loops(subject, spaces),
        *swaps(subject, spaces, proc.text_of("/proc/swaps")),
        *overlays(subject, spaces),
        *_upper(subject),
    ]


def images() -> list[Image]:
    """All loop devices that show a file."""
    found = []
    for name in sorted(os.listdir("/sys/block")) if os.path.isdir("/sys/block") else ():
        if name.startswith("loop"):
            path = f"/sys/block/{name}"
            file = proc.text_of(f"{path}/loop/backing_file").rstrip("\n")
            if file:
                found.append(Image(proc.text_of(f"{path}/dev").strip(), f"/dev/{name}", file))
    return found


def _loops(subject: Subject, spaces: t.Sequence[Space]) -> t.Iterator[Hold]:
    for image in images():
        is_it = image.number in subject.devices
        if is_it or (_is_in(subject, spaces, image.file) and _lies_on(image, subject)):
            yield _hold_of_loop(image, spaces, comes_last=is_it)


def _hold_of_loop(image: Image, spaces: t.Iterable[Space], *, comes_last: bool) -> Hold:
    places = [
        f"{mount.path} {inside(space)}"
        for space in spaces
        for mount in space.mounts
        if mount.device == image.number
    ]
    mounted = f", mounted on {', '.join(places)}" if places else ""
    after = "when that is unmounted, " if places and not comes_last else ""
    return Hold(
        "loop",
        f"{image.device} shows {image.file}{mounted}",
        f"{after}losetup --detach {image.device}",
        comes_last,
    )


def _lies_on(image: Image, subject: Subject) -> bool:
    """Whether its file is on the file system: the text may be that of another namespace."""
    numbers = {part.device for part in subject.parts}
    if any(each.startswith("0:") for each in numbers):
        return True  # btrfs has others for its files
    with contextlib.suppress(OSError):
        fd = os.open(image.device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return block_names.number_of(loop_devices.status_of(fd).backing[0]) in numbers
        finally:
            os.close(fd)
    return True


def _is_in(subject: Subject, spaces: t.Iterable[Space], path: str) -> bool:
    """Whether a path that the kernel has noted leads into it, in any namespace."""
    return any(subject.covers(part_at(space.mounts, path)) for space in spaces)


def swaps(subject: Subject, spaces: t.Sequence[Space], text: str) -> t.Iterator[Hold]:
    """Files and devices that are used for swap, by the text of /proc/swaps. Pure."""
    for line in text.splitlines()[1:]:
        path = table.unescape(line.split()[0])
        if path in subject.names or _is_in(subject, spaces[:1], path):
            yield Hold("swap", f"{path} is used for swap", f"swapoff {path}")


def overlays(subject: Subject, spaces: t.Sequence[Space]) -> t.Iterator[Hold]:
    """Overlays with a directory of it as a layer. Pure.

    An overlay keeps the file system, and not the mount, by which its layers were named once.
    """
    for space in spaces:
        for mount in space.mounts:
            if mount.fstype != "overlay":
                continue
            for layer in layers.of(table.pairs_of(mount.options), shown=True):
                if _is_in(subject, (space, spaces[0]), layer.path):
                    where = f"the overlay on {mount.path} {inside(space)}"
                    key = layer.key.rstrip("+")
                    yield Hold(
                        "overlay",
                        f"{where} has {layer.path} as its {key}",
                        f"unmount {where}",
                    )


def _upper(subject: Subject) -> t.Iterator[Hold]:
    """What was made of a device: by the device mapper, or an array."""
    first = next(iter(subject.devices.values()), "") if subject.kind == "device" else ""
    for path in subject.devices.values():
        name = os.path.basename(path)
        mapped = proc.text_of(f"{block_names.BLOCK}/{name}/dm/name").strip()
        if path != first and mapped:
            text = f"{path} ({mapped}) of the device mapper lies on {first}"
            yield Hold("device", text, f"dmsetup remove {mapped}, or what ends it")
        elif path != first and name.startswith("md"):
            yield Hold("device", f"the array {path} lies on {first}", f"mdadm --stop {path}")
