# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Named namespaces as wholes: how the options of ns_definition are logged and read, and its result.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from . import _module, _mounts, _rootfs, _service
from ._core import redact
from ._core.errors import Refused, sentence
from ._core.operations.definition_list import Result, Wish
from ._core.options import definition, file, table

# Of those that failed, in the message of the task.
_NAMED = 5


def _mask_below(
    options: table.Table, masks: t.Mapping[str, _module.Mask]
) -> t.Callable[[t.Any], t.Any]:
    """What masks an object with these options, or a list of such."""

    def mask(given: t.Any) -> t.Any:
        if isinstance(given, list):
            return [mask(each) for each in given]
        if not isinstance(given, dict):
            return redact.MASK
        return _module.masked(given, options, masks)

    return mask


def _hide(_given: t.Any) -> str:
    return redact.MASK


_OF_FILES = _mask_below(file.OPTIONS, {"content": _hide})
_OF_NAMESPACE: dict[str, _module.Mask] = {
    **_module.MASKS_OF_NAMESPACE,
    "rootfs": _mask_below(definition.ROOTFS, _rootfs.MASKS),
    "mounts": _mounts.MASKS["mounts"],
    "files": _OF_FILES,
    "services": _mask_below(definition.SERVICE, {**_service.MASKS, "files": _OF_FILES}),
    "steps": _mask_below(definition.STEP, _mounts.MASKS),
}
MASKS: dict[str, _module.Mask] = {"namespaces": _mask_below(definition.NAMESPACE, _OF_NAMESPACE)}


class Module(_module.Module):
    """The module, which says of an option that is wrong where in the list it stands."""

    def __init__(self, **keywords: t.Any) -> None:
        try:
            super().__init__(**keywords)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            # Ansible itself looks for options in what is no object.
            self.fail_json(f"The options cannot be read: {type(error).__name__}")

    def fail_json(self, msg: str, **result: t.Any) -> None:
        """See AnsibleModule, which calls it while it reads the options."""
        if "reason" not in result:
            # What Ansible has understood of it, and then what was written: it leaves out what is no list.
            for given in (self.params.get("namespaces"), self._written()):
                try:
                    definition.listed([] if given is None else given)
                except Refused as error:
                    told = sentence(error.reason, error.hint)
                    super().fail_json(told, reason=error.reason, hint=error.hint, **result)
        super().fail_json(msg, **result)

    def _written(self) -> t.Any:
        params = self.params
        self._load_params()
        written, self.params = self.params.get("namespaces"), params
        return written


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """What the options ask for. Raises Refused, which says where in the list it is."""
    # Once more, for what came to nothing in a template: Ansible leaves that as it is.
    listed = definition.listed(params["namespaces"])
    is_whole = params["state"] == "present"
    requests_of = definition.requests_of if is_whole else definition.named
    return Wish(
        requests_of(listed, lock_timeout=_module.LOCK_TIMEOUT),
        state=params["state"],
        exclusive=params["exclusive"],
        lock_timeout=_module.LOCK_TIMEOUT,
    )


def leave(module: Module, results: t.Sequence[Result], host: t.Sequence[str]) -> None:
    """End the module with what became of each, and fail where one of them has failed."""
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    done = list(host)
    for each in results:
        before.update(each.outcome.before)
        after.update(each.outcome.after)
        done += [f"{each.outcome.name}: {action}" for action in each.outcome.actions]
        for warning in each.outcome.warnings:
            module.warn(f"{each.outcome.name}: {warning}")
    shown = {
        "changed": bool(done),
        "actions": done,
        "namespaces": [_shown(each) for each in results],
        **_module.diff_of(module, before, after, done),
    }
    failed = [each for each in results if each.failure]
    if failed:
        module.fail_json(_summary(failed, len(results)), **shown)
    module.exit_json(**shown)


def _shown(result: Result) -> dict[str, t.Any]:
    outcome, failure = result.outcome, result.failure
    shown: dict[str, t.Any] = {
        "name": outcome.name,
        "changed": bool(outcome.actions),
        "failed": bool(failure),
        "actions": outcome.actions,
    }
    if failure:
        shown.update(failure, msg=sentence(failure["reason"], failure["hint"]))
    return shown


def _summary(failed: t.Sequence[Result], number: int) -> str:
    named = [
        f"{each.outcome.name}: {sentence(each.failure['reason'], each.failure['hint'])}"
        for each in failed[:_NAMED]
    ]
    more = f" And {len(failed) - _NAMED} more." if len(failed) > _NAMED else ""
    return f"{len(failed)} of {number} namespaces failed. {' '.join(named)}{more}"
