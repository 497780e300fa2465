# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a service does not answer while it is restarted, reloaded, has its root upgraded, or goes back.

Run as a script on a host with nsctl, beside load.py, of which it needs nothing but Python:

    gap.py archives ARCHIVE ONE TWO
    gap.py measure NAMESPACE=ADDRESS/PROTOCOL ... --archives ONE TWO --tries 20

The first makes two archives of one, which differ in a file: what a service is upgraded from and to. The second
prints what clients saw of the only service of each namespace, by what was done to it. It ends with 1 where more was
seen than is allowed: with sockets that outlive the program no request may fail, and without them a new root may not
take the service away for much longer than a restart of the program does, which is measured in turn with it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import io
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import time
import typing as t

from load import PAUSE, WORKERS, Load, Seen

# In the root of each archive: which one it is.
VERSION = "gap-version"
# What no service here needs of a root, by a part of its path.
LEFT_OUT = (
    "/usr/share/",
    "/var/lib/dpkg/",
    "/var/cache/",
    "/apt/",
    "/perl/",
    "/gconv/",
    "/security/",
)
# How many times as long as a restart a new root may take a service away that has no sockets.
MOST = 1.5
RESTART, CHANGE, RELOAD, UPGRADE, BACK = "restart", "change", "reload", "upgrade", "rollback"
ACTIONS = (RESTART, CHANGE, RELOAD, UPGRADE, BACK)
# Of clients: a new one for each request, one for many, or by turns.
NEW, KEPT, IN_TURNS = "new", "kept", "turns"
_SYSTEMD = pathlib.Path("/run/systemd/system")

Definition = dict[str, t.Any]


class Try(t.NamedTuple):
    """What was seen while one thing was done once."""

    seen: Seen
    # How long it took, in seconds.
    took: float


class Figures(t.NamedTuple):
    """What was seen of a service, by what was done to it; times are in milliseconds."""

    service: str
    has_sockets: bool
    action: str
    tries: int
    requests: int
    failed: int
    kinds: dict[str, int]
    worst_gap: float
    median_gap: float
    slowest: float
    took: float

    @classmethod
    def of(cls, service: str, has_sockets: bool, action: str, tries: t.Sequence[Try]) -> Figures:
        kinds: collections.Counter[str] = collections.Counter()
        for each in tries:
            kinds.update(each.seen.failed)
        gaps = [each.seen.gap * 1e3 for each in tries]
        return cls(
            service,
            has_sockets,
            action,
            len(tries),
            sum(each.seen.requests for each in tries),
            sum(kinds.values()),
            dict(kinds),
            max(gaps),
            statistics.median(gaps),
            max(each.seen.slowest for each in tries) * 1e3,
            statistics.median(each.took for each in tries) * 1e3,
        )


