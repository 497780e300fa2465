# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of Ansible's own connection plugins, as the installed Ansible documents them.

A copy would lag behind, and lack options that the code of the plugin asks for.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

import yaml
from ansible.plugins.connection import local, ssh
from ansible.plugins.doc_fragments import connection_pipelining


def _without_versions(found: t.Any) -> t.Any:
    """Those are Ansible's, and would be read as this collection's."""
    if isinstance(found, dict):
        return {k: _without_versions(v) for k, v in found.items() if k != "version_added"}
    return [_without_versions(each) for each in found] if isinstance(found, list) else found


def _options_of(documentation: str) -> str:
    options = yaml.safe_load(documentation).get("options", {})
    text: str = yaml.safe_dump({"options": _without_versions(options)})
    return text


class ModuleDocFragment:
    LOCAL: str = _options_of(local.DOCUMENTATION)
    SSH: str = _options_of(ssh.DOCUMENTATION)
    # What the two take from a fragment themselves.
    PIPELINING: str = _options_of(connection_pipelining.ModuleDocFragment.DOCUMENTATION)
