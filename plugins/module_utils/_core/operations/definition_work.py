# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A named namespace while ns_definition works on it: what is asked for, and what has come of it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import actions
from ..actions import Action, run_all
from ..definition.steps import Step
from ..namespace.target import Target
from ..rootfs.request import RootRequest, RootResult
from . import rootfs
from .definition_request import DefinitionRequest, How, Outcome, differing
from .namespace_state import NamespaceResult


class Work:
    """The namespace while it is worked on."""

    def __init__(self, request: DefinitionRequest, how: How, outcome: Outcome) -> None:
        self.request = request
        self.name = request.name
        self.how = how
        self.check = how.check
        self.outcome = outcome
        self.target = Target(namespace=request.name)
        # Whether the definition becomes another one.
        self.is_to_record = False
        # A root was unpacked.
        self.has_unpacked = False
        # Where a root was replaced that is still in use.
        self.replaced = ""

    def do(self, planned: t.Iterable[Action]) -> None:
        """Carry these out, unless in check mode, and note them. Raises StepFailed."""
        self.note(run_all(planned, check=self.check))

    def note(
        self,
        done: t.Iterable[str],
        before: t.Mapping[str, t.Any] | None = None,
        after: t.Mapping[str, t.Any] | None = None,
        *,
        warnings: t.Iterable[str] = (),
    ) -> None:
        """What a part has done, or would. That all of it was recorded is said once, at the end."""
        names = [*done]
        others = [name for name in names if not actions.only_records(name)]
        self.is_to_record = self.is_to_record or len(others) < len(names)
        self.outcome.note(others, before, after, warnings=warnings)

    def note_of_namespace(self, result: NamespaceResult) -> None:
        """What was done with the namespace itself, or would be."""
        before, after = differing(result.before, result.after)
        self.note(
            result.actions,
            {f"{key} of {self.name}": value for key, value in before.items()},
            {f"{key} of {self.name}": value for key, value in after.items()},
            warnings=result.warnings,
        )

    def lasts(self, step: Step) -> bool:
        """Whether the step outlives a reboot, where the namespace does."""
        return all(lasts for each, lasts in self.request.steps if each.key() == step.key())

    def unpack(self, request: RootRequest) -> RootResult:
        """Have the root there. Raises Refused, StepFailed."""
        result = rootfs.run(request, check=self.check, progress=self.how.progress)
        line = f"{request.path} of {self.name}"
        before = {line: result.before} if result.actions else {}
        after = {line: result.after} if result.actions else {}
        self.note(result.actions, before, after, warnings=result.warnings)
        is_known = not (self.check and result.replaces)
        self.outcome.config = result.config if is_known else None
        self.outcome.made_of = result.after
        self.has_unpacked = self.has_unpacked or result.replaces
        return result
