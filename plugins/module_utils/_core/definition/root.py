# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A root of its own for a named namespace: what is mounted for it, and in which order.

    /var/lib/linux-namespaces-web/rootfs    what was unpacked, on the host
    /var/lib/linux-namespaces-web/upper     what is written to it, with root: overlay
    /var/lib/linux-namespaces-web/work      the kernel's own
    /var/lib/linux-namespaces-web/dev       the links of /dev
    /var/lib/linux-namespaces-web/root      where it is mounted, and becomes the root
    /var/lib/linux-namespaces-web/generations/2/{rootfs,upper,work}
                                            the first three of the second root that it has had

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..values import Value
from .data import Fields
from .layout import below, is_below
from .steps import MountStep, PivotStep, Step

OVERLAY, TMPFS, BIND = MANNERS = ("overlay", "tmpfs", "bind")
# What every program may expect. The directory on /dev is one of the host's, since it holds links.
_USUAL = (
    ("/proc", "proc", "proc", "nosuid,nodev,noexec"),
    ("/dev", "", "", "bind,nosuid,nodev,noexec"),
    ("/dev/null", "/dev/null", "", "bind"),
    ("/dev/zero", "/dev/zero", "", "bind"),
    ("/dev/full", "/dev/full", "", "bind"),
    ("/dev/random", "/dev/random", "", "bind"),
    ("/dev/urandom", "/dev/urandom", "", "bind"),
    ("/dev/shm", "shm", "tmpfs", "nosuid,nodev,noexec"),
    ("/run", "run", "tmpfs", "nosuid,nodev,mode=755"),
    ("/tmp", "tmp", "tmpfs", "nosuid,nodev"),
)
# Of a digest, in the label of a root: enough to tell one from another.
_DIGITS = 12
TO_COME = "to-come"
# What becomes of what was written to a root, when another one takes its place: see docs of ns_definition.
NEW, KEEP = UPPERS = ("new", "keep")
GENERATIONS = "generations"


def place_of(home: str, generation: int) -> str:
    """The directory of what is of one generation alone."""
    return home if generation == 1 else f"{home}/{GENERATIONS}/{generation}"


def home_of(namespace: str) -> str:
    """The directory on the host of a namespace with a root of its own, where nobody names another."""
    return f"/var/lib/linux-namespaces-{namespace}"


