# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files in /etc that programs in a network namespace get in the place of the host's, as `ip netns exec` has it.

    /etc/netns/NAME/resolv.conf

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from .. import actions, host_paths, kinds
from ..syscalls import mounts, namespaces

_ETC = "/etc"


def directory(name: str) -> str:
    """Where those of the name lie; it need not be there."""
    return f"{host_paths.NETNS_FILES}/{host_paths.checked_name(name)}"


def lay(path: str, *, anew: bool) -> None:
    """Lay the files in the directory over those of the host, for the caller alone, and what it starts.

    ``anew`` gives it a mount namespace of its own for that; else it has one. Those that the host lacks are
    left out, as ip-netns(8) does. Raises StepFailed.
    """
    actions.run(f"lay the files in {path} over {_ETC}", lambda: _lay(path, anew=anew))


def _lay(path: str, *, anew: bool) -> None:
    if anew:
        namespaces.unshare(kinds.KINDS["mnt"].flag)
        # What the host mounts later is seen, but nothing of this by the host.
        mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_SLAVE)
    for each in sorted(os.listdir(path)):
        if os.path.exists(f"{_ETC}/{each}"):
            mounts.mount(f"{path}/{each}", f"{_ETC}/{each}", flags=mounts.MS_BIND)
