#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_link
short_description: Make, change and remove network interfaces of a namespace
version_added: 0.2.0
description:
  - Brings interfaces of a network namespace to what is wanted, with their addresses and routes, and with the other ends
    of those that have one.
  - Those of a named namespace are recorded in its definition, and there again after a reboot before its services start.
    Those of the host are recorded in V(/etc/linux-namespaces/host), and made again before the first namespace comes up
    that has interfaces made of those of the host. What is made in other targets is not recorded.
  - An address or a route is changed in place, and no interface goes down that need not. One is made anew that has to
    be, as where its kind is another.
  - An interface of hardware that was moved inside goes back to the host under its name when it is removed here, or its
    namespace is. By itself the kernel gives back those of hardware alone; those of software die with a namespace whose
    last process ends without that.
  - What is sent and received is up to the kernel. This takes the programs of iproute2, which do not stay.
options:
  name:
    description: The name of the interface, of up to 15 characters.
    type: str
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  kind:
    description:
      - What it is, by the words of ip-link(8). V(moved) is an interface of the host, which is moved inside. A host that
        lacks what makes a kind is told so before anything is changed.
      - An interface of this name that is of another kind, or made of something else, is made anew.
    type: str
    choices: [veth, macvlan, ipvlan, vlan, bridge, dummy, vrf, wireguard, moved]
  up:
    description: Whether it is up.
    type: bool
    default: true
  mac:
    description: Its hardware address, where it can have one of its own.
    type: str
  mtu:
    description: The size of its packets, and of those of its peer, in bytes. With V(0) what the kernel gives stays.
    type: int
    default: 0
  master:
    description: The bridge or the vrf of the same namespace that it is a port of.
    type: str
  addresses:
    description:
      - Its addresses with their prefixes, as V(10.9.0.2/30), V(fd00:9::2/64) or V(10.9.0.2 peer 10.9.0.1/32). They last
        for ever, and those of IPv6 are of use at once.
      - Others are taken off, but for those that the kernel or a router gives it.
    type: list
    elements: str
    default: []
  routes:
    description:
      - The routes by it, and blackholes. Others by it are taken away, but for those of the kernel and of daemons.
    type: list
    elements: dict
    default: []
    suboptions:
      to:
        description: The network that it leads to, or V(default).
        type: str
        required: true
      via:
        description: The gateway.
        type: str
      dev:
        description: Another interface of the namespace by which it leads.
        type: str
      metric:
        description: Its metric. V(0) is that of the kernel.
        type: int
        default: 0
      table:
        description: The number of its table. V(0) is the main one.
        type: int
        default: 0
      blackhole:
        description: Whether what it leads to is thrown away.
        type: bool
        default: false
  rules:
    description:
      - Rules of ip-rule(8), which belong to the namespace as a whole. One that names no address is made for IPv4 and
        IPv6.
      - Those that were recorded with the interface and are not listed any more are taken away.
    type: list
    elements: dict
    default: []
    suboptions:
      priority:
        description: Its priority, from 1 to 32765.
        type: int
        required: true
      table:
        description: The number of the table that it sends to.
        type: int
        required: true
      from:
        description: Where packets come from, as a network.
        type: str
      to:
        description: Where they go to.
        type: str
      iif:
        description: The interface by which they come in.
        type: str
      oif:
        description: The interface by which they go out.
        type: str
      fwmark:
        description: Their mark. V(0) is any.
        type: int
        default: 0
  peer:
    description: The other end of a C(veth).
    type: dict
    suboptions:
      name:
        description: Its name, by default C(ve-) and the name of the namespace.
        type: str
      namespace:
        description: The named namespace that it is in, by default the host. That comes up first at boot.
        type: str
      bridge:
        description: The bridge there that it is a port of.
        type: str
      addresses:
        description: Its addresses. A port of a bridge has none.
        type: list
        elements: str
        default: []
  parent:
    description:
      - What a C(macvlan), an C(ipvlan) or a C(vlan) is made of. For C(moved) what it is called on the host, by default
        as inside.
    type: str
  parent_in:
    description: Where the parent is, on the host or in the namespace itself.
    type: str
    choices: [host, namespace]
    default: host
  mode:
    description:
      - That of a C(macvlan), V(bridge), V(private), V(vepa) or V(passthru), by default the first.
      - That of an C(ipvlan), V(l2), V(l3) or V(l3s), by default the first.
    type: str
  id:
    description: The number of a C(vlan).
    type: int
    default: 0
  table:
    description: The number of the table of a C(vrf).
    type: int
    default: 0
  wireguard:
    description:
      - The tunnel of a C(wireguard). It is made on the host and moved inside, so that what it sends goes out by the
        host while the namespace has no other way out. It takes wg(8), of the Debian package wireguard-tools.
      - Its keys are read from files, and are in no log, no diff and no definition.
    type: dict
    suboptions:
      private_key_file:
        description:
          - The file on the host with its private key, as C(wg genkey) writes it, which only its owner can read.
        type: path
        required: true
      listen_port:
        description: The port on the host. V(0) is any.
        type: int
        default: 0
      fwmark:
        description: The mark of what it sends. V(0) is none.
        type: int
        default: 0
      peers:
        description: Those at the other ends. Others are removed.
        type: list
        elements: dict
        default: []
        suboptions:
          public_key:
            description: Its public key.
            type: str
            required: true
          preshared_key_file:
            description: The file on the host with a key that both share.
            type: path
          endpoint:
            description: Where it is, as C(192.0.2.1:51820). A name is looked up by the host when the tunnel is set up.
            type: str
          allowed_ips:
            description: The networks that are reached by it.
            type: list
            elements: str
            default: []
          persistent_keepalive:
            description: How often something is sent to it, in seconds. V(0) is never.
            type: int
            default: 0
  force:
    description:
      - Whether an interface is moved by which the host itself is reached, which is that of a default route, or of the
        ssh connection that the play runs on.
    type: bool
    default: false
  masquerade:
    description:
      - Whether what it sends beyond the host goes on with the address of the host. It is for a C(veth) whose peer is on
        the host, and takes nft(8), of the Debian package nftables.
      - Packets are passed on by those interfaces of the host alone that it takes, which are the one that leads here,
        those of default routes, and those by which others may ask or answer. One that passed nothing on before lets
        through only what is meant here, and answers. What was set is among the RV(actions), and set back with the last
        namespace that needs it.
      - A firewall of the host that drops what is passed on has to let it through.
    type: bool
    default: false
  publish:
    description:
      - Ports of the host that lead here, as V(8080:80), V(127.0.0.1:5432:5432) or V([::1]:53:53/udp). The address of
        the host is any that it has where none is given, and the protocol TCP. The host itself gets there by them as
        well. It is for a C(veth) whose peer is on the host, and takes nft(8).
      - They lead to the first address of each family. To answer others than the host and its networks it takes a route,
        as to V(default) by way of the host.
      - A port at which a program of the host listens is refused, and one of another namespace.
      - The rules are in a table of nftables of its own, C(inet linux-namespaces-NAME), which goes with the namespace.
        No other is touched.
    type: list
    elements: str
    default: []
  dns:
    description:
      - Who is asked for names inside, and what is known without asking. It is for an interface of a named namespace,
        and what several interfaces say is put together.
      - It is written to C(/etc/netns/NAME), where ip-netns(8) has it. Programs in a namespace with a mount namespace of
        its own find the files mounted in C(/etc), also after a pivot; those in others get them when they are started,
        as with C(ip netns exec).
      - Files there that somebody else has written are used, and not touched.
    type: dict
    suboptions:
      servers:
        description: The addresses of those that are asked, which are up to three.
        type: list
        elements: str
        default: []
      search:
        description: The domains in which short names are looked up.
        type: list
        elements: str
        default: []
      options:
        description: Options of resolv.conf(5), as V(ndots:2).
        type: list
        elements: str
        default: []
      hosts:
        description: What is known without asking, beside C(localhost).
        type: list
        elements: dict
        default: []
        suboptions:
          address:
            description: An address.
            type: str
            required: true
          names:
            description: Its names.
            type: list
            required: true
            elements: str
  links:
    description:
      - Many interfaces at once.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the interface, of up to 15 characters.
        type: str
        required: true
      state:
        description: Whether it is to be there.
        type: str
        choices: [present, absent]
        default: present
      kind:
        description:
          - What it is, by the words of ip-link(8). V(moved) is an interface of the host, which is moved inside. A host
            that lacks what makes a kind is told so before anything is changed.
          - An interface of this name that is of another kind, or made of something else, is made anew.
        type: str
        choices: [veth, macvlan, ipvlan, vlan, bridge, dummy, vrf, wireguard, moved]
      up:
        description: Whether it is up.
        type: bool
        default: true
      mac:
        description: Its hardware address, where it can have one of its own.
        type: str
      mtu:
        description: The size of its packets, and of those of its peer, in bytes. With V(0) what the kernel gives stays.
        type: int
        default: 0
      master:
        description: The bridge or the vrf of the same namespace that it is a port of.
        type: str
      addresses:
        description:
          - Its addresses with their prefixes, as V(10.9.0.2/30), V(fd00:9::2/64) or V(10.9.0.2 peer 10.9.0.1/32). They
            last for ever, and those of IPv6 are of use at once.
          - Others are taken off, but for those that the kernel or a router gives it.
        type: list
        elements: str
        default: []
      routes:
        description:
          - The routes by it, and blackholes. Others by it are taken away, but for those of the kernel and of daemons.
        type: list
        elements: dict
        default: []
        suboptions:
          to:
            description: The network that it leads to, or V(default).
            type: str
            required: true
          via:
            description: The gateway.
            type: str
          dev:
            description: Another interface of the namespace by which it leads.
            type: str
          metric:
            description: Its metric. V(0) is that of the kernel.
            type: int
            default: 0
          table:
            description: The number of its table. V(0) is the main one.
            type: int
            default: 0
          blackhole:
            description: Whether what it leads to is thrown away.
            type: bool
            default: false
      rules:
        description:
          - Rules of ip-rule(8), which belong to the namespace as a whole. One that names no address is made for IPv4
            and IPv6.
          - Those that were recorded with the interface and are not listed any more are taken away.
        type: list
        elements: dict
        default: []
        suboptions:
          priority:
            description: Its priority, from 1 to 32765.
            type: int
            required: true
          table:
            description: The number of the table that it sends to.
            type: int
            required: true
          from:
            description: Where packets come from, as a network.
            type: str
          to:
            description: Where they go to.
            type: str
          iif:
            description: The interface by which they come in.
            type: str
          oif:
            description: The interface by which they go out.
            type: str
          fwmark:
            description: Their mark. V(0) is any.
            type: int
            default: 0
      peer:
        description: The other end of a C(veth).
        type: dict
        suboptions:
          name:
            description: Its name, by default C(ve-) and the name of the namespace.
            type: str
          namespace:
            description: The named namespace that it is in, by default the host. That comes up first at boot.
            type: str
          bridge:
            description: The bridge there that it is a port of.
            type: str
          addresses:
            description: Its addresses. A port of a bridge has none.
            type: list
            elements: str
            default: []
      parent:
        description:
          - What a C(macvlan), an C(ipvlan) or a C(vlan) is made of. For C(moved) what it is called on the host, by
            default as inside.
        type: str
      parent_in:
        description: Where the parent is, on the host or in the namespace itself.
        type: str
        choices: [host, namespace]
        default: host
      mode:
        description:
          - That of a C(macvlan), V(bridge), V(private), V(vepa) or V(passthru), by default the first.
          - That of an C(ipvlan), V(l2), V(l3) or V(l3s), by default the first.
        type: str
      id:
        description: The number of a C(vlan).
        type: int
        default: 0
      table:
        description: The number of the table of a C(vrf).
        type: int
        default: 0
      wireguard:
        description:
          - The tunnel of a C(wireguard). It is made on the host and moved inside, so that what it sends goes out by the
            host while the namespace has no other way out. It takes wg(8), of the Debian package wireguard-tools.
          - Its keys are read from files, and are in no log, no diff and no definition.
        type: dict
        suboptions:
          private_key_file:
            description:
              - The file on the host with its private key, as C(wg genkey) writes it, which only its owner can read.
            type: path
            required: true
          listen_port:
            description: The port on the host. V(0) is any.
            type: int
            default: 0
          fwmark:
            description: The mark of what it sends. V(0) is none.
            type: int
            default: 0
          peers:
            description: Those at the other ends. Others are removed.
            type: list
            elements: dict
            default: []
            suboptions:
              public_key:
                description: Its public key.
                type: str
                required: true
              preshared_key_file:
                description: The file on the host with a key that both share.
                type: path
              endpoint:
                description:
                  - Where it is, as C(192.0.2.1:51820). A name is looked up by the host when the tunnel is set up.
                type: str
              allowed_ips:
                description: The networks that are reached by it.
                type: list
                elements: str
                default: []
              persistent_keepalive:
                description: How often something is sent to it, in seconds. V(0) is never.
                type: int
                default: 0
      force:
        description:
          - Whether an interface is moved by which the host itself is reached, which is that of a default route, or of
            the ssh connection that the play runs on.
        type: bool
        default: false
      masquerade:
        description:
          - Whether what it sends beyond the host goes on with the address of the host. It is for a C(veth) whose peer
            is on the host, and takes nft(8), of the Debian package nftables.
          - Packets are passed on by those interfaces of the host alone that it takes, which are the one that leads
            here, those of default routes, and those by which others may ask or answer. One that passed nothing on
            before lets through only what is meant here, and answers. What was set is among the RV(actions), and set
            back with the last namespace that needs it.
          - A firewall of the host that drops what is passed on has to let it through.
        type: bool
        default: false
      publish:
        description:
          - Ports of the host that lead here, as V(8080:80), V(127.0.0.1:5432:5432) or V([::1]:53:53/udp). The address
            of the host is any that it has where none is given, and the protocol TCP. The host itself gets there by them
            as well. It is for a C(veth) whose peer is on the host, and takes nft(8).
          - They lead to the first address of each family. To answer others than the host and its networks it takes a
            route, as to V(default) by way of the host.
          - A port at which a program of the host listens is refused, and one of another namespace.
          - The rules are in a table of nftables of its own, C(inet linux-namespaces-NAME), which goes with the
            namespace. No other is touched.
        type: list
        elements: str
        default: []
      dns:
        description:
          - Who is asked for names inside, and what is known without asking. It is for an interface of a named
            namespace, and what several interfaces say is put together.
          - It is written to C(/etc/netns/NAME), where ip-netns(8) has it. Programs in a namespace with a mount
            namespace of its own find the files mounted in C(/etc), also after a pivot; those in others get them when
            they are started, as with C(ip netns exec).
          - Files there that somebody else has written are used, and not touched.
        type: dict
        suboptions:
          servers:
            description: The addresses of those that are asked, which are up to three.
            type: list
            elements: str
            default: []
          search:
            description: The domains in which short names are looked up.
            type: list
            elements: str
            default: []
          options:
            description: Options of resolv.conf(5), as V(ndots:2).
            type: list
            elements: str
            default: []
          hosts:
            description: What is known without asking, beside C(localhost).
            type: list
            elements: dict
            default: []
            suboptions:
              address:
                description: An address.
                type: str
                required: true
              names:
                description: Its names.
                type: list
                required: true
                elements: str
  exclusive:
    description:
      - Whether all other interfaces of the namespace go, but for lo. One of hardware goes back to the host.
    type: bool
    default: false
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
  - linux.namespaces._target
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - Linux 5.10 or newer
  - ip (Debian package iproute2)
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_namespace
  - module: linux.namespaces.ns_definition