class OwnRoot(Value):
    """How a namespace comes to a root of its own."""

    __slots__ = (
        "generation",
        "home",
        "keep_generations",
        "manner",
        "source",
        "upper",
        "usual",
        "verify",
        "volumes",
    )

    def __init__(
        self,
        source: t.Mapping[str, t.Any],
        home: str,
        manner: str = OVERLAY,
        usual: bool = True,
        volumes: str = "",
        upper: str = NEW,
        keep_generations: int = 1,
        verify: tuple[str, ...] = (),
        generation: int = 1,
    ) -> None:
        # The options of ns_rootfs that say what it comes from, without those that nobody gave.
        self.source = dict(source)
        # The directory on the host: see above.
        self.home = home
        # One of MANNERS: how it is mounted.
        self.manner = manner
        # Whether it has /proc, /dev, /run and /tmp.
        self.usual = usual
        # The directory on the host for the volumes that an image names; empty for none.
        self.volumes = volumes
        # One of UPPERS: whether another root begins with nothing written to it.
        self.upper = upper
        # How many of those before stay, to go back to.
        self.keep_generations = keep_generations
        # A program inside that says whether another root is as it should be, before it serves.
        self.verify = verify
        # Which one it is of the roots that the namespace has had.
        self.generation = generation

    @property
    def place(self) -> str:
        """The directory of what is of this generation alone."""
        return place_of(self.home, self.generation)

    @property
    def unpacked(self) -> str:
        """Where it is unpacked: on the host, or in the tmpfs inside."""
        return self.new_root if self.manner == TMPFS else f"{self.place}/rootfs"

    @property
    def new_root(self) -> str:
        """Where it is mounted before it becomes the root."""
        return f"{self.home}/root"

    @property
    def directories(self) -> tuple[str, ...]:
        """What is made in the home for it."""
        if self.manner != OVERLAY:
            return ()
        return f"{self.place}/upper", f"{self.place}/work"

    def mount(self, label: str) -> MountStep:
        """The mount of the root itself. The ``label`` tells one that was unpacked from another."""
        if self.manner == BIND:
            return MountStep(self.new_root, self.unpacked, "", ("bind", _MKDIR))
        if self.manner == TMPFS:
            return MountStep(self.new_root, label, "tmpfs", ("mode=755", _MKDIR))
        words = tuple(
            f"{word}={self.place}/{name}"
            for word, name in (("lowerdir", "rootfs"), ("upperdir", "upper"), ("workdir", "work"))
        )
        return MountStep(self.new_root, label, "overlay", (*words, _MKDIR))

    def steps(self, others: t.Sequence[MountStep]) -> tuple[list[Step], list[Step]]:
        """What is mounted on the root before it becomes one, and what follows: the pivot, and the rest.

        Of the ``others``, which are mounted inside, one at a place that is usual takes its place. Places
        that are missing are made.
        """
        at_usual = {step.path: step for step in others}
        first: list[Step] = []
        taken = set()
        for path, src, fstype, opts in _USUAL if self.usual else ():
            place = f"{self.new_root}{path}"
            own = at_usual.get(path)
            if own is None:
                words = (*opts.split(","), _MKDIR)
                own = MountStep(place, src or f"{self.home}/dev", fstype, words)
            else:
                taken.add(path)
                own = _with_place(own).replace(path=place)
            first.append(own)
        left = [_with_place(step) for step in others if step.path not in taken]
        return first, [PivotStep(self.new_root), *left]

    def inside(self, step: MountStep) -> MountStep:
        """The mount as steps() was given it: as it is called inside, once this is the root."""
        step = step.replace(words=tuple(word for word in step.words if word != _MKDIR))
        if not is_below(step.path, self.new_root):
            return step
        return step.replace(path=below(step.path, self.new_root))

    def volume(self, path: str) -> MountStep:
        """The mount of a volume, where that is called so inside."""
        name = path[1:].replace("-", "--").replace("/", "-")
        return MountStep(path, f"{self.volumes}/{name}", "", ("bind", "nosuid", "nodev", _MKDIR))

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data = {**self.fields(), "verify": list(self.verify)}
        plain = {"volumes": "", "upper": NEW, "keep_generations": 1, "verify": [], "generation": 1}
        return {name: value for name, value in data.items() if plain.get(name) != value}

    @classmethod
    def from_data(cls, data: t.Any) -> OwnRoot:
        """That of a JSON form. Raises ValueError."""
        fields = Fields(data, "own_root")
        found = cls(
            source=fields.take("source", dict),
            home=fields.text("home"),
            manner=fields.word("manner", MANNERS),
            usual=fields.take("usual", bool),
            volumes=fields.take("volumes", str, ""),
            upper=fields.word("upper", UPPERS, NEW),
            keep_generations=fields.take("keep_generations", int, 1),
            verify=fields.texts("verify", []),
            generation=fields.take("generation", int, 1),
        )
        fields.done()
        return found


_MKDIR = "X-mount.mkdir"


def _with_place(step: MountStep) -> MountStep:
    """The mount, whose place is made where it is missing: in a root of its own nobody else is to see it."""
    if any(word.partition("=")[0] == _MKDIR for word in step.words):
        return step
    return step.replace(words=(*step.words, _MKDIR))


def label_of(name: str, digest: str) -> str:
    """What a root is called in the table of mounts that was made of what has this digest."""
    return f"{name}-{digest[-_DIGITS:] or TO_COME}"


def is_of_same(label: str, other: str) -> bool:
    """Whether two labels are of roots that were made of the same: whoever gave them their names."""
    return label.rpartition("-")[2] == other.rpartition("-")[2] != ""
