# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl rollback: the root that named namespaces had before the one that they have.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from .. import nsctl
from ..definition.properties import Properties
from ..operations import definition_list
from ..operations.definition_request import DefinitionRequest, How
from ..operations.namespace import NamespaceRequest
from . import apply
from .arguments import CHECK, JSON, Given, Verb, WrongUsage

VERB = Verb(
    "rollback",
    "the root that a named namespace had before",
    operands="NAME...",
    text="""\
Goes back to the generation before the one that serves: its root with what
was written to it, its mounts, its services and their files, as they were
when another root took their place. It is built beside the one that serves,
which ends only then. What serves now is kept, so that a second rollback
leads back to it.

One generation is kept unless keep_generations says otherwise, and none
with upper: keep. A play with the newer root brings that again.

Where a service does not become ready what served before serves again, and
`nsctl list` says why.
""",
    options=(
        CHECK,
        JSON,
    ),
    form=apply.FORM,
    exits="""\
0 when done, 1 when one failed or has nothing to go back to, 2 for wrong
usage.
""",
)


def run(verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused, StepFailed, OSError."""
    if not given.operands:
        raise WrongUsage("name a namespace")
    requests = [DefinitionRequest(NamespaceRequest(name, Properties())) for name in given.operands]
    wish = definition_list.Wish(requests, state="rolled_back")
    results, _host = definition_list.run(wish, How("check" in given.switches), nsctl)
    return apply.said(verb, results, given)
