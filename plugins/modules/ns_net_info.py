#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_net_info
short_description: Show the network of a namespace
version_added: 0.2.0
description:
  - Shows the interfaces, addresses, routes and rules of a network namespace, with what C(ip(8)) says of them.
  - Of each interface it says where its other end is, which may be in another namespace or on the host.
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.info_module
  - linux.namespaces._attributes.actiongroup_namespaces
  - linux.namespaces._target
options:
  namespace:
    description:
      - Look at the network of this named namespace. By default it is that of the host.
      - At most one of O(namespace), O(pid) and O(namespace_path) is given.
    type: str
  pid:
    description:
      - Look at the network that this process lives in.
    type: int
  namespace_path:
    description:
      - Look at this network namespace, such as V(/run/netns/blue).
    type: path
requirements:
  - Linux 5.10 or newer
  - ip(8), of the Debian package iproute2
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_link
  - module: linux.namespaces.ns_info
"""

EXAMPLES = r"""
---
- name: Look at the network of the host
  linux.namespaces.ns_net_info:
  register: host

- name: Have a namespace
  linux.namespaces.ns_namespace:
    name: shop
    kinds: [net]

- name: Look at its network
  linux.namespaces.ns_net_info:
    namespace: shop
  register: shop

- name: Say which of its interfaces have their other end on the host
  ansible.builtin.debug:
    msg: "{{ shop.interfaces | selectattr('peer') | selectattr('peer.host') | map(attribute='name') }}"

- name: Remove it
  linux.namespaces.ns_namespace:
    name: shop
    state: absent
"""

RETURN = r"""
interfaces:
  description: The interfaces, in the order of their numbers.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      sample: eth0
    index:
      description: The number, which is that of the namespace alone.
      type: int
      sample: 2
    kind:
      description: What it is, by the words of ip-link(8), or V(loopback), or V(physical) for no device of software.
      type: str
      sample: veth
    up:
      description: Whether it is up.
      type: bool
      sample: true
    mac:
      description: The hardware address, empty for none.
      type: str
      sample: "02:00:00:00:00:01"
    mtu:
      description: The size of its packets in bytes.
      type: int
      sample: 1500
    master:
      description: What it is a port of, V(null) for nothing.
      type: str
      sample: br-apps
    alias:
      description: What it is called for people, V(null) for nothing.
      type: str
      sample: "linux-namespaces:shop"
    addresses:
      description: The addresses, but for those that the kernel or a router gives it.
      type: list
      elements: str
      sample: [10.9.0.2/24]
    peer:
      description: The other end of a C(veth), V(null) for others.
      type: dict
      contains: &end
        interface:
          description: Its name, V(null) where the caller may not see it.
          type: str
          sample: ve-shop
        index:
          description: Its number there.
          type: int
          sample: 7
        here:
          description: Whether it is in the same network namespace.
          type: bool
          sample: false
        host:
          description: Whether it is in that of the host.
          type: bool
          sample: true
        namespace:
          description: The named namespace that it is in, V(null) for none.
          type: str
          sample: db
        net:
          description: The id of the network namespace that it is in, V(null) where that is not known.
          type: int
          sample: 4026531840
        pid:
          description: A process that lives there, V(null) for none.
          type: int
          sample: 1
        pins:
          description: The files that the network namespace is kept by.
          type: list
          elements: str
          sample: [/run/netns/blue]
    parent:
      description: What a C(macvlan), a C(vlan) and the like is made of, V(null) for others.
      type: dict
      contains: *end
routes:
  description: The routes of all tables.
  returned: success
  type: list
  elements: dict
  contains:
    to:
      description: Where it leads to.
      type: str
      sample: default
    via:
      description: The gateway, V(null) for none.
      type: str
      sample: 10.9.0.1
    dev:
      description: The interface, V(null) for none.
      type: str
      sample: eth0
    type:
      description: Its type, by the words of ip-route(8).
      type: str
      sample: unicast
    metric:
      description: The metric.
      type: int
      sample: 0
    table:
      description: The number of the table.
      type: int
      sample: 254
    protocol:
      description: Who has made it, as a number of rtnetlink(7). V(2) is the kernel, V(3) and V(4) are people.
      type: int
      sample: 4
rules:
  description: The rules that say by which table packets are routed.
  returned: success
  type: list
  elements: dict
  contains:
    family:
      description: The version of IP.
      type: int
      sample: 4
    priority:
      description: The priority.
      type: int
      sample: 32766
    table:
      description: The number of the table.
      type: int
      sample: 254
    from:
      description: Where packets come from, V(null) for anywhere.
      type: str
      sample: 10.9.0.0/24
    to:
      description: Where they go to, V(null) for anywhere.
      type: str
      sample: 10.1.0.0/16
    iif:
      description: The interface by which they come in, V(null) for any.
      type: str
      sample: eth0
    oif:
      description: The interface by which they go out, V(null) for any.
      type: str
      sample: eth0
    fwmark:
      description: Their mark, V(null) for any.
      type: int
      sample: 7
"""

from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import net_info


def main() -> None:
    module = _module.Module(
        argument_spec=_module.TARGET_OPTIONS,
        mutually_exclusive=_module.TARGET_EXCLUSIVE,
        supports_check_mode=True,
    )
    with _module.failures_reported(module):
        found = net_info.of(_module.target_of(module.params, only_looks=True))
        module.exit_json(changed=False, **found._asdict())


if __name__ == "__main__":
    main()
