# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""nsctl export: what a named namespace is, in the form that nsctl apply and ns_definition take.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition import service_names
from ..definition.root import home_of
from ..errors import Refused
from ..operations import definition_files, restore
from ..options import export
from ..service import supervisor
from . import say_data
from .arguments import Given, Verb, WrongUsage

VERB = Verb(
    "export",
    "named namespaces as a file for nsctl apply",
    operands="NAME...",
    text="""\
Prints what the namespaces are, however they were made, in the form that
`nsctl apply`, `nsctl diff` and the module ns_definition take. What has its
default is left out. To apply it changes nothing on this host, and makes the
same namespaces on another one that has what they are made of.

It holds the secrets of their services, as they are.
""",
    form="Always: the file that `nsctl apply` takes.",
    exits="0 when printed, 1 where a name is unknown, 2 for wrong usage.",
)


def run(_verb: str, given: Given) -> int:
    """The verb. Raises WrongUsage, Refused."""
    if not given.operands:
        raise WrongUsage("name namespaces")
    say_data({"namespaces": [exported(name) for name in given.operands]})
    return 0


def exported(name: str) -> dict[str, t.Any]:
    """The options of the namespace. Raises Refused."""
    definition = restore.loaded(name)
    services = []
    for each in service_names.known(name):
        kind, seen = supervisor.known(name, each)
        if seen.spec is None:
            raise Refused(f"nobody knows what service {each} of namespace {name} runs")
        enabled = seen.facts.get("enabled")
        services.append(
            export.service(seen.spec, supervisor=kind, enabled=enabled, state=seen.state)
        )
    home = definition.own_root.home if definition.own_root is not None else home_of(name)
    contents = {each.dest: definition_files.content_of(home, each) for each in definition.files}
    return export.namespace(definition, services, contents)
