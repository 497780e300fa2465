# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making a Debian root file system with mmdebstrap(1), as the source of a root.

It runs in a mount and a pid namespace of its own: what it mounts is not seen on the host, and
when this process is killed nothing of it goes on.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import typing as t

from .. import spawn
from ..errors import Refused
from ..syscalls import mounts, processes
from ..targets import Handles
from . import digest, kept
from .source import Config, Progress, Stream

# Kept for the errors: what it wrote last.
_LINES_KEPT = 30
_SUITE = re.compile(r"[a-z][a-z0-9.+-]*\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+:-]*\Z")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\Z")


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """What to make: see the option bootstrap of ns_rootfs."""

    suite: str
    packages: tuple[str, ...] = ()
    mirror: str = ""
    variant: str = "minbase"
    components: tuple[str, ...] = ()
    verb: t.ClassVar[str] = "make"

    def __str__(self) -> str:
        packages = f" with {', '.join(self.packages)}" if self.packages else ""
        return f"Debian {self.suite}{packages}"

    def checked(self) -> Bootstrap:
        """This bootstrap with its words in order, when it makes sense. Raises Refused."""
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

    @contextlib.contextmanager
    def opened(self, *, may_be_missing: bool) -> t.Iterator[OpenedBootstrap]:
        """See Source. The tool may be missing too: an earlier task would have installed it."""
        if not may_be_missing:
            needs_tool()
        yield OpenedBootstrap(self)


class OpenedBootstrap:
    """A bootstrap; for a target that sees no path of the host's it is made as an archive."""

    missing = False
    facts_suffice = True

    def __init__(self, wanted: Bootstrap) -> None:
        self._wanted = wanted
        self.facts: dict[str, t.Any] = {"source": str(wanted), "digest": self.digest()}

    def digest(self) -> str:
        """See Opened. It is that of what was asked for: the same words make the same root."""
        return digest.of_specification({"bootstrap": dataclasses.asdict(self._wanted)})

    def aliases(self) -> list[str]:
        """See Opened."""
        return []

    def config(self) -> Config:
        """See Opened."""
        return {}

    @contextlib.contextmanager
    def fill(self, *, on_host: bool, progress: Progress) -> t.Iterator[Stream]:
        """See Opened."""

        def make_there(target: str) -> None:
            make(self._wanted, target, progress=progress)

        if on_host:
            yield Stream(name=str(self._wanted), make=make_there, digest=self.digest)
            return
        with kept.fill(self.digest(), make=make_there) as stream:
            yield stream

    def recorded(self) -> dict[str, str]:
        """See Opened."""
        return {"archive": kept.path_of(self.digest())}


def needs_tool() -> None:
    """Raises Refused where mmdebstrap is missing."""
    if shutil.which("mmdebstrap") is None:
        raise Refused(
            "bootstrap needs mmdebstrap, which this host does not have",
            "Install the Debian package mmdebstrap.",
        )


def make(wanted: Bootstrap, target: str, *, progress: Progress) -> None:
    """Make it in the empty directory, or as the tar archive, ``target``, a path on this host.

    Raises Refused with what mmdebstrap said when it fails.
    """
    read_fd, write_fd = os.pipe()
    command = _command(wanted, target)
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
            f"mmdebstrap could not make {wanted}: {''.join(said[:1]) or 'it ended early'}",
            "Look at the suite, the packages and the mirror; output holds what it said last.",
            output=list(last),
        )


def _command(wanted: Bootstrap, target: str) -> list[str]:
    command = [
        "mmdebstrap",
        "--mode=root",
        "--format=" + ("tar" if target.endswith((".tar", ".tar.new")) else "directory"),
        f"--variant={wanted.variant}",
        '--aptopt=Acquire::Languages "none"',
        # The directory beside it is there already, and locked.
        "--skip=check/empty",
    ]
    if wanted.packages:
        command.append("--include=" + ",".join(wanted.packages))
    if wanted.components:
        command.append("--components=" + ",".join(wanted.components))
    command += [wanted.suite, target]
    if wanted.mirror:
        command.append(wanted.mirror)
    return command
