# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The only bridge between Ansible and the core: shared options, results, and failures.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._core import exhaustion, redact
from ._core.errors import LOOKING, KernelError, Refused, StepFailed, sentence
from ._core.mount import table
from ._core.namespace import host_mounts, pins
from ._core.namespace.target import Target
from ._core.options import unusable
from ._core.printable import printable, printable_lines

TARGET_OPTIONS: dict[str, t.Any] = {
    "namespace": {"type": "str"},
    "pid": {"type": "int"},
    "namespace_path": {"type": "path"},
}
TARGET_EXCLUSIVE = [("namespace", "pid", "namespace_path")]

# A mount as ns_mount and ns_mount_info return it.
shown_mount = table.as_data

# Options whose text goes to a program or a file as it is.
_OF_BYTES = ("stdin", "credentials")

# How long a run waits for another one that changes the same named namespace, in seconds.
LOCK_TIMEOUT = 60.0

# What in a result is text for people, and how it is shown: Ansible prints some of it as it is. What
# has one line has no other, which could pass for one of Ansible's. All else is data.
_FOR_PEOPLE: dict[str, t.Callable[[str], str]] = {
    **dict.fromkeys(("msg", "step", "reason", "hint", "actions"), printable),
    **dict.fromkeys(("command", "syscall_arguments"), printable),
    **dict.fromkeys(("exception", "diff", "progress", "log", "output"), printable_lines),
}

# Makes of the value of an option, of whatever type, what may be logged.
Mask = t.Callable[[t.Any], t.Any]


def masked(
    params: t.Mapping[str, t.Any], known: t.Container[str], masks: t.Mapping[str, Mask]
) -> dict[str, t.Any]:
    """The values of options as they may be logged: of those that are not ``known``, nothing."""
    found = {}
    for name, value in params.items():
        if name not in known:
            found[name] = redact.MASK
        elif name in masks and value is not None:
            found[name] = masks[name](value)
        else:
            found[name] = value
    return found


def mask_variables(given: t.Any) -> t.Any:
    """Variables or parameters as they may be logged: without those whose names say they are secret."""
    if not isinstance(given, dict):
        return redact.MASK
    return {
        redact.word(str(name)): value if value is None else redact.shown(str(name), str(value))
        for name, value in given.items()
    }


def mask_values(given: t.Any) -> t.Any:
    """The names of secrets, as far as these are no secrets themselves."""
    if not isinstance(given, dict):
        return redact.MASK
    return {redact.word(str(name)): redact.MASK for name in given}


def _mask_parameters(given: t.Any) -> t.Any:
    if not isinstance(given, dict):
        return redact.MASK
    return {key: redact.parameter(str(key), value) for key, value in given.items()}


# Of the options of ns_namespace.
MASKS_OF_NAMESPACE: dict[str, Mask] = {"sysctl": _mask_parameters}


class Module(AnsibleModule):  # type: ignore[misc]
    """A module that says no secret, and nothing that could steer the terminal of who reads it.

    Names, command lines and the output of tools come from inside, or from strangers.

    Some options hold secrets beside what may be known. Ansible hides an option as a whole or not
    at all (no_log), and then its value wherever it stands in a result: of ``password=1`` each 1.
    So what it logs and returns of the options is what ``masks`` make of them. It holds as well for
    what was refused before it was checked.
    """

    params: dict[str, t.Any]

    def __init__(self, *, masks: t.Mapping[str, Mask] | None = None, **keywords: t.Any) -> None:
        self._masks = masks or {}
        super().__init__(**keywords)
        # Ansible has collected them, but of an option that was given as a text only that text.
        for name, option in self.argument_spec.items():
            if option.get("no_log"):
                self.no_log_values.update(_secrets_in(self.params[name]))

    def _log_invocation(self) -> None:
        given, self.params = self.params, self._masked()
        try:
            super()._log_invocation()
        finally:
            self.params = given

    def exit_json(self, **result: t.Any) -> None:
        """See AnsibleModule."""
        super().exit_json(**{"invocation": self._invocation(), **_for_people(result)})

    def fail_json(self, msg: str, **result: t.Any) -> None:
        """See AnsibleModule."""
        shown = _for_people({**result, "msg": msg})
        super().fail_json(**{"invocation": self._invocation(), **shown})

    def warn(self, warning: str) -> None:
        """See AnsibleModule."""
        super().warn(printable(warning))

    def _masked(self) -> dict[str, t.Any]:
        return masked(self.params, self.argument_spec, self._masks)

    def _invocation(self) -> dict[str, t.Any]:
        return {"module_args": self._masked()}


def _secrets_in(given: t.Any) -> t.Iterator[str]:
    """What of the values of an option with no_log Ansible is to hide wherever it stands."""
    for value in given.values() if isinstance(given, dict) else ():
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            yield str(value)


