# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""That the program of a service of systemd is another one than its files say by now.

Whoever writes the files while the program runs notes that before, as an empty
/run/linux-namespaces/NAME/services/SERVICE.outdated, and removes it when the program was started again: so
the run after one that was killed in between knows.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from .. import host_paths
from ..storage import atomic


def note(namespace: str, name: str) -> None:
    """Note it, for as long as the namespace is up. Raises OSError."""
    atomic.make_directory(host_paths.services(namespace), mode=0o700)
    atomic.write(_path(namespace, name), "", mode=0o600)


def is_noted(namespace: str, name: str) -> bool:
    """Whether it is noted."""
    return os.path.lexists(_path(namespace, name))


def forget(namespace: str, name: str) -> None:
    """What runs is what the files say, or nothing runs. Raises OSError."""
    if is_noted(namespace, name):
        atomic.remove(_path(namespace, name))


def _path(namespace: str, name: str) -> str:
    return f"{host_paths.services(namespace)}/{host_paths.checked_name(name)}.outdated"
