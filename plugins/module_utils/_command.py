# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running a program in the manner of ansible.builtin.command: shared options and the result.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import shlex
import typing as t

from . import _module
from ._core import redact
from ._core.errors import KernelError, Refused, StepFailed
from ._core.operations import run as running
from ._core.process import program

OPTIONS: dict[str, t.Any] = {
    "argv": {"type": "list", "elements": "str"},
    "cmd": {"type": "str"},
    "creates": {"type": "path"},
    "removes": {"type": "path"},
    "environment": {"type": "dict"},
    "secret_environment": {"type": "dict", "no_log": True},
    **program.arguments(),
    "chdir": {"type": "path"},
    "stdin": {"type": "str"},
    "stdin_add_newline": {"type": "bool", "default": True},
    "strip_empty_ends": {"type": "bool", "default": True},
    "timeout": {"type": "float"},
}


# How they are logged: what a program reads is as often a password as not.
MASKS: dict[str, _module.Mask] = {
    "environment": _module.mask_variables,
    "secret_environment": _module.mask_values,
    "stdin": lambda _given: redact.MASK,
}
EXCLUSIVE = [("argv", "cmd")]
REQUIRED_ONE_OF = [("argv", "cmd")]


def program_of(params: t.Mapping[str, t.Any], *, own_root: bool) -> program.Program:
    """The program that OPTIONS describe; ``own_root`` says that its root is not the host's.

    Raises Refused.
    """
    return program.Program(
        _argv(params),
        environment={
            **_environment(params, "environment"),
            **_environment(params, "secret_environment"),
        },
        host_users=not own_root,
        **{
            **program.given(params),
            "chdir": params["chdir"] or ("/" if own_root else _own_directory()),
        },
    )


def _argv(params: t.Mapping[str, t.Any]) -> list[str]:
    if params["argv"] is not None:
        words: list[str] = params["argv"]
    else:
        try:
            words = shlex.split(params["cmd"])
        except ValueError as error:
            raise Refused(f"cmd cannot be split into words: {error}") from error
    if not words or not words[0]:
        raise Refused("no command given")
    return words


def _environment(params: t.Mapping[str, t.Any], option: str) -> dict[str, str]:
    given = params[option] or {}
    for name, value in given.items():
        if not isinstance(value, (str, int, float)):
            kind = "null" if value is None else f"a {type(value).__name__}"
            raise Refused(
                f"{option}: the value of {redact.word(str(name))} must be a text, not {kind}"
            )
    return {str(name): str(value) for name, value in given.items()}


def _own_directory() -> str:
    with contextlib.suppress(OSError):
        here = os.getcwd()
        if os.access(here, os.X_OK):
            return here
    return "/"


def stdin_of(params: t.Mapping[str, t.Any]) -> bytes:
    """What the program gets to read, as ansible.builtin.command gives it."""
    if not params["stdin"]:
        return b""
    return os.fsencode(params["stdin"]) + (b"\n" if params["stdin_add_newline"] else b"")


def run(module: _module.Module, request_of: t.Callable[[], running.RunRequest]) -> None:
    """Run what the request says, and leave with the result of the module."""
    result: dict[str, t.Any] = {
        "changed": False,
        "cmd": module.params["argv"] or module.params["cmd"],
        "rc": None,
        "stdout": "",
        "stderr": "",
        "start": None,
        "end": None,
        "delta": None,
        "msg": "",
        "actions": [],
    }
    with _module.failures_reported(module):
        try:
            request = request_of()
            result["cmd"] = list(request.program.argv)
            outcome = running.run(request, check=module.check_mode)
        except StepFailed as error:
            failure = _module.failure_of_step(error)
            if isinstance(error.cause, KernelError) and error.cause.call == "execve":
                result["rc"] = error.cause.errno  # as ansible.builtin.command tells it
            module.fail_json(**{**result, **failure})
        except Refused as error:
            error.facts = {**result, **error.facts}
            del error.facts["msg"]
            raise
        for warning in outcome.warnings:
            module.warn(warning)
        result.update(_shown(module, request, outcome))
        if outcome.timed_out:
            seconds = module.params["timeout"]
            result["msg"] = f"timed out after {seconds:g} seconds; everything it started was killed"
        elif result["rc"] != 0:
            result["msg"] = "non-zero return code"
        if result["rc"] != 0 or outcome.timed_out:
            module.fail_json(**result)
        module.exit_json(**result)


def _shown(
    module: _module.Module, request: running.RunRequest, outcome: running.RunResult
) -> dict[str, t.Any]:
    if outcome.skipped_for:
        return _shown_skip(module, request, outcome)
    start, end = (t.cast(datetime.datetime, each) for each in (outcome.start, outcome.end))
    shown: dict[str, t.Any] = {
        "changed": True,
        "actions": outcome.actions,
        "rc": outcome.status,
        **_texts(module, "stdout", outcome.stdout),
        **_texts(module, "stderr", outcome.stderr),
        "start": str(start),
        "end": str(end),
        "delta": str(end - start),
        "namespaces": outcome.namespaces,
    }
    if outcome.signal:
        shown["signal"] = outcome.signal
    if outcome.timed_out:
        shown["timed_out"] = True
    return shown


def _shown_skip(
    module: _module.Module, request: running.RunRequest, outcome: running.RunResult
) -> dict[str, t.Any]:
    verb = "Would" if module.check_mode else "Did"
    shown: dict[str, t.Any] = {"rc": 0}
    for why, path, fact in (
        (running.EXISTS, request.unless_exists, "exists"),
        (running.MISSING, request.only_if_exists, "does not exist"),
    ):
        if outcome.skipped_for == why:
            shown["msg"] = f"{verb} not run command since '{path}' {fact}"
            shown["stdout"] = f"skipped, since {path} {fact}"
            return shown
    shown["msg"] = "Command would have run if not in check mode"
    shown["actions"] = outcome.actions
    shown["changed"] = True
    if request.unless_exists is None and request.only_if_exists is None:
        # Nobody knows what it would do: neither changed nor unchanged.
        shown.update(skipped=True, changed=False)
    return shown


def _texts(module: _module.Module, name: str, output: bytes) -> dict[str, str]:
    """The output as text, and as it is where it is no text: Ansible takes nothing but UTF-8."""
    text = output.decode("utf-8", "backslashreplace")
    shown = {name: text.rstrip("\r\n") if module.params["strip_empty_ends"] else text}
    try:
        output.decode("utf-8")
    except UnicodeDecodeError:
        # Ansible hides secrets in what it can read.
        for secret in sorted(map(os.fsencode, module.no_log_values), key=len, reverse=True):
            output = output.replace(secret, redact.MASK.encode())
        shown[f"{name}_b64"] = base64.b64encode(output).decode()
    return shown
