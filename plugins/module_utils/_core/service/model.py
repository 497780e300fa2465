# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is asked for a service, what is seen of it, and what was done.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .. import redact
from ..definition.service import ServiceSpec
from ..definition.service_words import SECRETS
from ..errors import Refused
from ..process.program import Program


@dataclasses.dataclass(frozen=True)
class Coming:
    """What its namespace will be, where that may be still to come."""

    kinds: frozenset[str]
    # It is there again after a reboot.
    persistent: bool
    # The name that it shares its net with; empty where that is its own, or the host's.
    net_of: str = ""


@dataclasses.dataclass(frozen=True)
class ServiceRequest:
    """What a task of ns_service says."""

    spec: ServiceSpec
    # False for a task without argv: the program of spec and its kinds count for nothing then.
    gives_program: bool = True
    # started, stopped, restarted, reloaded or absent.
    state: str = "started"
    # Whether it starts at boot; None leaves that as it is.
    enabled: bool | None = None
    # A name in service_words.SUPERVISORS, or auto.
    supervisor: str = "auto"
    # How long to wait for another run that changes the namespace, in seconds.
    lock_timeout: float = 60.0
    # None for a namespace that is there.
    coming: Coming | None = None
    # Where the program does not come up its sockets stay open: the caller has another one started
    # at once. That has to be in the same process.
    keeps_sockets: bool = False

    def checked(self) -> ServiceRequest:
        """This, when it makes sense by itself. Raises Refused."""
        self.spec.checked()
        if self.gives_program:
            self.spec.program.checked()
        return self

    @property
    def is_to_run(self) -> bool:
        """Whether the program runs afterwards."""
        return self.state not in ("stopped", "absent")

    def spec_over(self, known: ServiceSpec | None) -> ServiceSpec:
        """The service as it is to be, when it was ``known`` until now.

        A task without argv changes how the program is reloaded, stopped and restarted, where it
        says so.
        Raises Refused where there is no program.
        """
        if self.gives_program:
            return self.spec
        if known is None:
            raise Refused(f"service {self.spec.name} is not known, so argv is needed", "Give argv.")
        return dataclasses.replace(
            known,
            reload=self.spec.reload or known.reload,
            stop_signal=self.spec.stop_signal or known.stop_signal,
            restart_policy=self.spec.restart_policy or known.restart_policy,
        )

    def spec_or_none(self, known: ServiceSpec | None) -> ServiceSpec | None:
        """spec_over(); None where nobody says what the program is."""
        return self.spec_over(known) if self.gives_program or known is not None else None


@dataclasses.dataclass(frozen=True)
class Observed:
    """A service as a supervisor sees it."""

    # The supervisor has something that describes it.
    is_known: bool
    # The program, while it runs.
    pid: int | None
    # It runs, or starts.
    runs: bool
    # Something of it lives: it runs, has left processes behind, or is about to be started again.
    lives: bool
    # What runs is another program than is wanted, or runs otherwise.
    is_outdated: bool
    # There is something to remove.
    leaves: bool
    # What else results show of it.
    facts: dict[str, t.Any]
    # What it is known to be; None where nobody has noted that.
    spec: ServiceSpec | None = None
    # What else a diff shows of it.
    shown: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def nothing(cls) -> Observed:
        """What is seen where nothing is left of it."""
        return cls(False, None, False, False, False, False, {})

    @property
    def state(self) -> str:
        """As results have it."""
        return "started" if self.runs else "stopped" if self.is_known else "absent"


def fields_shown(spec: ServiceSpec | None, before: ServiceSpec | None = None) -> dict[str, t.Any]:
    """What a diff shows of a service: of its secrets the names, and which differ from ``before``.

    Fields with their defaults are left out.
    """
    if spec is None:
        return {}
    program = spec.program.to_data()
    program = {name: value for name, value in program.items() if value != _PLAIN[name]}
    data = {**spec.to_data(), **program}
    for name in ("namespace", "name", "program"):
        data.pop(name, None)
    for name in SECRETS:
        known = {} if before is None else getattr(before, name)
        marked = {
            key: _SECRET if known.get(key, value) == value else _OTHER_SECRET
            for key, value in getattr(spec, name).items()
        }
        if marked:
            data[name] = marked
    known = {} if before is None else before.program.environment
    if "environment" in data:
        data["environment"] = {
            redact.word(key): _variable_shown(key, value, known.get(key, value))
            for key, value in data["environment"].items()
        }
    return data


def _variable_shown(name: str, value: str, known: str) -> str:
    shown = redact.shown(name, value)
    if value != known and shown != value and shown == redact.shown(name, known):
        return f"{shown} (changes)"
    return shown


_SECRET, _OTHER_SECRET = "(secret)", "(secret, changes)"
_PLAIN = Program(()).to_data()


class ServiceResult(t.NamedTuple):
    """What was (or in check mode: would be) done."""

    # The names of the actions.
    actions: list[str]
    # The state in a few lines, for the diff.
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    # The service afterwards.
    service: dict[str, t.Any]
