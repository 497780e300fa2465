#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_namespace
short_description: Create, change and remove named namespaces
version_added: 0.1.0
description:
  - Keeps kernel namespaces alive under a name, as C(ip netns) does for network namespaces, but of all eight kinds.
  - A named namespace is one or more namespaces of different kinds. They live without a process in them, by pins below
    V(/run/linux-namespaces). A pid namespace cannot, so it has a holder, a process that sleeps. It has a cgroup of its
    own, with systemd that of a scope, and outlives whoever runs the play.
  - A run that has mounts of its own, as in a unit of systemd with C(PrivateTmp) or C(ProtectSystem), works with those
    of the host, as each module of the collection and C(nsctl) do. Paths of the host that a task names are looked up
    there, so a file that only such a run sees, in its private V(/tmp), is not found. A run with a V(/run) of its own
    is one on another host.
  - What a named namespace should be is recorded on the host, in V(/etc/linux-namespaces), and made again after a
    reboot.
  - Named namespaces are root's. To pin one takes C(CAP_SYS_ADMIN) in the user namespace that owns the host's mount
    namespace, and a plain user has it nowhere that the host could see; so this module, and each one that is given
    C(namespace), refuses a plain user with that reason. M(linux.namespaces.ns_unshare_run) gives a plain user
    namespaces for as long as a program lives in them.
