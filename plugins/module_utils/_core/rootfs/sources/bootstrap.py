# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making a Debian root file system with mmdebstrap(1), as the source of a root.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ... import redact
from ...errors import Refused
from .. import digests, run_tool
from ..progress import Progress
from . import cache, kept
from .source import Config, Content, Options

_SUITE = re.compile(r"[a-z][a-z0-9.+-]*\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+:-]*\Z")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\Z")


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """What to make: see the option bootstrap of ns_rootfs."""

    verb: t.ClassVar[str] = "make"
    is_followed: t.ClassVar[bool] = False

    suite: str
    packages: tuple[str, ...] = ()
    # Empty for that of mmdebstrap, as below.
    mirror: str = ""
    variant: str = "minbase"
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        packages = f" with {', '.join(self.packages)}" if self.packages else ""
        return f"Debian {self.suite}{packages}"

    @classmethod
    def of_options(cls, options: Options) -> Bootstrap:
        """See Source."""
        wanted = options["bootstrap"]
        return cls(
            suite=wanted["suite"],
            packages=tuple(wanted["packages"]),
            mirror=wanted["mirror"] or "",
            variant=wanted["variant"],
            components=tuple(wanted["components"]),
        ).checked()

    def recorded(self, digest: str) -> dict[str, str]:
        """See Source."""
        return {"archive": cache.path_of(digest)}

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
                    raise Refused(f"{word!r} cannot stand in the {what} of bootstrap")
        if redact.address(self.mirror) != self.mirror:
            # In the command line of mmdebstrap, and in etc/apt/sources.list of the root.
            raise Refused(
                "the mirror of bootstrap holds a password, which everybody could read",
                "Use a mirror without one, or make an archive of the root elsewhere.",
            )
        if self.mirror and not re.match(r"[a-z+]+:", self.mirror) and self.mirror[:1] != "/":
            raise Refused(
                f"the mirror of bootstrap must be an address, not {self.mirror!r}",
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
            run_tool.needed("mmdebstrap", for_what="bootstrap")
        with contextlib.ExitStack() as stack:
            yield OpenedBootstrap(self, stack)


class OpenedBootstrap:
    """A bootstrap; for a target that sees no path of the host's it is made as an archive."""

    missing = False
    facts_suffice = True

    def __init__(self, wanted: Bootstrap, stack: contextlib.ExitStack) -> None:
        """``stack`` ends with it."""
        self._wanted = wanted
        self._stack = stack
        self.facts: dict[str, t.Any] = {"source": str(wanted), "digest": self.digest()}

    def digest(self) -> str:
        """See Opened. It is that of what was asked for: the same words make the same root."""
        return digests.of_specification({"bootstrap": dataclasses.asdict(self._wanted)})

    def aliases(self) -> list[str]:
        """See Opened."""
        return []

    def config(self) -> Config:
        """See Opened."""
        return {}

    @contextlib.contextmanager
    def content(self, *, on_host: bool, patience: float, progress: Progress) -> t.Iterator[Content]:
        """See Opened."""
        if on_host:
            yield Content(
                name=str(self._wanted),
                make=lambda work: make(self._wanted, f"{work}/root", work, progress=progress),
                digest=self.digest,
            )
            return
        with kept.content(
            self.digest(),
            patience=patience,
            make=lambda work, path: make(self._wanted, path, work, progress=progress),
            until=self._stack,
        ) as content:
            yield content


def make(wanted: Bootstrap, target: str, work: str, *, progress: Progress) -> None:
    """Make it as ``target``, an empty directory or a tar archive to be, in the workspace ``work``.

    Raises Refused with what mmdebstrap said when it fails.
    """
    try:
        run_tool.run(
            _command(wanted, target),
            writable=[work],
            scratch=work,
            progress=progress,
            network=True,
        )
    except run_tool.Failed as error:
        # The first error is the cause; the others are those of who called what failed.
        said = [line[2:].strip() for line in error.lines if line.startswith("E:")]
        raise Refused(
            f"mmdebstrap could not make {wanted}: {(said or [str(error)])[0]}",
            "Look at the suite, the packages and the mirror; output holds what it said last.",
            output=error.lines,
        ) from error


def _command(wanted: Bootstrap, target: str) -> list[str]:
    command = [
        "mmdebstrap",
        "--mode=root",
        "--format=" + ("tar" if target.endswith(".tar") else "directory"),
        f"--variant={wanted.variant}",
        '--aptopt=Acquire::Languages "none"',
    ]
    if wanted.packages:
        command.append("--include=" + ",".join(wanted.packages))
    if wanted.components:
        command.append("--components=" + ",".join(wanted.components))
    command += [wanted.suite, target]
    if wanted.mirror:
        command.append(wanted.mirror)
    return command
