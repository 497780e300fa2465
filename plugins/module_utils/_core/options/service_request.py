# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What becomes of the options of a service.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import resource
import typing as t

from .. import redact
from ..definition.service import Ready, Reload, RestartPolicy, ServiceSpec
from ..definition.service_socket import Socket
from ..errors import Refused
from ..host_paths import DEFAULT_PATH
from ..process import program, signals
from ..rootfs import image_config
from ..service.model import ServiceRequest
from . import table, unusable

_MODE = re.compile("0?[0-7]{3}")
# Their names in setrlimit(2).
_LIMITS = [each[7:].lower() for each in dir(resource) if each.startswith("RLIMIT_")]


def request_of(params: t.Mapping[str, t.Any], *, lock_timeout: float) -> ServiceRequest:
    """The request that the options of ns_service make. Raises Refused."""
    params = image_config.under(params, params["image_config"])
    spec = ServiceSpec(
        namespace=params["namespace"],
        name=params["name"],
        program=_program_of(params),
        kinds=tuple(sorted(set(params["kinds"]))),
        reload=_reload_of(params),
        stop_signal=_signal_of(params["stop_signal"]),
        stop_timeout=params["stop_timeout"],
        ready=_ready_of(params),
        restart_policy=_restart_policy_of(params),
        secret_environment=_texts_of(params, "secret_environment"),
        credentials=_texts_of(params, "credentials"),
        sockets=tuple(_socket_of(each) for each in params["sockets"]),
    )
    return ServiceRequest(
        spec,
        gives_program=params["argv"] is not None,
        state=params["state"],
        enabled=params["enabled"],
        supervisor=params["supervisor"],
        lock_timeout=lock_timeout,
    )


def _program_of(params: t.Mapping[str, t.Any]) -> program.Program:
    chdir = params["chdir"]
    if chdir and not chdir.startswith("/"):
        raise Refused(f"chdir must be an absolute path, not {table.shown(chdir)}")
    limits = {name: _limit_of(name, text) for name, text in params["limits"].items()}
    environment = _texts_of(params, "environment")
    return program.Program(
        params["argv"] or (),
        environment={"PATH": DEFAULT_PATH, **environment},
        limits=limits,
        umask=0o022,
        **program.given(params),
    )


def _texts_of(params: t.Mapping[str, t.Any], option: str) -> dict[str, str]:
    """The texts that are the values of an option. Raises Refused, without any of them."""
    return {
        str(key): unusable.text(value, f"{option}: the value of {redact.word(str(key))}")
        for key, value in params[option].items()
    }


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 18  # of 63 bits


def _limit_of(name: str, text: object) -> tuple[int, int]:
    word = name.lower()
    word = word[7:] if word.startswith("rlimit_") else word
    if word not in _LIMITS:
        hint = f"Use one of {', '.join(_LIMITS)}."
        nearest = table.nearest_to(word, _LIMITS)
        told = f"{table.shown(name)} is not a resource limit"
        raise Refused(told, f"Did you mean {nearest}? {hint}" if nearest else hint)
    soft, colon, hard = str(text).partition(":")
    numbers = [
        resource.RLIM_INFINITY if word == "unlimited" else int(word) if _is_number(word) else -2
        for word in (soft, hard if colon else soft)
    ]
    if -2 in numbers or any(number >= 1 << 63 for number in numbers):
        raise Refused(f"the limit {name}={text} is no number", "Such as 1024, or 1024:unlimited.")
    lower, upper = (1 << 63 if each == resource.RLIM_INFINITY else each for each in numbers)
    if lower > upper:
        raise Refused(
            f"the limit {name}={text} is above its own hard limit", "Write the lower one first."
        )
    return numbers[0], numbers[1]


def _signal_of(word: str | None) -> str:
    return signals.word_of(word) if word else ""


def _reload_of(params: t.Mapping[str, t.Any]) -> Reload | None:
    given = params["reload"] or {}
    found = Reload(signal=_signal_of(given.get("signal")), argv=tuple(given.get("argv") or ()))
    return found if found != Reload() else None


def _ready_of(params: t.Mapping[str, t.Any]) -> Ready:
    given = params["ready"] or {}
    if given.get("port") is None and given.get("address") not in (None, Ready.address):
        raise Refused("ready has an address, and no port", "Give port as well, or leave it out.")
    return Ready(**{name: value for name, value in given.items() if value is not None})


def _restart_policy_of(params: t.Mapping[str, t.Any]) -> RestartPolicy | None:
    given = params["restart_policy"]
    if given is None:
        return None
    return RestartPolicy(**{name: value for name, value in given.items() if value is not None})


def _socket_of(given: t.Mapping[str, t.Any]) -> Socket:
    words = {name: given[name] or "" for name in ("name", "owner", "group")}
    mode = given["mode"]
    if mode is not None and not (isinstance(mode, str) and _MODE.fullmatch(mode)):
        raise Refused(
            f"mode of the socket {table.shown(given['listen'])} is {table.shown(mode)}, which is no mode",
            "Write it as a text, such as '0660'.",
        )
    return Socket(
        given["listen"],
        given["type"],
        mode=None if mode is None else int(mode, 8),
        blocking=given["blocking"],
        **words,
    )
