# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Working in the mount namespace of the host, whatever the caller has for mounts of its own.

A unit with PrivateTmp= or ProtectSystem=, as those that run ansible-pull, a shell of `unshare -m`
and a chroot with the host's /run have mounts of their own and yet share the host's files. What
they pin and mount the host would not see, and of its pins they see those that a copy has: none of
mount namespaces (mount_namespaces(7)).

The host is what pid 1 sees, where /run is the same directory to both. Where it is another one the
caller lives on another host, in a container or a chroot with a /run of its own, and is left alone;
so is a plain user, who may not look at pid 1 and has nothing below /run.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import sys

from ..errors import KernelError, Refused
from ..syscalls import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# For people, where a path of theirs may be meant.
NOTE = (
    "This run has mounts of its own, as in a unit with PrivateTmp= or ProtectSystem=: it works with"
    " the host's, and paths name what they name there."
)
_CLONE_FS = 0x00000200
_CLONE_NEWNS = 0x00020000


def are_others() -> bool:
    """Whether the caller has mounts, or a root, of its own on this host."""
    try:
        is_here = _is_same("/proc/self/ns/mnt", "/proc/1/ns/mnt") and _is_same("/", "/proc/1/root/")
        return not is_here and _is_same("/run", "/proc/1/root/run")
    except OSError:  # no rights over pid 1, or no /proc
        return False


def _is_same(path: str, other: str) -> bool:
    return os.path.samestat(os.stat(path), os.stat(other))


class Joined:
    """Within it this process is in the mount namespace of the host: use it in a with.

    ``was_elsewhere`` tells then whether it was in another one. What is imported meanwhile still
    comes from where it came before. Raises Refused where the host's may not be joined.
    """

    def __init__(self) -> None:
        self.was_elsewhere = False
        self._fds: dict[str, int] = {}

    def __enter__(self) -> Joined:
        """Join it."""
        if not are_others():
            return self
        own = {"mnt": "/proc/self/ns/mnt", "root": "/", "here": ".", "host": "/proc/1/ns/mnt"}
        here = "/"
        try:
            for name, path in own.items():
                flags = os.O_RDONLY if path.startswith("/proc") else os.O_PATH | os.O_DIRECTORY
                self._fds[name] = os.open(path, flags | os.O_CLOEXEC)
            found = _places_of_imports()
            here = os.readlink("/proc/self/cwd")
            # With threads, or after vfork(2), these share root and working directory (clone(2)).
            namespaces.unshare(_CLONE_FS)
            namespaces.setns(self._fds["host"], _CLONE_NEWNS)
        except OSError as error:
            self._close()
            why = f": {error.errno_name}" if isinstance(error, KernelError) else ""
            raise Refused(
                "this run has mounts of its own, as in a unit with PrivateTmp= or ProtectSystem=, and"
                f" may not join the host's{why}",
                "Run it outside of the unit or shell, or with CAP_SYS_ADMIN, CAP_SYS_CHROOT and"
                " CAP_SYS_PTRACE.",
            ) from error
        self.was_elsewhere = True
        _keep_imports(found, self._fds["root"])
        try:
            os.chdir(here)
        except OSError:  # there is none on the host
            pass
        return self

    def __exit__(self, *_exception: object) -> None:
        """Go back to where the process was."""
        if not self.was_elsewhere:
            return
        namespaces.setns(self._fds["mnt"], _CLONE_NEWNS)
        os.fchdir(self._fds["root"])
        os.chroot(".")
        os.fchdir(self._fds["here"])
        # Not the root: imports go by it.
        del self._fds["root"]
        self._close()

    def _close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}


def _lists_of_imports() -> t.Iterator[list[str]]:
    """Where Python looks for modules: at the top, and below each package."""
    yield sys.path
    for module in list(sys.modules.values()):
        places = getattr(module, "__path__", None)
        if isinstance(places, list):
            yield places


def _places_of_imports() -> dict[str, tuple[int, int]]:
    """What is at these places now: device and inode."""
    return {place: _identity(place) for places in _lists_of_imports() for place in places}


def _identity(place: str) -> tuple[int, int]:
    while place.strip("/"):
        try:
            status = os.stat(place)
            return status.st_dev, status.st_ino
        except OSError:
            place = os.path.dirname(place)  # of an archive
    return 0, 0


def _keep_imports(found: dict[str, tuple[int, int]], root: int) -> None:
    """Have modules looked up where they were, in the root that was left for another one.

    The archive that Ansible sends lies in a private /tmp, most often.
    """
    for places in _lists_of_imports():
        places[:] = [
            f"/proc/self/fd/{root}{place}"
            if place.startswith("/") and _identity(place) != found.get(place)
            else place
            for place in places
        ]
    for finder in sys.meta_path:
        if hasattr(finder, "reach_by"):
            finder.reach_by(f"/proc/self/fd/{root}")
