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
  gather:
    description:
      - Tell more, of named namespaces in RV(named) and of the host in RV(host); with O(namespace) of that one alone.
        What is not asked for costs nothing.
      - V(definition) is what each is to be, without its secrets.
      - V(drift) is what of it is not as it should be. What its mounts and interfaces are is looked at inside; one that
        does not answer within ten seconds is V(partial).
      - V(services) is its services, with their states.
      - V(host) is what the host can, as C(nsctl check) says it.
      - All but V(host) take root.
    type: list
    elements: str
    choices: [definition, drift, services, host]
    version_added: 0.2.0
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

- name: Tell what was changed by hand, and what does not run
  linux.namespaces.ns_info:
    gather: [drift, services]
  register: looked_at

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
named:
  description:
    - The named namespaces, ordered by their names, in the form of C(nsctl list --json) with what was asked for beside.
  returned: when O(gather) has V(definition), V(drift) or V(services)
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      sample: web
    state:
      description:
        - V(up), V(down), V(partial) where not all of it is there, or V(failed) where it could not be brought up.
      type: str
      sample: up
    reason:
      description: Why it is not V(up), or why the generation that was tried last does not serve; else empty.
      type: str
      sample: ""
    kinds:
      description: By kind RV(ignore:id), RV(ignore:path), and RV(ignore:shared_with) where it is that of another name.
      type: dict
      sample: {mnt: {id: 4026532204, path: /run/linux-namespaces/web/mnt}}
    shared_by:
      description: The names that have a kind of it.
      type: list
      elements: str
      sample: []
    processes:
      description: The processes that live in it.
      type: list
      elements: dict
      sample: [{pid: 4242, uid: 0, command: "nginx: master process nginx"}]
    persistent:
      description: Whether it comes back at boot.
      type: bool
      sample: true
    root:
      description: The new root of its last pivot, as it was named before.
      type: str
      sample: /var/lib/linux-namespaces-web/root
    generation:
      description:
        - Of one with a root of its own which generation serves, what that was made of, why the one tried last does not
          serve, and those kept to go back to; else V(null).
      type: dict
      sample: {number: 2, made_of: "archive /srv/web.tar sha256:5f70bf18", failed: "", before: []}
    definition:
      description: What it is to be; V(null) where it has no definition, or one that cannot be read.
      returned: when O(gather) has V(definition)
      type: dict
      sample:
        kinds: [mnt, uts]
        hostname: web
        persistent: true
        rootfs:
        steps: [{do: mount, path: /data, src: /srv/data, fstype: "", opts: [bind, ro]}]
        links: []
        files: []
    drift:
      description:
        - What of it is not as it should be. RV(ignore:changes) are the steps that C(nsctl up) would take.
          RV(ignore:mounts) and RV(ignore:links) have all that it has, with a RV(ignore:state) that is V(ok) where
          nothing is wrong; RV(ignore:files) and RV(ignore:services) have those alone with which something is.
      returned: when O(gather) has V(drift)
      type: dict
      sample:
        changes: [mount bind of /srv/data on /data]
        mounts:
          - state: missing
            path: /data
            wanted: {do: mount, path: /data, src: /srv/data, fstype: "", opts: [bind, ro]}
            observed:
            remark: ""
        links: []
        files: [{path: /var/lib/linux-namespaces-web/files/nginx.conf, state: differs}]
        services: [{name: nginx, state: stopped, changes: [start service nginx]}]
    services:
      description: Its services, as RV(linux.namespaces.ns_service#module:service) has them, and their supervisors.
      returned: when O(gather) has V(services)
      type: list
      elements: dict
      sample:
        - name: nginx
          namespace: web
          state: started
          pid: 4242
          supervisor: systemd
          enabled: true
          restarts: 0
          ended:
host:
  description: What the host can.
  returned: when O(gather) has V(host)
  type: dict
  sample:
    hostname: host1
    kernel: 6.12.48
    machine: x86_64
    os: Debian GNU/Linux 13 (trixie)
    python: 3.13.5
    cgroup: 2
    systemd: true
    problems: 0
    checks:
      - name: mnt namespaces
        state: ok
        required: true
        found: at most 96364, 12 seen
        needed_for: ns_namespace
        remedy: ""
"""

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds, once
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import parts
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import info


def main() -> None:
    module = _module.Module(
        argument_spec={
            **_module.TARGET_OPTIONS,
            "kinds": {"type": "list", "elements": "str", "choices": list(kinds.NAMES)},
            "gather": {"type": "list", "elements": "str", "choices": [*parts.PARTS, parts.HOST]},
        },
        mutually_exclusive=_module.TARGET_EXCLUSIVE,
        supports_check_mode=True,
    )
    with _module.failures_reported(module), once.Look():
        names = module.params["kinds"]
        ids = info.ids_of(_module.target_of(module.params, only_looks=True))
        results: dict[str, t.Any] = {}

        def look() -> None:
            found = info.namespaces(names=kinds.NAMES if names is None else names, ids=ids)
            results["namespaces"] = [vars(namespace) for namespace in found]

        if module.params["gather"]:
            # 40 ms to compile, with what it loads, for what most do not ask for.
            from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import gather

            wanted = module.params["gather"]
            results.update(gather.gathered(module.params["namespace"], wanted, meanwhile=look))
        else:
            look()
        module.exit_json(changed=False, **results)


if __name__ == "__main__":
    main()