class Service:
    """The only service of a namespace, as `nsctl export` says it is."""

    def __init__(self, namespace: str, address: str, protocol: str) -> None:
        self.namespace = namespace
        self.address = address
        self.protocol = protocol
        (self._definition,) = json.loads(_output("nsctl", "export", namespace))["namespaces"]
        self.name: str = self._service["name"]
        self.unit = f"linux-namespaces:{namespace}:{self.name}.service"
        self.has_systemd = _SYSTEMD.exists() and self._service.get("supervisor") != "none"
        # How often it was changed.
        self._changes = int(time.time())

    @property
    def _service(self) -> dict[str, t.Any]:
        (found,) = self._definition["services"]
        return t.cast("dict[str, t.Any]", found)

    @property
    def title(self) -> str:
        return f"{self.namespace}:{self.name}"

    @property
    def has_sockets(self) -> bool:
        return bool(self._service.get("sockets"))

    def can(self, action: str) -> bool:
        """Whether it can be done to this service."""
        if action == RELOAD:
            return bool(self._service.get("reload") and self._service.get("files"))
        return action != CHANGE or self.has_systemd

    def restart(self) -> None:
        """The program alone. Without systemd there is no other word for it than another environment."""
        before = self._pid()
        if self.has_systemd:
            _output("systemctl", "restart", self.unit)
        else:
            self._have_environment()
        _check(self._pid() != before, f"{self.title} was not restarted")

    def change(self) -> None:
        """Another environment, which takes another process."""
        before = self._pid()
        self._have_environment()
        _check(self._pid() != before, f"{self.title} was not restarted")

    def _have_environment(self) -> None:
        self._changes += 1
        self._service.setdefault("environment", {})["GAP"] = str(self._changes)
        self._apply()

    def reload(self) -> None:
        """Another configuration, which the same process reads."""
        before = self._pid()
        self._changes += 1
        file = self._service["files"][0]
        file["content"] = (
            f"{file['content'].rstrip().partition('# gap ')[0]}\n# gap {self._changes}\n"
        )
        self._apply()
        _check(self._pid() == before, f"{self.title} was restarted, not reloaded")

    def upgrade(self, archive: str, version: str) -> None:
        """The root of another archive, which has this version."""
        before = self._pid()
        self._definition["rootfs"]["archive"] = archive
        self._definition["rootfs"].pop("digest", None)
        self._apply()
        _check(self._pid() != before, f"{self.title} was not restarted")
        self.check_version(version)

    def rollback(self, archive: str, version: str) -> None:
        """The root before, which was made from this archive and has this version."""
        _output("nsctl", "rollback", self.namespace)
        self._definition["rootfs"]["archive"] = archive
        self.check_version(version)

    def check_version(self, version: str) -> None:
        """That the program which runs has the root of this version."""
        found = pathlib.Path(f"/proc/{self._pid()}/root/{VERSION}").read_text().strip()
        _check(found == version, f"{self.title} has the root {found}, not {version}")

    def _pid(self) -> int:
        (service,) = json.loads(_output("nsctl", "show", "--json", self.namespace))["services"]
        _check(service["pid"], f"{self.title} does not run: {service}")
        return int(service["pid"])

    def _apply(self) -> None:
        whole = json.dumps({"namespaces": [self._definition]})
        _output("nsctl", "apply", "-", given=whole)


def measure(
    service: Service,
    archives: t.Sequence[str],
    actions: t.Collection[str],
    *,
    tries: int,
    connections: str = IN_TURNS,
    workers: int = WORKERS,
    pause: float = PAUSE,
) -> list[Figures]:
    """What clients saw of the service, which has the root of the first archive, by what was done to it.

    The actions take turns, so that what slows the machine for a while slows all. Clients take turns as well: those
    with a new connection for each request ask again and again, which may hide that nobody accepted one of those that
    others keep. Raises RuntimeError where one of the actions did not do what it is for.
    """
    one, two = archives
    does: dict[str, t.Callable[[], None]] = {
        RESTART: service.restart,
        CHANGE: service.change,
        RELOAD: service.reload,
        UPGRADE: lambda: service.upgrade(two, version_of(two)),
        BACK: lambda: service.rollback(one, version_of(one)),
    }
    found: dict[str, list[Try]] = collections.defaultdict(list)
    service.check_version(version_of(one))
    for number in range(tries):
        keep_alive = connections == KEPT or (connections == IN_TURNS and number % 2 == 1)
        for action in ACTIONS:
            if action in actions and service.can(action):
                load = Load(
                    service.address,
                    service.protocol,
                    keep_alive=keep_alive,
                    workers=workers,
                    pause=pause,
                )
                with load:
                    began = time.monotonic()
                    does[action]()
                    took = time.monotonic() - began
                    found[action].append(Try(load.stop(), took))
        if UPGRADE in found and BACK not in found:
            service.upgrade(one, version_of(one))
    return [
        Figures.of(service.title, service.has_sockets, action, each)
        for action, each in found.items()
    ]


