# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The content of a root from the archive that is kept of it, which is made where it is missing.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ...storage import atomic
from .. import removal, workspace
from . import archive, cache
from .source import Content


@contextlib.contextmanager
def content(
    digest: str, *, patience: float, make: t.Callable[[str, str], None]
) -> t.Iterator[Content]:
    """The archive of what has this digest; a missing one is made.

    ``make(workspace, archive)`` makes the tar archive, for which it may use the directory
    ``workspace``. Raises what it raises, Refused where another run makes it for longer than
    ``patience`` seconds.
    """
    path = cache.path_of(digest)
    if not os.path.exists(path):
        _make(path, patience, make)
    with archive.open_file(path) as fd:
        yield Content(name=path, fd=fd, digest=lambda: digest)


def _make(path: str, patience: float, make: t.Callable[[str, str], None]) -> None:
    atomic.make_directory(cache.DIRECTORY, mode=0o700)
    above = os.open(cache.DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    name = f".{os.path.basename(path)}.new"
    try:
        ask = workspace.Locks().ask
        with workspace.held(above, name, ask=ask, patience=patience, what_for=path) as work:
            removal.empty(work.fd, except_for=())
            if not os.path.exists(path):
                made = f"{cache.DIRECTORY}/{name}/archive.tar"
                make(f"{cache.DIRECTORY}/{name}", made)
                atomic.put(made, path)
    finally:
        os.close(above)
        with contextlib.suppress(OSError):
            os.rmdir(cache.DIRECTORY)  # when making it failed, and nothing else is kept