"""

EXAMPLES = r"""
---
- name: Have a namespace with a network of its own
  linux.namespaces.ns_namespace:
    name: shop
    kinds: [mnt, net]

- name: Have a bridge on the host
  linux.namespaces.ns_link:
    name: br-apps
    kind: bridge
    addresses: [10.9.0.1/24, "fd00:9::1/64"]

- name: Connect the namespace with it
  linux.namespaces.ns_link:
    namespace: shop
    name: eth0
    kind: veth
    peer:
      name: ve-shop
      bridge: br-apps
    addresses: [10.9.0.2/24, "fd00:9::2/64"]
    routes:
      - to: default
        via: 10.9.0.1
    mtu: 1450

- name: Have another interface, and none besides
  linux.namespaces.ns_link:
    namespace: shop
    exclusive: true
    links:
      - name: eth0
        kind: veth
        peer:
          name: ve-shop
          bridge: br-apps
        addresses: [10.9.0.2/24]
      - name: eth1
        kind: veth
        peer:
          name: ve-shop1
          addresses: [10.9.1.1/30]
        addresses: [10.9.1.2/30]

- name: Have a port of the host lead there, a way out, and names
  linux.namespaces.ns_link:
    namespace: shop
    name: eth0
    kind: veth
    peer:
      name: ve-shop
      bridge: br-apps
    addresses: [10.9.0.2/24]
    routes:
      - to: default
        via: 10.9.0.1
    masquerade: true
    publish: ["8080:80", "127.0.0.1:5432:5432"]
    dns:
      servers: [10.9.0.1]
      search: [example.internal]

