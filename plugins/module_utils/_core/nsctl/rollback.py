# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl rollback: the root that named namespaces had before the one that they have.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import nsctl
from ..definition.properties import Properties
from ..operations import definition_list
from ..operations.definition_request import DefinitionRequest, How
from ..operations.namespace import NamespaceRequest
from . import apply
from .arguments import WrongUsage, parse


def run(verb: str, words: t.Sequence[str]) -> int:
    """The verb. Raises WrongUsage, Refused, StepFailed, OSError."""
    given = parse(words, switches=("json", "check"), operands=None)
    if not given.operands:
        raise WrongUsage("name a namespace")
    requests = [DefinitionRequest(NamespaceRequest(name, Properties())) for name in given.operands]
    wish = definition_list.Wish(requests, state="rolled_back")
    results, _host = definition_list.run(wish, How("check" in given.switches), nsctl)
    return apply.said(verb, results, as_data="json" in given.switches)
