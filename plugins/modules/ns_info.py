#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_info
short_description: List the namespaces of a host
version_added: 0.1.0
description:
  - Lists the namespaces of a host with what C(lsns(8)) shows of them, and with their pins, owners, parents and names.
  - It shows namespaces that processes live in, namespaces that are mounted somewhere (by this collection, by
    C(ip netns), or by any other tool), and the owners and parents of those.
  - It shows what the caller may see. Without root those are the namespaces of the caller's own processes, and those
    that are mounted.
options:
  kinds:
    description:
      - Show only namespaces of these kinds.
    type: list
    elements: str
    choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
  namespace:
    description:
      - Show only the namespaces kept under this name, made with M(linux.namespaces.ns_namespace).
      - At most one of O(namespace), O(pid) and O(namespace_path) is given.
    type: str
  pid:
    description:
      - Show only the namespaces that this process lives in, shared ones as well.
    type: int
  namespace_path:
    description:
      - Show only the namespace of this file, such as V(/run/netns/blue).
    type: path
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.info_module
  - linux.namespaces._attributes.actiongroup_namespaces
  - linux.namespaces._target
requirements:
  - Linux 5.10 or newer
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_mount_info
  - module: linux.namespaces.ns_namespace
"""

EXAMPLES = r"""
---
- name: List all namespaces
  linux.namespaces.ns_info:
  register: all

- name: List the net namespaces, also those that only `ip netns` keeps
  linux.namespaces.ns_info:
    kinds: [net]

- name: List what is kept under the name web
  linux.namespaces.ns_info:
    namespace: web

- name: Show what lives in mount namespaces of its own
  ansible.builtin.debug:
    msg: "{{ item.pid }} {{ item.command }}"
  loop: "{{ all.namespaces | selectattr('kind', 'equalto', 'mnt') | rejectattr('pid', 'none') }}"
  loop_control:
    label: "{{ item.id }}"
"""

RETURN = r"""
namespaces:
  description:
    - The namespaces, ordered by their ids. What does not apply, or may not be seen by the caller, is V(null).
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the namespace, the number in V(/proc/PID/ns/KIND).
      type: int
      sample: 4026532204
    kind:
      description: The kind of the namespace.
      type: str
      sample: mnt
    processes:
      description: How many processes live in it.
      type: int
      sample: 2
    pid:
      description: The lowest pid of these processes.
      type: int
      sample: 4242
    ppid:
      description: The parent of the process RV(namespaces[].pid).
      type: int
      sample: 1
    command:
      description: The command line of the process RV(namespaces[].pid); its name where it has none.
      type: str
      sample: "nginx: master process nginx -g daemon off;"
    uid:
      description: The user id of the process RV(namespaces[].pid).
      type: int
      sample: 0
    user:
      description: The name of that user.
      type: str
      sample: root
    parent:
      description: The id of the parent of a pid or user namespace.
      type: int
      sample:
    owner:
      description: The id of the user namespace that owns it. Of a user namespace this is its parent.
      type: int
      sample: 4026531837
    netnsid:
      description: The number of a net namespace in that of the caller, as C(ip netns list-id) shows it.
      type: int
      sample:
    pins:
      description: Where it is mounted, which keeps it alive without a process.
      type: list
      elements: str
      sample: [/run/linux-namespaces/web/mnt]
    name:
      description: The name of the namespace of M(linux.namespaces.ns_namespace) that it belongs to.
      type: str
      sample: web
"""

from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import info


def main() -> None:
    module = _module.Module(
        argument_spec={
            **_module.TARGET_OPTIONS,
            "kinds": {"type": "list", "elements": "str", "choices": list(kinds.NAMES)},
        },
        mutually_exclusive=_module.TARGET_EXCLUSIVE,
        supports_check_mode=True,
    )
    with _module.failures_reported(module):
        names = module.params["kinds"]
        found = info.namespaces(
            names=kinds.NAMES if names is None else names,
            ids=info.ids_of(_module.target_of(module.params, only_looks=True)),
        )
        module.exit_json(changed=False, namespaces=[vars(namespace) for namespace in found])


if __name__ == "__main__":
    main()
