# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the options of ns_service become.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import resource
import typing as t

from . import _module
from ._core.definition.service import SECRETS, Ready, Reload, RestartPolicy, ServiceSpec
from ._core.errors import Refused
from ._core.host_paths import DEFAULT_PATH
from ._core.process import program, signals
from ._core.rootfs import image_config
from ._core.service.model import ServiceRequest

# How they are logged.
MASKS: dict[str, _module.Mask] = {
    "environment": _module.mask_variables,
    **dict.fromkeys(SECRETS, _module.mask_values),
}


def request_of(params: t.Mapping[str, t.Any]) -> ServiceRequest:
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
        secret_environment=_secrets_of(params, "secret_environment"),
        credentials=_secrets_of(params, "credentials"),
    )
    return ServiceRequest(
        spec,
        gives_program=params["argv"] is not None,
        state=params["state"],
        enabled=params["enabled"],
        supervisor=params["supervisor"],
        lock_timeout=_module.LOCK_TIMEOUT,
    )


def _program_of(params: t.Mapping[str, t.Any]) -> program.Program:
    limits = {name: _limit_of(name, text) for name, text in params["limits"].items()}
    environment = {key: str(text) for key, text in params["environment"].items()}
    return program.Program(
        params["argv"] or (),
        environment={"PATH": DEFAULT_PATH, **environment},
        limits=limits,
        umask=0o022,
        **program.given(params),
    )


def _secrets_of(params: t.Mapping[str, t.Any], option: str) -> dict[str, str]:
    """The texts of an option with secret values. Raises Refused, without any of them."""
    found = {}
    for key, value in params[option].items():
        if not isinstance(value, (str, int, float)):
            kind = "nothing" if value is None else f"a {type(value).__name__}"
            raise Refused(
                f"{option}: the value of {key} must be a text, not {kind}",
                "What looks like JSON stays a text with the filter string, or to_json.",
            )
        found[str(key)] = str(value)
    return found


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 18  # of 63 bits


def _limit_of(name: str, text: object) -> tuple[int, int]:
    soft, colon, hard = str(text).partition(":")
    numbers = [
        resource.RLIM_INFINITY if word == "unlimited" else int(word) if _is_number(word) else -2
        for word in (soft, hard if colon else soft)
    ]
    if -2 in numbers or any(number >= 1 << 63 for number in numbers):
        raise Refused(f"the limit {name}={text} is no number", "Such as 1024, or 1024:unlimited.")
    return numbers[0], numbers[1]


def _signal_of(word: str | None) -> str:
    return signals.word_of(word) if word else ""


def _reload_of(params: t.Mapping[str, t.Any]) -> Reload | None:
    given = params["reload"] or {}
    found = Reload(signal=_signal_of(given.get("signal")), argv=tuple(given.get("argv") or ()))
    return found if found != Reload() else None


def _ready_of(params: t.Mapping[str, t.Any]) -> Ready:
    given = params["ready"] or {}
    return Ready(**{name: value for name, value in given.items() if value is not None})


def _restart_policy_of(params: t.Mapping[str, t.Any]) -> RestartPolicy | None:
    given = params["restart_policy"]
    if given is None:
        return None
    return RestartPolicy(**{name: value for name, value in given.items() if value is not None})
