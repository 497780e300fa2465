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
notes:
  - A target that is unknown or gone, or that may not be entered, makes the host unreachable, and the message says why.
  - Inside, the environment is a clean one, the working directory is V(/), and the user is root.
requirements:
  - nsctl on the host, as hosts with a persistent namespace have it, or nsenter(1)
  - sh(1), and for files dd(1), head(1) and tail(1), in the root inside
"""
