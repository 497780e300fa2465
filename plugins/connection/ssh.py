# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh
author:
  - linux.namespaces contributors (@linux-namespaces)
short_description: Run modules in namespaces of a host that is reached over ssh
version_added: 0.1.0
description:
  - A namespace is a part of its host, not another one. It has no init of its own, and what it does not have for itself,
    be it the root file system, processes or the network, is the host's. A play that is meant for whole hosts does not
    belong inside. Modules that speak to an init, as M(ansible.builtin.reboot) and M(ansible.builtin.service), are
    refused there, see O(has_init).
  - Does what P(ansible.builtin.ssh#connection) does, and on the host enters the namespaces of a target, as its root.
  - Takes as many round trips as P(ansible.builtin.ssh#connection), and shares its persistent connections to the host.
  - Files are copied by a process that is inside, so that they appear there and nowhere else.
extends_documentation_fragment:
  - linux.namespaces._core_ssh
  - connection_pipelining
  - linux.namespaces._connection
seealso:
  - plugin: ansible.builtin.ssh
    plugin_type: connection
  - plugin: linux.namespaces.local
    plugin_type: connection
  - plugin: linux.namespaces.named
    plugin_type: inventory
"""

import contextlib
import typing as t

from ansible.plugins.connection.ssh import Connection as SshConnection

from ansible_collections.linux.namespaces.plugins.plugin_utils._connection import (
    USER_INSIDE,
    Done,
    Inside,
)


class Connection(Inside, SshConnection):  # type: ignore[misc]
    transport = "linux.namespaces.ssh"
    _is_on_host = False

    def get_option(self, option: str, hostvars: dict[str, object] | None = None) -> t.Any:
        # Whose home directory it is, and whether `become` is needed, is a question of inside.
        if option == "remote_user" and not self._is_on_host:
            return USER_INSIDE
        return super().get_option(option, hostvars)

    @contextlib.contextmanager
    def _on_host(self) -> t.Iterator[None]:
        self._is_on_host = True
        try:
            yield
        finally:
            self._is_on_host = False

    def _exec_on_host(self, cmd: str, in_data: bytes | None, sudoable: bool) -> Done:
        with self._on_host():
            return super()._exec_on_host(cmd, in_data, sudoable)

    def reset(self) -> None:
        with self._on_host():
            super().reset()
