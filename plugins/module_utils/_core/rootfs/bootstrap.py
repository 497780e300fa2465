# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making a Debian root file system with mmdebstrap(1).

It runs in a mount and a pid namespace of its own: what it mounts is not seen on the host, and
when this process is killed nothing of it goes on.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
import shutil
import signal
import subprocess

from .. import spawn
from ..errors import Refused
from ..syscalls import mounts, processes
from ..targets import Handles
from . import digest
from .unpack import Progress

# Kept for the errors: what it wrote last.
_LINES_KEPT = 30
_SUITE = re.compile(r"[a-z][a-z0-9.+-]*\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+:-]*\Z")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\Z")


@dataclasses.dataclass(frozen=True)
class Specification:
    """What to make: see the option bootstrap of ns_rootfs."""

    suite: str
    packages: tuple[str, ...] = ()
    mirror: str = ""
    variant: str = "minbase"
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        packages = f" with {', '.join(self.packages)}" if self.packages else ""
        return f"Debian {self.suite}{packages}"

    @property
    def digest(self) -> str:
        """The digest of the specification: the same one makes the same root."""
        return digest.of_specification({"bootstrap": dataclasses.asdict(self)})

    def checked(self) -> Specification:
        """This specification, in order, when it makes sense. Raises Refused."""
        for what, pattern, words in (
            ("suite", _SUITE, (self.suite,)),
            ("packages", _PACKAGE, self.packages),
            ("components", _WORD, self.components),
            ("variant", _WORD, (self.variant,)),
        ):
            for word in words:
                if not pattern.match(word):
                    raise Refused(f"{word!r} cannot stand in bootstrap.{what}")
        if self.mirror and not re.match(r"[a-z+]+:", self.mirror) and self.mirror[:1] != "/":
            raise Refused(
                f"bootstrap.mirror must be an address, not {self.mirror!r}",
                "As in http://deb.debian.org/debian, or leave it out.",
            )
        return dataclasses.replace(
            self,
            packages=tuple(sorted(set(self.packages))),
            components=tuple(sorted(set(self.components))),
        )


def needs_tool() -> None:
    """Raises Refused where mmdebstrap is missing."""
    if shutil.which("mmdebstrap") is None:
        raise Refused(
            "bootstrap needs mmdebstrap, which this host does not have",
            "Install the Debian package mmdebstrap.",
        )


def make(specification: Specification, target: str, *, progress: Progress) -> None:
    """Make it in the empty directory, or as the tar archive, ``target``, a path on this host.

    Raises Refused with what mmdebstrap said when it fails.
    """
    needs_tool()
    read_fd, write_fd = os.pipe()
    command = _command(specification, target)
    # Beside the target: on the same file system, as large as it has to be.
    environment = {**os.environ, "TMPDIR": os.path.dirname(target), "LC_ALL": "C.UTF-8"}
    environment["DEBIAN_FRONTEND"] = "noninteractive"

    def body() -> int:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
        mounts.mount("proc", "/proc", fstype="proc")
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(write_fd, 1)
        os.dup2(write_fd, 2)
        os.closerange(3, 1024)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.umask(0o022)
        # As the first process of its pid namespace it would ignore signals: a child runs it.
        return subprocess.call(command, env=environment, cwd="/")

    child = spawn.spawn(body, joins=Handles({}), creates=("mnt", "pid"))
    os.close(write_fd)
    last: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
    try:
        with open(read_fd, encoding="utf-8", errors="replace") as output:
            for line in output:
                line = line.rpartition("\r")[2].strip()
                if line:
                    last.append(line)
                    progress(f"mmdebstrap: {line}")
        _pid, status = os.waitpid(child, 0)
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if status:
        # The first error is the cause; the others are those of who called what failed.
        said = [line[2:].strip() for line in last if line.startswith("E:")] or list(last)[-1:]
        raise Refused(
            f"mmdebstrap could not make {specification}: {''.join(said[:1]) or 'it ended early'}",
            "Look at the suite, the packages and the mirror; output holds what it said last.",
            output=list(last),
        )


def _command(specification: Specification, target: str) -> list[str]:
    command = [
        "mmdebstrap",
        "--mode=root",
        "--format=" + ("tar" if target.endswith((".tar", ".tar.new")) else "directory"),
        f"--variant={specification.variant}",
        '--aptopt=Acquire::Languages "none"',
        # The directory beside it is there already, and locked.
        "--skip=check/empty",
    ]
    if specification.packages:
        command.append("--include=" + ",".join(specification.packages))
    if specification.components:
        command.append("--components=" + ",".join(specification.components))
    command += [specification.suite, target]
    if specification.mirror:
        command.append(specification.mirror)
    return command
