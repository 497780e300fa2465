# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of connection plugins that say what to enter, and how.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - The name of a namespace made with M(linux.namespaces.ns_namespace).
      - Exactly one of O(namespace), O(pid) and O(path) is set.
    type: str
    vars:
      - name: ansible_ns_namespace
  pid:
    description:
      - The id of a living process on the host, whose namespaces are entered.
      - Numbers of processes are given to others in time. A process without a namespace of its own is refused.
    type: int
    vars:
      - name: ansible_ns_pid
  path:
    description:
      - The absolute path of a namespace file on the host, such as V(/run/netns/blue).
    type: str
    vars:
      - name: ansible_ns_path
  kinds:
    description:
      - Joins the target's namespaces of these kinds only. By default it joins all that it has of its own.
      - Without V(mnt) files are those of the host.
    type: list
    elements: str
    choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
    vars:
      - name: ansible_ns_kinds
  escalation:
    description:
      - How to become root on the host in order to enter, where the login user is not root.
      - It must work without a password, at least for C(/usr/local/sbin/nsctl), or where the host has none of that, for
        C(/bin/sh).
      - C(become) is something else. It is what happens inside, and there the user is root already.
    type: str
    choices: [none, sudo, doas]
    default: none
    vars:
      - name: ansible_ns_escalation
  has_init:
    description:
      - Whether modules and commands that speak to an init or to daemons of the host may be used inside. Set it for a
        namespace with an init of its own, such as a process of kind V(pid) that runs systemd, or where the host's is
        meant.
      - Otherwise M(ansible.builtin.reboot), M(ansible.builtin.service), M(ansible.builtin.systemd),
        M(ansible.builtin.systemd_service), M(ansible.builtin.sysvinit), M(ansible.builtin.hostname),
        M(community.general.shutdown), M(community.general.timezone), M(ansible.posix.firewalld),
        M(linux.namespaces.ns_service) and their like are refused, also where another action calls them, and so are
        commands as V(systemctl), V(service) and V(reboot) of M(ansible.builtin.command), M(ansible.builtin.shell) and
        M(ansible.builtin.raw). The fact C(ansible_service_mgr) is V(service), which Ansible says where it finds no
        manager of services, and systemctl(1) has C(SYSTEMD_OFFLINE) in its environment, with which it does not speak to
        the host's systemd, whoever runs it.
      - It guards against mistakes. What a script or a program inside does is not looked at.
    type: bool
    default: false
    vars:
      - name: ansible_ns_has_init
notes:
  - A target that is unknown or gone, or that may not be entered, makes the host unreachable, and the message says why.
  - Inside, the environment is a clean one, the working directory is V(/), and the user is root.
requirements:
  - nsctl on the host, as hosts with a persistent namespace have it, or nsenter(1), unshare(1), mount(8) and setsid(1)
  - sh(1), and for files dd(1), head(1) and tail(1), in the root inside
"""
