# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is known of the sources of mounts before anything is changed.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..errors import KernelError, Refused
from . import host_view, layers, observe
from .compare import Source
from .host_view import HostView
from .options import Options
from .table import Mount
from .view import TargetView
from .wanted import WantedMount


def on_host(
    wanted: t.Sequence[WantedMount],
    host_mounts: t.Sequence[Mount],
    host_proc: int,
    *,
    may_be_missing: bool,
) -> dict[int, Source]:
    """The sources on the host, by the index of the mount. Raises Refused.

    With ``may_be_missing`` an earlier task would have made those that are not there.
    """
    by_id = {mount.id: mount for mount in host_mounts}
    view = HostView(host_proc)
    found = {}
    for index, mount in enumerate(wanted):
        if not mount.needs_host:
            continue
        check_paths(mount)
        if mount.fstype == "overlay":
            found[index] = _of_overlay(view, mount)
        elif mount.options.bind or mount.options.loop:
            try:
                with observe.source_on_host(mount.src) as fd:
                    found[index] = observe.source_of(fd, by_id)
                    if mount.options.loop:
                        found[index] = _of_image(found[index], fd, mount.options)
            except Refused:
                if not may_be_missing:
                    raise
        elif "src" in dict(mount.paths):
            # For who mounts a device.
            from . import block_devices

            found[index] = Source(device=block_devices.at(mount.src))
    return found


def check_paths(wanted: WantedMount) -> None:
    """Refuse a path that only the kernel looks up, and that others could lead elsewhere.

    Raises Refused.
    """
    for option, path in wanted.paths:
        if host_view.leads_into_root(path):
            raise Refused(
                f"{option} {path} of the mount on {wanted.path} lies in a root file system of "
                "others, where the kernel would follow any link and open any device",
                "Name a file of the host itself; for an image in a file, add loop to opts.",
            )


def inside(view: TargetView, wanted: WantedMount, by_id: t.Mapping[int, Mount]) -> Source | None:
    """The source in the target, seen by who has joined it; None where it is not there (yet)."""
    if not wanted.needs_target or wanted.state != "mounted":
        return None
    if not wanted.options.bind:
        return _of_overlay(view, wanted)
    with contextlib.suppress(KernelError, Refused), view.opened(wanted.src) as fd:
        return observe.source_of(fd, by_id, read=view.mounts)
    return None


def _of_overlay(view: HostView | TargetView, wanted: WantedMount) -> Source:
    names = {}
    for layer in layers.of(wanted.options.filesystem):
        with contextlib.suppress(OSError, Refused), view.opened(layer.path) as fd:
            names[layer.path] = view.names_of(layer.path, fd)
    return Source(names=names)


def _of_image(source: Source, fd: int, asked: Options) -> Source:
    """What a mount of the image shows, which is the open file."""
    # Little to compile, but all of it for images alone.
    from . import loop

    return source._replace(
        is_directory=True,
        devices=tuple(loop.devices_of(fd)),
        part=loop.part_of(fd, asked.loop_offset, asked.loop_sizelimit),
    )