def too_much(found: t.Sequence[Figures], most: float = MOST) -> list[str]:
    """What is more than is allowed, in words."""
    told = []
    for each in found:
        what = f"{each.service}: {each.action}"
        if each.has_sockets:
            if each.failed:
                told.append(f"{what}: {each.failed} requests failed: {each.kinds}")
            continue
        restarts = [
            other.median_gap
            for other in found
            if other.service == each.service and other.action == RESTART
        ]
        if each.action in (UPGRADE, BACK) and restarts and each.median_gap > most * restarts[0]:
            times = each.median_gap / restarts[0]
            told.append(f"{what}: a gap {times:.1f} times that of a restart")
    return told


_ROW = "{:<16}{:<10}{:>6}{:>10}{:>8}{:>11}{:>12}{:>12}{:>10}  {}"


def table(found: t.Sequence[Figures]) -> str:
    """As people read it."""
    heads = ("worst gap", "median gap", "slowest", "took ms")
    lines = [_ROW.format("", "", "tries", "requests", "failed", *heads, "").rstrip()]
    for each in found:
        times = (each.worst_gap, each.median_gap, each.slowest, each.took)
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(each.kinds.items()))
        sockets = "with sockets" if each.has_sockets else ""
        numbers = (each.tries, each.requests, each.failed, *(f"{value:.0f}" for value in times))
        more = ": ".join(filter(None, [sockets, kinds]))
        lines.append(_ROW.format(each.service, each.action, *numbers, more).rstrip())
    return "\n".join(lines)


def make_archives(source: str, *copies: str) -> None:
    """Copies of an archive, without what no service here needs, each with its own name as its version."""
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(tarfile.open(source))
        made = [stack.enter_context(tarfile.open(f"{path}.new", "w")) for path in copies]
        for member in whole:
            if not any(part in member.name for part in LEFT_OUT):
                for each in made:
                    content = whole.extractfile(member) if member.isreg() else None
                    each.addfile(copy.copy(member), content)
        for path, each in zip(copies, made):
            version = version_of(path).encode()
            member = tarfile.TarInfo(f"./{VERSION}")
            member.size = len(version)
            each.addfile(member, io.BytesIO(version))
    for path in copies:
        os.rename(f"{path}.new", path)


def version_of(archive: str) -> str:
    """What is in the file VERSION of such a copy."""
    return pathlib.PurePath(archive).stem


def _check(holds: object, what: str) -> None:
    if not holds:
        raise RuntimeError(what)


def _output(*argv: str, given: str = "") -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=given)
    _check(done.returncode == 0, f"{argv}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    archives = verbs.add_parser("archives")
    archives.add_argument("source")
    archives.add_argument("copies", nargs="+")
    measured = verbs.add_parser("measure")
    measured.add_argument("services", nargs="+")
    measured.add_argument("--archives", nargs=2, required=True)
    measured.add_argument("--tries", type=int, default=20)
    measured.add_argument("--actions", nargs="+", default=ACTIONS, choices=ACTIONS)
    measured.add_argument("--connections", default=IN_TURNS, choices=(NEW, KEPT, IN_TURNS))
    measured.add_argument("--workers", type=int, default=WORKERS)
    measured.add_argument("--pause", type=float, default=PAUSE)
    measured.add_argument("--most", type=float, default=MOST)
    measured.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.verb == "archives":
        make_archives(given.source, *given.copies)
        return
    found: list[Figures] = []
    for text in given.services:
        namespace, _equals, rest = text.partition("=")
        address, _slash, protocol = rest.rpartition("/")
        service = Service(namespace, address, protocol)
        found += measure(
            service,
            given.archives,
            given.actions,
            tries=given.tries,
            connections=given.connections,
            workers=given.workers,
            pause=given.pause,
        )
    if given.json:
        print(json.dumps([each._asdict() for each in found]))
        return
    print(table(found))
    told = too_much(found, given.most)
    if told:
        sys.exit("\n".join(told))


if __name__ == "__main__":
    main()
