# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Archives that are kept so that a root can be made again without its source.

A named namespace that is made anew after a reboot unpacks its root again, when neither a mirror
nor a registry may be there.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..storage import atomic
from .source import CACHE, Stream


def path_of(digest: str) -> str:
    """The path of the archive that is kept of what has this digest."""
    return f"{CACHE}/{digest.partition(':')[2]}.tar"


@contextlib.contextmanager
def fill(digest: str, *, patience: float, make: t.Callable[[str, str], None]) -> t.Iterator[Stream]:
    """The archive of what has this digest, as a tar stream; a missing one is made.

    ``make(workspace, archive)`` makes the tar archive, for which it may use the directory
    ``workspace``. Raises what it raises, Refused where another run makes it for longer than
    ``patience`` seconds.
    """
    # Not needed to forget one.
    from . import archive, decompress, removal, workspace

    path = path_of(digest)
    if not os.path.exists(path):
        atomic.make_directory(CACHE, mode=0o700)
        above = os.open(CACHE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        name = f".{os.path.basename(path)}.new"
        try:
            with workspace.held(above, name, patience=patience, what_for=path) as work:
                removal.empty(work.fd, except_for=())
                if not os.path.exists(path):
                    made = f"{CACHE}/{name}/archive.tar"
                    make(f"{CACHE}/{name}", made)
                    os.rename(made, path)
        finally:
            os.close(above)
            with contextlib.suppress(OSError):
                os.rmdir(CACHE)  # when making it failed, and nothing else is kept
    with archive.open_file(path) as fd, decompress.opened(fd, name=path) as content:
        yield Stream(name=path, fd=content.fd, verify=content.verify, digest=lambda: digest)


def is_kept(path: str) -> bool:
    """Whether it is an archive that was made to be kept, and not somebody's own."""
    return os.path.dirname(path) == CACHE


def forget(path: str) -> None:
    """Remove a kept archive, and the directory with the last one. Other paths are left alone."""
    if not is_kept(path):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(CACHE)