- name: Remove it
  linux.namespaces.ns_link:
    namespace: shop
    name: eth0
    state: absent

- name: Remove the namespace, and with it all of its interfaces
  linux.namespaces.ns_namespace:
    name: shop
    state: absent

- name: Remove the bridge
  linux.namespaces.ns_link:
    name: br-apps
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, step by step.
  returned: success
  type: list
  elements: str
  sample: ["make veth eth0", "add address 10.9.0.2/30 to eth0", "set eth0 up"]
links:
  description: The interfaces that are to be there, as they are afterwards.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: eth0
    kind:
      description: What it is; empty for one of hardware.
      type: str
      sample: veth
    up:
      description: Whether it is up.
      type: bool
      sample: true
    mac:
      description: Its hardware address.
      type: str
      sample: "02:9c:5a:6b:11:0e"
    mtu:
      description: The size of its packets, in bytes.
      type: int
      sample: 1450
    master:
      description: The bridge or vrf that it is a port of; empty for none.
      type: str
      sample: ""
    addresses:
      description: Its addresses, but for those that the kernel or a router gives it.
      type: list
      elements: str
      sample: [10.9.0.2/30]
"""

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import link
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import link as options


def request_of(params: t.Mapping[str, t.Any]) -> link.LinkRequest:
    listed = params["links"] if params["links"] is not None else [params]
    if params["links"] is None and params["name"] is None:
        raise Refused("give name, or links")
    present = [each for each in listed if each["state"] == "present"]
    if params["links"] is None:
        links = tuple(options.wanted(each) for each in present)
    else:
        links = options.all_wanted(present, "links")
    return link.LinkRequest(
        target=_module.target_of(params),
        links=links,
        gone=tuple(options.gone(listed)),
        exclusive=params["exclusive"],
        lock_timeout=_module.LOCK_TIMEOUT,
    )


def main() -> None:
    module = _module.Module(
        argument_spec={
            **options.OPTIONS,
            **_module.TARGET_OPTIONS,
            "links": options.LIST,
            "exclusive": {"type": "bool", "default": False},
        },
        mutually_exclusive=[*_module.TARGET_EXCLUSIVE, ("name", "links")],
        supports_check_mode=True,
    )
    with _module.failures_reported(module):
        result = link.run(request_of(module.params), check=module.check_mode)
        module.exit_json(
            changed=bool(result.actions),
            actions=result.actions,
            links=result.links,
            **_module.diff_of(module, result.before, result.after, result.actions),
        )


if __name__ == "__main__":
    main()
