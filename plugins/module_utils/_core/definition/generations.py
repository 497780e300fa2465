# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The generations of a named namespace: with each other root that ns_definition gives it begins another.

    /etc/linux-namespaces/generations/web.json

Those before, to go back to; the next one while it is built beside the one that serves; and from which one
the name is just being switched: who finds that has found a run that was killed, and goes back. It holds
secrets, as the files of services do.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import host_paths
from ..errors import Refused
from ..storage import atomic, json_file
from . import file
from .data import Fields, check_version, unreadable
from .model import Definition
from .root import OwnRoot
from .service_words import SUPERVISORS

if t.TYPE_CHECKING:
    from .service import ServiceSpec

DIRECTORY = f"{host_paths.DEFINITIONS}/generations"
VERSION = 1
_MODE = 0o700


class KeptService(t.NamedTuple):
    """A service of a generation, as it was."""

    spec: ServiceSpec
    # Which of service_words.SUPERVISORS has it.
    supervisor: str
    enabled: bool
    # It was running, and not stopped.
    runs: bool

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        return {**self._asdict(), "spec": self.spec.to_data()}

    @classmethod
    def from_data(cls, data: t.Any) -> KeptService:
        """That of a JSON form. Raises ValueError."""
        # 9 ms to load, for who has no other generation.
        from .service import ServiceSpec

        fields = Fields(data, "a service")
        spec = ServiceSpec.from_data(fields.take("spec", dict))
        try:
            spec.program.checked()
            spec.checked()
        except Refused as error:
            raise ValueError(f"service {spec.name}: {error.reason}") from error
        found = cls(
            spec,
            fields.word("supervisor", SUPERVISORS),
            fields.take("enabled", bool),
            fields.take("runs", bool),
        )
        fields.done()
        return found


class Generation(t.NamedTuple):
    """One of them. Its definition has a root of its own, with the number of this generation."""

    definition: Definition
    services: tuple[KeptService, ...] = ()
    # What was in the files that the definition has on the host, by their paths; of those that had any.
    contents: t.Mapping[str, str] = {}
    # What its root was made of, for people.
    made_of: str = ""
    # When another one took its place, in seconds since 1970; 0 while none has.
    ended: float = 0.0

    @property
    def root(self) -> OwnRoot:
        """Its root."""
        return t.cast(OwnRoot, self.definition.own_root)

    @property
    def number(self) -> int:
        """Its number, from 1 on; 0 for what was there before it had a root of its own."""
        return number_of(self.definition)

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        return {
            "definition": file.to_data(self.definition),
            "services": [each.to_data() for each in self.services],
            "contents": dict(self.contents),
            "made_of": self.made_of,
            "ended": self.ended,
        }

    @classmethod
    def from_data(cls, data: t.Any, name: str) -> Generation:
        """That of a JSON form, of the namespace of that name. Raises ValueError."""
        fields = Fields(data, "a generation")
        found = cls(
            file.from_data(fields.take("definition", dict), name),
            tuple(KeptService.from_data(each) for each in fields.take("services", list, [])),
            fields.table("contents", str),
            fields.take("made_of", str, ""),
            fields.take("ended", float, 0.0),
        )
        fields.done()
        if found.definition.own_root is None:
            raise ValueError("a generation has no root of its own")
        return found


class Generations(t.NamedTuple):
    """What is kept of them."""

    # Those that served, the last one last. The one that serves may be among them.
    before: tuple[Generation, ...] = ()
    # The one that is built, or has been and is about to serve.
    next: Generation | None = None
    # The number of the one that served, while the next one takes its place; else 0.
    switching_from: int = 0
    # Why the last one that was tried does not serve; empty where it does.
    failed: str = ""

    def of(self, number: int) -> Generation | None:
        """The one before with that number."""
        return next((each for each in self.before if each.number == number), None)

    def with_before(self, served: Generation) -> Generations:
        """These with one that served as the last of those before, and no next one."""
        return self._replace(before=(*self.but(served.number), served), next=None)

    def but(self, number: int) -> tuple[Generation, ...]:
        """Those before without the one of that number, the last one last."""
        return tuple(each for each in self.before if each.number != number)


def number_of(definition: Definition | None) -> int:
    """Which generation a definition is; 0 for one without a root of its own."""
    own = definition.own_root if definition is not None else None
    return own.generation if own is not None else 0


def path_of(name: str) -> str:
    """Where they are kept."""
    return f"{DIRECTORY}/{host_paths.checked_name(name)}.json"


def load(name: str) -> Generations:
    """What is kept; nothing where there is no file. Raises Refused where it is damaged."""
    path = path_of(name)
    hint = (
        f"Remove it; then there is nothing to go back to, and `nsctl up {name}` takes what serves."
    )
    atomic.close(DIRECTORY, mode=_MODE)
    try:
        data = json_file.read(path)
        return Generations() if data is None else _of_data(data, name, path)
    except ValueError as error:
        raise Refused(f"{path} is damaged: {error}", hint) from error
    except OSError as error:
        raise unreadable(path, error, hint) from error


def _of_data(data: dict[str, t.Any], name: str, path: str) -> Generations:
    check_version(path, data, VERSION)
    fields = Fields(data, "the file")
    if fields.take("version", int) != VERSION:
        raise ValueError("it is of no version that there is")
    coming = fields.maybe("next", dict)
    found = Generations(
        tuple(Generation.from_data(each, name) for each in fields.take("before", list, [])),
        None if coming is None else Generation.from_data(coming, name),
        fields.take("switching_from", int, 0),
        fields.take("failed", str, ""),
    )
    fields.done()
    if found.switching_from and found.of(found.switching_from) is None:
        raise ValueError("the one that served is not among those before")
    return found


def save(name: str, found: Generations) -> None:
    """Keep them; no file where there is nothing to keep. The lock of the name is held. Raises OSError."""
    if found == Generations():
        forget(name)
        return
    atomic.make_directory(host_paths.DEFINITIONS, mode=host_paths.DEFINITIONS_MODE)
    atomic.make_directory(DIRECTORY, mode=_MODE)
    atomic.close(DIRECTORY, mode=_MODE)
    content: dict[str, t.Any] = {"version": VERSION}
    content["before"] = [each.to_data() for each in found.before]
    if found.next is not None:
        content["next"] = found.next.to_data()
    if found.switching_from:
        content["switching_from"] = found.switching_from
    if found.failed:
        content["failed"] = found.failed
    json_file.write(path_of(name), content)


def forget(name: str) -> None:
    """Keep nothing. Raises OSError."""
    atomic.remove(path_of(name))
    for directory in (DIRECTORY, host_paths.DEFINITIONS):
        atomic.remove_directory(directory)


def is_there(name: str) -> bool:
    """Whether forget() has something to do."""
    return atomic.is_there(path_of(name))
