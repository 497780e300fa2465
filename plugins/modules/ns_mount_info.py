#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_mount_info
short_description: List the mounts of a namespace
version_added: 0.1.0
description:
  - Lists the mounts in the mount namespace of a target, with what C(findmnt(8)) shows of them.
  - Paths are from the root of that mount namespace, as in M(linux.namespaces.ns_mount), also where O(pid) is a process
    in a chroot.
  - A user who may not enter the namespace of O(pid) gets what V(/proc/PID/mountinfo) shows instead. Its paths are from
    the root of that process, and mounts outside of it are missing; links in O(path) are not followed then.
  - Without a target it lists the mounts of the host.
options:
  path:
    description:
      - List only what is mounted on this absolute path, resolved inside the target. First comes the mount that is seen
        there, then those that it hides.
      - Below the C(new_root) of a M(linux.namespaces.ns_pivot_root) it may be the name from before or after the pivot.
      - Where nothing is mounted, the list is empty.
    type: str
  usage:
    description:
      - Whether to look at how full each file system is. A network file system whose server is gone makes this wait.
    type: bool
    default: false
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
  - module: linux.namespaces.ns_info
  - module: linux.namespaces.ns_mount
"""

EXAMPLES = r"""
---
- name: List the mounts of the host
  linux.namespaces.ns_mount_info:

- name: List the mounts that a process sees, with their sizes
  linux.namespaces.ns_mount_info:
    pid: 1
    usage: true

- name: See what is mounted on a path inside the namespace web
  linux.namespaces.ns_mount_info:
    namespace: web
    path: /srv
  register: srv

- name: Insist that it is read-only
  ansible.builtin.assert:
    that: "'ro' in srv.mounts[0].opts"
"""

RETURN = r"""
mounts:
  description: The mounts, each after the one that it is mounted on; with O(path) the visible one first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The id of the mount, as in V(/proc/PID/mountinfo).
      type: int
      sample: 412
    parent:
      description: The id of the mount that it is mounted on.
      type: int
      sample: 388
    path:
      description: The mount point, from the root of the target.
      type: str
      sample: /srv
    src:
      description: What is mounted.
      type: str
      sample: /dev/vda1
    fstype:
      description: The type of the file system.
      type: str
      sample: ext4
    root:
      description: The part of the file system that is mounted.
      type: str
      sample: /usr/share
    device:
      description: The device number of the file system.
      type: str
      sample: "254:1"
    opts:
      description: The flags of the mount and the options of the file system.
      type: list
      elements: str
      sample: [ro, relatime, errors=remount-ro]
    propagation:
      description: One of V(private), V(slave), V(shared), V(unbindable), V(shared,slave).
      type: str
      sample: private
    vfs_opts:
      description: The flags of the mount alone.
      type: list
      elements: str
      sample: [ro, relatime]
    fs_opts:
      description: The options of the file system alone.
      type: list
      elements: str
      sample: [rw, errors=remount-ro]
    peers:
      description: The peer groups behind RV(mounts[].propagation), as in V(/proc/PID/mountinfo).
      type: list
      elements: str
      sample: ["master:1"]
    uuid:
      description: The UUID of the file system on a block device, V(null) where the host's udev knows none.
      type: str
      sample: 6f0d3c1e-8f43-4f8b-9df0-0c3f2a4d3a52
    label:
      description: The label of the file system on a block device, V(null) where the host's udev knows none.
      type: str
      sample: data
    size:
      description: The size of the file system in bytes, V(null) where another mount hides it.
      returned: when O(usage=true)
      type: int
      sample: 10485760
    used:
      description: How much of it is used, in bytes.
      returned: when O(usage=true)
      type: int
      sample: 4096
    available:
      description: How much of it users can still use, in bytes.
      returned: when O(usage=true)
      type: int
      sample: 10481664
"""

import os
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core import redact
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import mount_info


def shown(
    found: mount_info.Found, uuids: t.Mapping[str, str], labels: t.Mapping[str, str]
) -> dict[str, t.Any]:
    mount = found.mount
    device = os.path.realpath(mount.src) if mount.src.startswith("/dev/") else ""
    return {
        **_module.shown_mount(mount),
        "vfs_opts": list(mount.flags),
        "fs_opts": redact.words(mount.options),
        "peers": list(mount.peers),
        "uuid": uuids.get(device),
        "label": labels.get(device),
    }


def shown_usage(found: mount_info.Found) -> dict[str, t.Any]:
    if found.usage is None:
        return dict.fromkeys(mount_info.Usage._fields)
    return found.usage._asdict()


def main() -> None:
    module = _module.Module(
        argument_spec={
            **_module.TARGET_OPTIONS,
            "path": {"type": "str"},
            "usage": {"type": "bool", "default": False},
        },
        mutually_exclusive=_module.TARGET_EXCLUSIVE,
        supports_check_mode=True,
    )
    with _module.failures_reported(module):
        usage = module.params["usage"]
        mounts = mount_info.mounts_of(
            _module.target_of(module.params),
            path=module.params["path"] or "",
            usage=usage,
        )
        uuids, labels = (
            mount_info.disk_names(f"/dev/disk/{directory}") for directory in ("by-uuid", "by-label")
        )
        module.exit_json(
            changed=False,
            mounts=[
                {**shown(found, uuids, labels), **(shown_usage(found) if usage else {})}
                for found in mounts
            ],
        )


if __name__ == "__main__":
    main()
