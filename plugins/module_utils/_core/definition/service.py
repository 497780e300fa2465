# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a service is: a program that is kept running in a named namespace.

Tasks, notes and files are made of this one description, whichever supervisor keeps it running.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t

from .. import host_paths, redact
from ..errors import Refused
from ..process import signals
from ..process.program import Program
from . import service_socket
from .data import Fields
from .service_socket import Socket
from .service_words import RESTART_CONDITIONS, SECRETS

# How nsctl ends where the namespace of a service is not there, or closed: to start it again would change
# nothing. Neither systemd (systemd.exec(5)) nor sysexits(3) nor a shell has this number.
UNAVAILABLE = 250
DEFAULT_SIGNAL_TO_STOP = "TERM"
DEFAULT_SIGNAL_TO_RELOAD = "HUP"
# Names and sizes as systemd takes them (systemd.exec(5), CREDENTIALS): they lie in memory.
_LONGEST_CREDENTIAL_NAME = 255
_MOST_BYTES = 1 << 20
# systemd.time(7) has no word for more; and "inf" and "nan" are numbers as well.
_LONGEST_TIME = 1e9
# systemd reads it as an unsigned number of 32 bits.
_MOST_STARTS = (1 << 32) - 1


@dataclasses.dataclass(frozen=True)
class Reload:
    """How a program is told to read its configuration again: one of the two."""

    # A signal, as signals.number_of() takes it.
    signal: str = ""
    # A program that is run in the namespaces of the service.
    argv: tuple[str, ...] = ()

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        return {"argv": list(self.argv)} if self.argv else {"signal": self.signal}

    @classmethod
    def from_data(cls, data: t.Any) -> Reload:
        """That of a JSON form. Raises ValueError."""
        fields = Fields(data, "reload")
        argv = fields.texts("argv", [])
        found = cls(signal="" if argv else fields.take("signal", str), argv=argv)
        fields.done()
        return found


@dataclasses.dataclass(frozen=True)
class Ready:
    """How a program is known to be up: by one of port, file and notify, or as soon as it runs."""

    # A TCP port that accepts connections in the network namespace of the program.
    port: int | None = None
    # Of the port.
    address: str = "127.0.0.1"
    # A file that appears in its mount namespace.
    file: str = ""
    # It tells its supervisor, by sd_notify(3).
    notify: bool = False
    # How long it may take, in seconds.
    timeout: float = 30.0

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data: dict[str, t.Any] = {"address": self.address, "timeout": self.timeout}
        for key in ("port", "file", "notify"):
            if getattr(self, key):
                data[key] = getattr(self, key)
        return data

    @classmethod
    def from_data(cls, data: t.Any) -> Ready:
        """That of a JSON form. Raises ValueError."""
        fields = Fields(data, "ready")
        found = cls(
            port=fields.maybe("port", int),
            address=fields.take("address", str, cls.address),
            file=fields.take("file", str, ""),
            notify=fields.take("notify", bool, False),
            timeout=fields.take("timeout", float, cls.timeout),
        )
        fields.done()
        return found


@dataclasses.dataclass(frozen=True)
class RestartPolicy:
    """When a program that has ended by itself is started again, how soon, and how often."""

    # One of RESTART_CONDITIONS. What a signal ended has failed, be it a friendly one: a task that
    # stops a service does not come by here.
    condition: str = "on-failure"
    # Before the program is started again, in seconds. systemd is up to a quarter of a second late
    # and our own commands take a fifth: a program that is killed each second is up in between.
    delay: float = 0.25
    # What the delay grows to while the program fails again and again, in seconds. systemd counts
    # all restarts since the service was started, so it also is what a rare crash may cost.
    max_delay: float = 10.0
    # After so many starts within ``interval`` seconds it is given up; 0 for never.
    limit: int = 0
    interval: float = 60.0

    def checked(self) -> RestartPolicy:
        """This, when it makes sense by itself. Raises Refused."""
        if self.condition not in RESTART_CONDITIONS:
            words = ", ".join(RESTART_CONDITIONS)
            raise Refused(f"condition of restart_policy is one of {words}, not {self.condition!r}")
        for option in ("delay", "max_delay", "interval"):
            _check_seconds(f"{option} of restart_policy", getattr(self, option))
        if not self.delay or not self.interval:
            raise Refused(
                f"{'interval' if self.delay else 'delay'} of restart_policy must be more than 0 seconds",
                "A program that cannot start would have its host do nothing else.",
            )
        if not 0 <= self.limit <= _MOST_STARTS:
            raise Refused(f"limit of restart_policy must be a number of starts, not {self.limit}")
        return self

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: t.Any) -> RestartPolicy:
        """That of a JSON form. Raises ValueError."""
        fields = Fields(data, "restart_policy")
        found = cls(
            condition=fields.take("condition", str, cls.condition),
            delay=fields.take("delay", float, cls.delay),
            max_delay=fields.take("max_delay", float, cls.max_delay),
            limit=fields.take("limit", int, cls.limit),
            interval=fields.take("interval", float, cls.interval),
        )
        fields.done()
        return found