options:
  name:
    description:
      - The name. It has up to 64 letters, digits, V(_), V(.) and V(-), the first a letter or digit.
    type: str
    required: true
  state:
    description:
      - V(present) creates or changes it. V(absent) removes it with everything that is kept for it, also its services
        and their output.
      - The namespaces end when no process lives in them, and their mounts with them.
      - One that has to be created anew, as after a reboot, gets the mounts, root file systems and pivots that its
        definition has. Where that fails there is a warning, and nothing enters it until later tasks, or C(nsctl up),
        have completed it.
    type: str
    choices: [present, absent]
    default: present
  kinds:
    description:
      - The kinds of namespace that it has. Kinds can be added and dropped later, except V(user), which owns the others,
        and those that the holder of a pid namespace lives in.
    type: list
    elements: str
    choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
    default: [mnt]
  propagation:
    description:
      - How mount events travel between the host and a new mount namespace.
      - V(private) is not at all. V(slave) shows new mounts of the host inside. V(shared) shows them both ways.
        V(unchanged) leaves the mounts as they were copied.
      - Cannot be changed later without O(recreate).
    type: str
    choices: [private, slave, shared, unchanged]
    default: private
  hostname:
    description:
      - The host name inside. Needs the kind V(uts).
    type: str
  domainname:
    description:
      - The NIS domain name inside. Needs the kind V(uts).
    type: str
  id_map:
    description:
      - Which ids outside the ids inside a new user namespace are. Needs the kind V(user).
      - V(auto) takes the ranges of the caller in V(/etc/subuid) and V(/etc/subgid). V(root) maps root inside to the
        caller, V(current) the caller to itself.
      - Or a dictionary with the lists C(uid) and C(gid), whose entries have the numbers C(inside), C(outside) and
        C(count).
      - By default it is V(root).
      - Cannot be changed later without O(recreate).
    type: raw
  share:
    description:
      - The kinds that it has from other named namespaces in place of its own, each with the name of such a namespace.
        So programs with roots of their own have a network in common, by C(net) and the name of who has it.
      - Any kind but V(mnt) and V(user) can be shared, with a namespace that has one of its own. That has to be up,
        comes up before this one at boot, and cannot be removed or taken down while others share what is of it.
    type: dict
    default: {}
  loopback:
    description:
      - Whether the interface lo of a network namespace is up.
    type: bool
    default: true
  links:
    description:
      - The interfaces of its network namespace, which needs the kind V(net).
      - They are there again after a reboot before its services start. Those that were recorded and are not listed any
        more are removed; without O(links) they stay.
      - M(linux.namespaces.ns_link) tells more of them.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The name of the interface, of up to 15 characters.
          - See O(linux.namespaces.ns_link#module:name).
        type: str
        required: true
      kind:
        description:
          - What it is, by the words of ip-link(8).
          - See O(linux.namespaces.ns_link#module:kind).
        type: str
        required: true
        choices: [veth, macvlan, ipvlan, vlan, bridge, dummy, vrf, wireguard, moved]
      up:
        description:
          - Whether it is up.
          - See O(linux.namespaces.ns_link#module:up).
        type: bool
        default: true
      mac:
        description:
          - Its hardware address, where it can have one of its own.
          - See O(linux.namespaces.ns_link#module:mac).
        type: str
      mtu:
        description:
          - The size of its packets, and of those of its peer, in bytes.
          - See O(linux.namespaces.ns_link#module:mtu).
        type: int
        default: 0
      master:
        description:
          - The bridge or the vrf of the same namespace that it is a port of.
          - See O(linux.namespaces.ns_link#module:master).
        type: str
      addresses:
        description:
          - Its addresses with their prefixes, as V(10.9.0.2/30), V(fd00:9::2/64) or V(10.9.0.2 peer 10.9.0.1/32).
          - See O(linux.namespaces.ns_link#module:addresses).
        type: list
        elements: str
        default: []
      routes:
        description:
          - The routes by it, and blackholes.
          - See O(linux.namespaces.ns_link#module:routes).
        type: list
        elements: dict
        default: []
        suboptions:
          to:
            description:
              - The network that it leads to, or V(default).
              - See O(linux.namespaces.ns_link#module:routes[].to).
            type: str
            required: true
          via:
            description:
              - The gateway.
              - See O(linux.namespaces.ns_link#module:routes[].via).
            type: str
          dev:
            description:
              - Another interface of the namespace by which it leads.
              - See O(linux.namespaces.ns_link#module:routes[].dev).
            type: str
          metric:
            description:
              - Its metric.
              - See O(linux.namespaces.ns_link#module:routes[].metric).
            type: int
            default: 0
          table:
            description:
              - The number of its table.
              - See O(linux.namespaces.ns_link#module:routes[].table).
            type: int
            default: 0
          blackhole:
            description:
              - Whether what it leads to is thrown away.
              - See O(linux.namespaces.ns_link#module:routes[].blackhole).
            type: bool
            default: false
      rules:
        description:
          - Rules of ip-rule(8), which belong to the namespace as a whole.
          - See O(linux.namespaces.ns_link#module:rules).
        type: list
        elements: dict
        default: []
        suboptions:
          priority:
            description:
              - Its priority, from 1 to 32765.
              - See O(linux.namespaces.ns_link#module:rules[].priority).
            type: int
            required: true
          table:
            description:
              - The number of the table that it sends to.
              - See O(linux.namespaces.ns_link#module:rules[].table).
            type: int
            required: true
          from:
            description:
              - Where packets come from, as a network.
              - See O(linux.namespaces.ns_link#module:rules[].from).
            type: str
          to:
            description:
              - Where they go to.
              - See O(linux.namespaces.ns_link#module:rules[].to).
            type: str
          iif:
            description:
              - The interface by which they come in.
              - See O(linux.namespaces.ns_link#module:rules[].iif).
            type: str
          oif:
            description:
              - The interface by which they go out.
              - See O(linux.namespaces.ns_link#module:rules[].oif).
            type: str
          fwmark:
            description:
              - Their mark.
              - See O(linux.namespaces.ns_link#module:rules[].fwmark).
            type: int
            default: 0
      peer:
        description:
          - The other end of a C(veth).
          - See O(linux.namespaces.ns_link#module:peer).
        type: dict
        suboptions:
          name:
            description:
              - Its name, by default C(ve-) and the name of the namespace.
              - See O(linux.namespaces.ns_link#module:peer.name).
            type: str
          namespace:
            description:
              - The named namespace that it is in, by default the host.
              - See O(linux.namespaces.ns_link#module:peer.namespace).
            type: str
          bridge:
            description:
              - The bridge there that it is a port of.
              - See O(linux.namespaces.ns_link#module:peer.bridge).
            type: str
          addresses:
            description:
              - Its addresses.
              - See O(linux.namespaces.ns_link#module:peer.addresses).
            type: list
            elements: str
            default: []
      parent:
        description:
          - What a C(macvlan), an C(ipvlan) or a C(vlan) is made of.
          - See O(linux.namespaces.ns_link#module:parent).
        type: str
      parent_in:
        description:
          - Where the parent is, on the host or in the namespace itself.
          - See O(linux.namespaces.ns_link#module:parent_in).
        type: str
        choices: [host, namespace]
        default: host
      mode:
        description:
          - That of a C(macvlan), V(bridge), V(private), V(vepa) or V(passthru), by default the first.
          - See O(linux.namespaces.ns_link#module:mode).
        type: str
      id:
        description:
          - The number of a C(vlan).
          - See O(linux.namespaces.ns_link#module:id).
        type: int
        default: 0
      table:
        description:
          - The number of the table of a C(vrf).
          - See O(linux.namespaces.ns_link#module:table).
        type: int
        default: 0
      wireguard:
        description:
          - The tunnel of a C(wireguard).
          - See O(linux.namespaces.ns_link#module:wireguard).
        type: dict
        suboptions:
          private_key_file:
            description:
              - The file on the host with its private key, as C(wg genkey) writes it, which only its owner can read.
              - See O(linux.namespaces.ns_link#module:wireguard.private_key_file).
            type: path
            required: true
          listen_port:
            description:
              - The port on the host.
              - See O(linux.namespaces.ns_link#module:wireguard.listen_port).
            type: int
            default: 0
          fwmark:
            description:
              - The mark of what it sends.
              - See O(linux.namespaces.ns_link#module:wireguard.fwmark).
            type: int
            default: 0
          peers:
            description:
              - Those at the other ends.
              - See O(linux.namespaces.ns_link#module:wireguard.peers).
            type: list
            elements: dict
            default: []
            suboptions:
              public_key:
                description:
                  - Its public key.
                  - See O(linux.namespaces.ns_link#module:wireguard.peers[].public_key).
                type: str
                required: true
              preshared_key_file:
                description:
                  - The file on the host with a key that both share.
                  - See O(linux.namespaces.ns_link#module:wireguard.peers[].preshared_key_file).
                type: path
              endpoint:
                description:
                  - Where it is, as C(192.0.2.1:51820).
                  - See O(linux.namespaces.ns_link#module:wireguard.peers[].endpoint).
                type: str
              allowed_ips:
                description:
                  - The networks that are reached by it.
                  - See O(linux.namespaces.ns_link#module:wireguard.peers[].allowed_ips).
                type: list
                elements: str
                default: []
              persistent_keepalive:
                description:
                  - How often something is sent to it, in seconds.
                  - See O(linux.namespaces.ns_link#module:wireguard.peers[].persistent_keepalive).
                type: int
                default: 0
      force:
        description:
          - Whether an interface is moved by which the host itself is reached, which is that of a default route, or of
            the ssh connection that the play runs on.
          - See O(linux.namespaces.ns_link#module:force).
        type: bool
        default: false
      masquerade:
        description:
          - Whether what it sends beyond the host goes on with the address of the host.
          - See O(linux.namespaces.ns_link#module:masquerade).
        type: bool
        default: false
      publish:
        description:
          - Ports of the host that lead here, as V(8080:80), V(127.0.0.1:5432:5432) or V([::1]:53:53/udp).
          - See O(linux.namespaces.ns_link#module:publish).
        type: list
        elements: str
        default: []
      dns:
        description:
          - Who is asked for names inside, and what is known without asking.
          - See O(linux.namespaces.ns_link#module:dns).
        type: dict
        suboptions:
          servers:
            description:
              - The addresses of those that are asked, which are up to three.
              - See O(linux.namespaces.ns_link#module:dns.servers).
            type: list
            elements: str
            default: []
          search:
            description:
              - The domains in which short names are looked up.
              - See O(linux.namespaces.ns_link#module:dns.search).
            type: list
            elements: str
            default: []
          options:
            description:
              - Options of resolv.conf(5), as V(ndots:2).
              - See O(linux.namespaces.ns_link#module:dns.options).
            type: list
            elements: str
            default: []
          hosts:
            description:
              - What is known without asking, beside C(localhost).
              - See O(linux.namespaces.ns_link#module:dns.hosts).
            type: list
            elements: dict
            default: []
            suboptions:
              address:
                description:
                  - An address.
                  - See O(linux.namespaces.ns_link#module:dns.hosts[].address).
                type: str
                required: true
              names:
                description:
                  - Its names.
                  - See O(linux.namespaces.ns_link#module:dns.hosts[].names).
                type: list
                required: true
                elements: str
  sysctl:
    description:
      - Kernel parameters of the network, ipc and user namespaces. One that belongs to no namespace is refused, since it
        would change the host. Those that are not named are left as they are.
      - Where C(/proc/sys) of the host is mounted read-only, as in containers, they are set by way of another C(/proc),
        which is mounted nowhere.
      - The values of C(tcp_fastopen_key) and C(stable_secret) are neither logged nor returned.
    type: dict
    default: {}
  time_offsets:
    description:
      - By how many seconds the clocks of a new time namespace differ from the host's. Needs the kind V(time).
      - Cannot be changed later without O(recreate).
    type: dict
    suboptions:
      monotonic:
        description: The offset of C(CLOCK_MONOTONIC).
        type: int
      boottime:
        description: The offset of C(CLOCK_BOOTTIME).
        type: int
  persistent:
    description:
      - Whether it is there again after a reboot, with the mounts, root file systems and pivots that other modules
        record.
      - The first such namespace has the command C(nsctl) installed in C(/usr/local/sbin), and on hosts that systemd
        runs the units C(linux-namespaces@.service), of which each namespace has an instance that brings it up at boot,
        and C(linux-namespaces.target) for all of them. They go with the last one.
      - Such an instance waits for the mounts of the host, the devices and the network that are needed for what is
        recorded, and has 300 seconds (C(TimeoutStartSec)). Nothing waits for it but the services of the namespace.
    type: bool
    default: true
  recreate:
    description:
      - Remove a namespace first that differs in what cannot be changed, with its steps and its services. The tasks
        that made these make them anew.
    type: bool
    default: false
  force:
    description:
      - Kill the processes that live in a namespace which is to be removed, also those that keep forking. Without it
        such a namespace is not removed, and the processes are listed.
    type: bool
    default: false
extends_documentation_fragment:
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - Linux 5.10 or newer
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_mount
  - module: linux.namespaces.ns_pivot_root
  - module: linux.namespaces.ns_setns_run
  - module: linux.namespaces.ns_service
  - module: linux.namespaces.ns_info
"""

EXAMPLES = r"""
---
- name: Have a mount namespace named shop
  linux.namespaces.ns_namespace:
    name: shop

- name: Give it a network, a host name and a clock of its own as well
  linux.namespaces.ns_namespace:
    name: shop
    kinds: [mnt, net, uts, time]
    hostname: shop
    sysctl:
      net.ipv4.ip_forward: 1
    time_offsets:
      boottime: 3600

- name: Have another with a root of its own, which has the network of shop
  linux.namespaces.ns_namespace:
    name: cache
    kinds: [mnt]
    share:
      net: shop

- name: Remove that one
  linux.namespaces.ns_namespace:
    name: cache
    state: absent

- name: Remove it, whatever runs in it
  linux.namespaces.ns_namespace:
    name: shop
    state: absent
    force: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, step by step.
  returned: success
  type: list
  elements: str
  sample: ["create mnt, net", "show web to ip netns", "record namespace web"]
namespace:
  description: The named namespace afterwards.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web
    kinds:
      description:
        - The id and the pin of each kind that it has.
        - With one that it shares stands, as C(shared_with), the name of the namespace that has it.
      type: dict
      sample:
        mnt:
          id: 4026532177
          path: /run/linux-namespaces/web/mnt
    processes:
      description: The processes that live in it.
      type: list
      elements: dict
      sample:
        - pid: 4242
          uid: 0
          command: "nginx: master process"
    persistent:
      description: Whether it is there again after a reboot.
      type: bool
      sample: true
    root:
      description: The C(new_root) that it was pivoted to, or V(/).
      type: str
      sample: /srv/web
    shared_by:
      description: The names of the namespaces that share a kind of it, those that come back at boot as well.
      type: list
      elements: str
      sample: [shop]
shared_by:
  description: The names of the namespaces that share a kind of it, and so keep it from being removed.
  returned: when it is not removed because of them
  type: list
  elements: str
  sample: [shop]
processes:
  description: The processes that keep it from being removed.
  returned: when it is not removed because of them
  type: list
  elements: dict
  sample:
    - pid: 4242
      uid: 0
      command: "nginx: master process"
"""


from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    namespace,
    namespace_removal,
    namespace_state,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.namespace_state import (
    NamespaceResult,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import (
    namespace as options,
)


def settle_nsctl(module: _module.Module) -> list[str]:
    """Have nsctl on the host as long as it is needed; return what was done for it."""
    is_recorded = module.params["state"] == "present" and module.params["persistent"]
    if not is_recorded and not host_paths.has_nsctl():
        return []
    # A sixth of what there is to compile, on a host that has nothing compiled.
    from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl
    from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command

    return host_command.settle(
        nsctl, module.params["name"], is_recorded=is_recorded, check=module.check_mode
    )


def completed(result: NamespaceResult, module: _module.Module) -> NamespaceResult:
    """The namespace with the steps that it has in its definition, as far as they can be taken."""
    # A third of what there is to compile, for one that was there before.
    from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import restore

    name = module.params["name"]
    warnings: list[str] = []
    actions, why = restore.complete(
        name, check=module.check_mode, timeout=_module.LOCK_TIMEOUT, warn=warnings.append
    )
    warnings += [f"Namespace {name} is closed until all of it is there. {why}"] if why else []
    facts = result.namespace if module.check_mode else namespace_state.describe_fully(name)
    return result._replace(
        actions=result.actions + actions, warnings=result.warnings + warnings, namespace=facts
    )


def main() -> None:
    module = _module.Module(
        masks=_module.MASKS_OF_NAMESPACE, argument_spec=options.OPTIONS, supports_check_mode=True
    )
    with _module.failures_reported(module):
        params = module.params
        if params["state"] == "absent":
            result = namespace_removal.absent(
                params["name"],
                check=module.check_mode,
                force=params["force"],
                lock_timeout=_module.LOCK_TIMEOUT,
            )
        else:
            request = options.request_of(params, lock_timeout=_module.LOCK_TIMEOUT)
            result = namespace.present(request, check=module.check_mode)
            if result.incomplete:
                result = completed(result, module)
        actions = result.actions + settle_nsctl(module)
        for warning in result.warnings:
            module.warn(warning)
        module.exit_json(
            changed=bool(actions),
            actions=actions,
            namespace=result.namespace,
            **_module.diff_of(module, result.before, result.after, actions),
        )


if __name__ == "__main__":
    main()
