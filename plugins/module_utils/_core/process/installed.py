# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Programs of the host that what is asked for takes, and the Debian packages that have them.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import shutil

from .. import host_paths
from ..errors import Refused

_PACKAGES = {
    "ip": "iproute2", "mmdebstrap": "mmdebstrap", "nft": "nftables", "pasta": "passt", "skopeo": "skopeo",
    "slirp4netns": "slirp4netns", "ss": "iproute2", "tc": "iproute2", "umoci": "umoci", "wg": "wireguard-tools",
}  # fmt: skip


def path_of(program: str, why: str) -> str:
    """Where it lies, for the caller or in the usual places. Raises what missing() is."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{host_paths.DEFAULT_PATH}")
    if found is None:
        raise missing(program, why)
    return found


def missing(program: str, why: str) -> Refused:
    """That the host has it not; ``why`` it is needed, in words that end with its name."""
    return Refused(f"{why}, which this host does not have", hint(program))


def hint(program: str) -> str:
    """What is to be done for the host to have it."""
    return f"Install the Debian package {_PACKAGES[program]}."