def _check_seconds(option: str, seconds: float) -> None:
    """Raises Refused for what is no length of time."""
    if not 0 <= seconds <= _LONGEST_TIME or math.isnan(seconds):
        raise Refused(f"{option} must be a number of seconds, not {seconds}")


@dataclasses.dataclass(frozen=True)
class ServiceSpec:
    """A service. The options of ns_service have the same names."""

    # Of the named namespace that it runs in.
    namespace: str
    # Its own, unique there.
    name: str
    program: Program
    # Those of which the program gets new namespaces, instead of joining the named ones. Sorted.
    kinds: tuple[str, ...] = ()
    # None: by HUP.
    reload: Reload | None = None
    # The signal that ends the program, as signals.number_of() takes it; empty for TERM.
    stop_signal: str = ""
    # How long it may take to end before it is killed, in seconds.
    stop_timeout: float = 10.0
    ready: Ready = Ready()
    # None: as RestartPolicy() says.
    restart_policy: RestartPolicy | None = None
    # Variables of the program beside those in program.environment, and before them.
    secret_environment: t.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    # The contents of files by their names: see credentials_directory.
    credentials: t.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    # What is opened for the program, and handed over to it from descriptor 3 on.
    sockets: tuple[Socket, ...] = ()

    def checked(self) -> ServiceSpec:
        """This, when it makes sense by itself. Raises Refused.

        The program is left out: a task without argv has none.
        """
        host_paths.checked_name(self.namespace)
        host_paths.checked_name(self.name)
        self._check_secrets()
        _check_seconds("stop_timeout", self.stop_timeout)
        _check_seconds("timeout of ready", self.ready.timeout)
        if self.restart_policy is not None:
            self.restart_policy.checked()
        for name in (self.stop_signal, self.reload.signal if self.reload is not None else ""):
            if name:
                signals.number_of(name)
        if self.ready.port is not None and not 0 < self.ready.port < 1 << 16:
            raise Refused(f"port must be a number from 1 to 65535, not {self.ready.port}")
        if self.ready.file and not self.ready.file.startswith("/"):
            raise Refused(f"file must be an absolute path, not {self.ready.file!r}")
        service_socket.check(self.namespace, self.name, self.sockets)
        return self

    def _check_secrets(self) -> None:
        """Raises Refused; no value is a part of that."""
        for key, value in self.secret_environment.items():
            if not key or "=" in key or "\0" in key:
                raise Refused(f"{redact.word(key)!r} cannot be the name of an environment variable")
            if "\0" in value:
                raise Refused(f"the value of {key} in secret_environment holds a null character")
        for name in self.credentials:
            is_name = name.isprintable() and not set(name) & set("/:") and name not in (".", "..")
            if not is_name or not 0 < len(encoded(name)) <= _LONGEST_CREDENTIAL_NAME:
                raise Refused(
                    f"{redact.word(name)!r} cannot be the name of a credential",
                    "It is the name of a file, and holds no colon.",
                )
        size = sum(len(encoded(text)) for text in self.credentials.values())
        if size > _MOST_BYTES:
            raise Refused(
                f"credentials hold {size} bytes, which is more than {_MOST_BYTES}",
                "They lie in memory: pass larger files by a mount.",
            )

    def check_places(self, named: t.Collection[str]) -> None:
        """Raises Refused where there is none for what it has in the file system.

        ``named`` are the kinds of the named namespace.
        """
        self.check_place_of_credentials(named)
        files = [each.listen for each in self.sockets if each.is_file]
        if files and "mnt" not in named:
            raise Refused(
                f"the socket {files[0]} of service {self.name} would be mounted on the host",
                f"Add mnt to kinds of namespace {self.namespace}.",
            )

    def check_place_of_credentials(self, named: t.Collection[str]) -> None:
        """Raises Refused where there is none; ``named`` are the kinds of the named namespace."""
        if not self.credentials:
            return
        if "mnt" not in (*named, *self.kinds):
            raise Refused(
                f"credentials of service {self.name} would be mounted on the host",
                f"Add mnt to kinds of namespace {self.namespace}, or of the service.",
            )
        if "user" in self.kinds and "mnt" not in self.kinds:
            raise Refused(
                f"service {self.name} may mount no credentials in the mounts of namespace "
                f"{self.namespace} from a user namespace of its own",
                "Add mnt to its kinds.",
            )

    @property
    def credentials_directory(self) -> str:
        """Where the program finds its credentials."""
        return credentials_directory(self.namespace, self.name)

    def program_with_secrets(self) -> Program:
        """The program as it is to run. What is in its environment is nobody else's to see."""
        environment = {**self.program.environment, **self.secret_environment}
        if self.credentials:
            environment["CREDENTIALS_DIRECTORY"] = self.credentials_directory
        return self.program.replace(environment=environment)

    def runs_as(self, other: ServiceSpec) -> bool:
        """Whether a program that was started as ``other`` is what this is to run."""
        running = ("program", "kinds", "sockets", *SECRETS)
        return all(getattr(self, name) == getattr(other, name) for name in running)

    def to_data(self) -> dict[str, t.Any]:
        """The JSON form."""
        data: dict[str, t.Any] = {"namespace": self.namespace, "name": self.name}
        data.update(program=self.program.to_data(), kinds=list(self.kinds))
        data.update({name: dict(getattr(self, name)) for name in SECRETS if getattr(self, name)})
        if self.reload is not None:
            data["reload"] = self.reload.to_data()
        if self.stop_signal:
            data["stop_signal"] = self.stop_signal
        if self.restart_policy is not None:
            data["restart_policy"] = self.restart_policy.to_data()
        if self.sockets:
            data["sockets"] = [each.to_data() for each in self.sockets]
        return {**data, "stop_timeout": self.stop_timeout, "ready": self.ready.to_data()}

    @classmethod
    def from_data(cls, data: t.Any) -> ServiceSpec:
        """The service of a JSON form. Raises ValueError."""
        fields = Fields(data, "the service")
        reload_by = fields.maybe("reload", dict)
        policy = fields.maybe("restart_policy", dict)
        found = cls(
            namespace=fields.take("namespace", str),
            name=fields.take("name", str),
            program=Program.from_data(fields.take("program", dict)),
            kinds=fields.texts("kinds", []),
            reload=None if reload_by is None else Reload.from_data(reload_by),
            stop_signal=fields.take("stop_signal", str, ""),
            stop_timeout=fields.take("stop_timeout", float, cls.stop_timeout),
            ready=Ready.from_data(fields.take("ready", dict, {})),
            restart_policy=None if policy is None else RestartPolicy.from_data(policy),
            sockets=tuple(Socket.from_data(each) for each in fields.take("sockets", list, [])),
            **{name: fields.table(name, str) for name in SECRETS},
        )
        fields.done()
        return found

    @classmethod
    def read_for(cls, data: t.Any, namespace: str, name: str) -> ServiceSpec:
        """from_data() of what is kept for the service of that name. Raises ValueError."""
        found = cls.from_data(data)
        if (found.namespace, found.name) != (namespace, name):
            raise ValueError(f"it is of service {found.name} in namespace {found.namespace}")
        return found


def credentials_directory(namespace: str, name: str) -> str:
    """Where the program of a service finds its credentials, inside.

    No other service on the host has it by that name.
    """
    return f"{host_paths.CREDENTIALS}/{namespace}:{name}"


def encoded(text: str) -> bytes:
    """The content of a credential as it is written to its file. Raises Refused."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Refused("credentials hold a character that has no bytes") from error
