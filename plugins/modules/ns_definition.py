#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_definition
short_description: Have whole named namespaces, one or many
version_added: 0.2.0
description:
  - Brings named namespaces with all that belongs to them into a state, namespaces with their properties, root file
    systems, mounts and services. One task does for many what the other modules do part by part, and takes little
    longer than one of theirs where nothing has to be done.
  - What is listed I(is) the definition. What a namespace had before and is not listed any more, be it a mount, a
    service or a setting that other modules have made, goes, services first of all.
  - Where the source of a root is another one now, the next generation of the namespace is built beside the one that
    serves, with mounts of its own and in the same network. It is unpacked, mounted and checked before a service ends;
    then it takes the name, and the services start in it. Where one does not become ready the one before serves again.
  - All of a namespace is planned before anything of it is changed. One that is new is not left behind when it cannot
    be completed. Nothing enters a namespace, and no service starts in it, before everything is there.
  - The task fails where any of the namespaces has failed, and its result says for each what was done.
  - The same form is what C(nsctl apply) and C(nsctl diff) read on a host, and C(nsctl export) writes. A JSON schema
    of it is in the file C(docs/definition.schema.json) of the collection.
options:
  state:
    description:
      - V(present) is as described, and up.
      - V(absent) removes the namespaces, their services with their output, and their roots on the host with what was
        written to them. Only their names are needed.
      - V(up) brings those up that were taken down, from what is recorded of them, and V(down) takes them down with
        their services. Both need no more than their names.
      - V(rolled_back) goes back to the root that each had before the present one, as it was, with its services and
        their files. A second time it leads to the newer one again. It needs no more than the names.
    type: str
    choices: [present, absent, up, down, rolled_back]
    default: present
  exclusive:
    description:
      - Whether all named namespaces of the host are removed that are not listed.
    type: bool
    default: false
  recreate:
    description:
      - Whether a namespace that cannot be changed into what is listed, as to other id maps, is removed first, with its
        services, and made anew. Without it such a namespace fails, and is left as it is.
    type: bool
    default: false
  force:
    description:
      - Whether processes that live in a namespace which is to go, beside its services, are killed. Without it such a
        namespace fails, and they are listed.
    type: bool
    default: false
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
  - linux.namespaces._definition
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - Linux 5.10 or newer
  - What M(linux.namespaces.ns_rootfs) requires for an image or a bootstrap
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_namespace
  - module: linux.namespaces.ns_mount
  - module: linux.namespaces.ns_rootfs
  - module: linux.namespaces.ns_service
"""

EXAMPLES = r"""
---
- name: Have a shop with a root of its own, its data and its program
  linux.namespaces.ns_definition:
    namespaces:
      - name: shop
        kinds: [mnt, uts]
        hostname: shop
        rootfs:
          archive: /srv/shop.tar
        mounts:
          - path: /data
            src: /srv/shop/data
            opts: [bind, nosuid]
        services:
          - name: shop
            argv: [/usr/bin/shop, --foreground]
            user: shop
            ready:
              port: 8000

- name: Have two in one network, one of them with a file system in memory
  linux.namespaces.ns_definition:
    namespaces:
      - name: front
        kinds: [net]
      - name: worker
        share:
          net: front
        mounts:
          - path: /mnt
            src: scratch
            fstype: tmpfs
            opts: size=64m

- name: Take them down
  linux.namespaces.ns_definition:
    namespaces: [{name: front}, {name: worker}]
    state: down

- name: Bring them up again
  linux.namespaces.ns_definition:
    namespaces: [{name: front}, {name: worker}]
    state: up

- name: Have its next version, which a program inside checks before it serves
  linux.namespaces.ns_definition:
    namespaces:
      - name: shop
        kinds: [mnt, uts]
        hostname: shop
        rootfs:
          archive: /srv/shop-2.tar
          verify: [/usr/bin/perl, -c, /usr/bin/shop]
        mounts:
          - path: /data
            src: /srv/shop/data
            opts: [bind, nosuid]
        services:
          - name: shop
            argv: [/usr/bin/shop, --foreground]
            user: shop
            ready:
              port: 8000

- name: Go back to the root that the shop had before
  linux.namespaces.ns_definition:
    namespaces: [{name: shop}]
    state: rolled_back

- name: Have a namespace with a quota for each tenant, and no others
  linux.namespaces.ns_definition:
    namespaces: "{{ tenants | from_yaml }}"
    exclusive: true
  vars:
    quotas:
      blue: 10m
      green: 20m
    tenants: |
      {% for name, quota in quotas.items() %}
      - name: {{ name }}
        mounts:
          - path: /mnt
            src: quota
            fstype: tmpfs
            opts: size={{ quota }}
      {% endfor %}
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, each with the namespace that it was done to.
  returned: always
  type: list
  elements: str
  sample: ["shop: create ipc, mnt, net, uts", "shop: mount bind of /srv/data on /data"]
namespaces:
  description:
    - What became of each, in the order of the list, and then of those that were removed since they are not in it.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: shop
    changed:
      description: Whether anything was done to it.
      type: bool
      sample: true
    failed:
      description: Whether it failed.
      type: bool
      sample: false
    actions:
      description: What was done to it, step by step.
      type: list
      elements: str
      sample: ["create ipc, mnt, net, uts", "mount bind of /srv/data on /data"]
    msg:
      description: Why it failed, and what to do.
      returned: when it failed
      type: str
      sample: "/srv/data does not exist on the host. Create it first."
    step:
      description: The step that failed.
      returned: when a step failed
      type: str
      sample: mount bind of /srv/data on /data
    reason:
      description: The cause, found by looking.
      returned: when it failed
      type: str
      sample: /srv/data does not exist on the host
    hint:
      description: What to do about it.
      returned: when it failed
      type: str
      sample: Create it first.
"""

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils import _definition, _module
from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    definition_list,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.definition_request import (
    How,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import definition

ARGUMENTS: dict[str, t.Any] = {
    "namespaces": {**definition.LIST, "required": True},
    "state": {"type": "str", "choices": list(definition_list.STATES), "default": "present"},
    "exclusive": {"type": "bool", "default": False},
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    module = _definition.Module(
        masks=_definition.MASKS, argument_spec=ARGUMENTS, supports_check_mode=True
    )
    with _module.failures_reported(module, read_later=("namespaces",)):
        params = module.params
        how = How(module.check_mode, params["recreate"], params["force"])
        wish = _definition.wish_of(params)
        results, host = definition_list.run(wish, how, nsctl)
        _definition.leave(module, results, host)


if __name__ == "__main__":
    main()
