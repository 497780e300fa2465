# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: local
author:
  - linux.namespaces contributors (@linux-namespaces)
short_description: Run modules in namespaces of the controller
version_added: 0.1.0
description:
  - A namespace is a part of its host, not another one. It has no init of its own, and what it does not have for itself,
    be it the root file system, processes or the network, is the host's. A play that is meant for whole hosts does not
    belong inside. Modules that speak to an init, as M(ansible.builtin.reboot) and M(ansible.builtin.service), are
    refused there, see O(has_init).
  - Does what P(ansible.builtin.local#connection) does, inside the namespaces of a target on this host, as its root.
  - Files are copied by a process that is inside, so that they appear there and nowhere else.
extends_documentation_fragment:
  - linux.namespaces._core_local
  - connection_pipelining
  - linux.namespaces._connection
seealso:
  - plugin: ansible.builtin.local
    plugin_type: connection
  - plugin: linux.namespaces.ssh
    plugin_type: connection
"""

import typing as t

from ansible.plugins.connection.local import Connection as LocalConnection

from ansible_collections.linux.namespaces.plugins.plugin_utils._connection import (
    USER_INSIDE,
    Inside,
)


class Connection(Inside, LocalConnection):  # type: ignore[misc]
    transport = "linux.namespaces.local"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self.default_user = USER_INSIDE