def _for_people(value: t.Any, show: t.Callable[[str], str] | None = None) -> t.Any:
    """What the value is in a result: text by ``show``, and of all else what is named above."""
    if isinstance(value, str):
        return value if show is None else show(value)
    if isinstance(value, dict):
        return {key: _for_people(each, show or _FOR_PEOPLE.get(key)) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_for_people(each, show) for each in value]
    return value


def target_of(params: t.Mapping[str, t.Any], *, only_looks: bool = False) -> Target:
    """The target that the options name. Raises Refused.

    That is also for a plain user who names a namespace, except where the module ``only_looks``.
    """
    target = Target(params["namespace"], params["pid"], params["namespace_path"]).checked()
    if target.namespace is not None and not only_looks:
        pins.check_rights()
    return target


@contextlib.contextmanager
def failures_reported(module: Module, *, read_later: t.Container[str] = ()) -> t.Iterator[None]:
    """Turn every failure below into the one form that a user sees; never a traceback.

    What no option can mean is refused first, but for those that are ``read_later`` by a table: see
    _check_values(). What is done is done with the mounts of the host, whatever this run has for its own.
    """
    note = ""
    try:
        for option, value in module.params.items():
            if option not in _OF_BYTES and option not in read_later:
                _check_values(option, value)
        with host_mounts.Joined() as joined:
            note = host_mounts.NOTE if joined.was_elsewhere else ""
            yield
    except Refused as error:
        hint = f"{error.hint} {note}".strip()
        module.fail_json(
            msg=sentence(error.reason, hint), reason=error.reason, hint=hint, **error.facts
        )
    except StepFailed as error:
        error.hint = f"{error.hint} {note}".strip()
        module.fail_json(**failure_of_step(error))
    except OSError as error:
        module.fail_json(**failure_of(error, LOOKING, hint=note))
    except Exception as error:
        module.fail_json(
            msg=f"This is a defect of linux.namespaces: {type(error).__name__}: {error}",
            exception=traceback.format_exc(),
        )


def _check_values(option: str, value: t.Any) -> None:
    """Raise Refused for a value that neither the kernel nor a clock can be given."""
    place, problem = unusable.problem_within(value)
    if problem:
        names = [each for each in reversed(place) if isinstance(each, str)]
        raise Refused(f"{' of '.join([*names, option])} {problem}")


def failure_of_step(error: StepFailed) -> dict[str, t.Any]:
    """The result of a failed step, whatever it failed of."""
    if isinstance(error.cause, OSError):
        return {**failure_of(error.cause, error.step, error.reason, error.hint), **error.facts}
    return {
        "msg": sentence(f"{error.step} failed: {error.reason}", error.hint),
        "step": error.step,
        "reason": error.reason,
        "hint": error.hint,
        **error.facts,
    }


def failure_of(
    error: OSError, step: str = "", reason: str = "", hint: str = ""
) -> dict[str, t.Any]:
    """The result of a failed call: ``step``, ``syscall``, ``errno``, ``reason``, ``hint``."""
    kernel = error if isinstance(error, KernelError) else None
    if not reason:
        reason, more = exhaustion.explain(error)
        hint = f"{more} {hint}".strip()
    reason = reason or str(error)
    result: dict[str, t.Any] = {
        "msg": sentence(f"{step} failed: {reason}" if step else reason, hint),
        "reason": reason,
        "hint": hint,
        "errno": errno_name(error),
    }
    if step:
        result["step"] = step
    if kernel is not None:
        result["syscall"] = kernel.call
        result["syscall_arguments"] = {key: str(value) for key, value in kernel.arguments.items()}
    return result


def errno_name(error: OSError) -> str:
    """The errno as manual pages write it."""
    return KernelError("", error.errno or 0).errno_name


def diff_of(
    module: Module,
    before: t.Mapping[str, t.Any],
    after: t.Mapping[str, t.Any],
    actions: t.Sequence[str],
) -> dict[str, t.Any]:
    """The ``diff`` of a result, where one is asked for: keys before and after, a line each.

    What was done and leaves no trace in these, as a restart, is shown by the names of the actions.
    """
    if not module._diff:
        return {}
    lines = {"before": _lines(before), "after": _lines(after)}
    if actions and lines["before"] == lines["after"]:
        lines["after"] += "".join(f"{printable(action)}\n" for action in actions)
    return {"diff": lines}


def _lines(values: t.Mapping[str, t.Any]) -> str:
    return "".join(f"{printable(key)}: {_line(values[key])}\n" for key in sorted(values))


def _line(value: t.Any) -> str:
    """A value in a diff. One line, unless it is a tuple: those lie below its title."""
    lines = value if isinstance(value, tuple) else ()
    return "".join(f"\n{printable(each)}" for each in lines) or printable(str(value))
