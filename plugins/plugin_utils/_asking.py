# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking hosts for their named namespaces, over their own connections.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible.errors import AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import BASE, COMMAND
from ansible_collections.linux.namespaces.plugins.plugin_utils import _records
from ansible_collections.linux.namespaces.plugins.plugin_utils._entering import ESCALATIONS
from ansible_collections.linux.namespaces.plugins.plugin_utils._heard import for_people

Variables = dict[str, t.Any]
Answer = t.Union[_records.Records, str]
_OF_HOST = {
    "linux.namespaces.local": "ansible.builtin.local",
    "linux.namespaces.ssh": "ansible.builtin.ssh",
}


def ask(ways: t.Mapping[str, Variables], *, forks: int) -> dict[str, Answer]:
    """The records of `nsctl list`, or for people why there are none, by host.

    ``ways`` are the variables of a namespace on each host. Without root a host tells names only.
    """
    if not ways:
        return {}
    # Ansible's loaders are not made for threads; a connection of its own for each one is.
    connections = {host: _connection(host, way) for host, way in ways.items()}
    with concurrent.futures.ThreadPoolExecutor(forks) as threads:
        questions = {
            host: threads.submit(_ask, connections[host], way.get("ansible_ns_escalation", "none"))
            for host, way in ways.items()
        }
        return {host: question.result() for host, question in questions.items()}


def _connection(host: str, way: Variables) -> t.Any:
    context = PlayContext()
    context.remote_addr = way.get("ansible_host", host)
    connection = connection_loader.get(_OF_HOST[way["ansible_connection"]], context)
    connection.set_options(var_options={**way, "inventory_hostname": host})
    return connection


def _ask(connection: t.Any, escalation: str) -> Answer:
    script = (
        f"if [ -x {COMMAND} ] && {ESCALATIONS[escalation]}{COMMAND} list --json; then :; "
        f"elif [ -d {BASE} ]; then ls {BASE}; fi"
    )
    try:
        code, out, err = connection.exec_command(f"/bin/sh -c '{script}'", sudoable=False)
        if code:
            return for_people(err) or f"exit code {code}"
        return _records.parsed(out)
    except (AnsibleError, ValueError) as error:
        return for_people(str(error))
