#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_pivot_root
short_description: Make a mount the root of a namespace
version_added: 0.1.0
description:
  - Makes O(new_root) the root of the mount namespace of a target, with C(pivot_root(2)).
  - Processes in the namespace that have the old root as their root or working directory get the new one. A namespace
    without processes can be pivoted as well.
  - Afterwards a path below O(new_root) still names the same place in all modules of this collection, so that a playbook
    of mount, pivot, mount runs again without change.
options:
  new_root:
    description:
      - The absolute path of the mount that becomes the root, as it was named before the pivot.
      - It has to be a mount point. Use M(linux.namespaces.ns_mount) to mount a root file system there, or to bind a
        directory onto itself.
    type: str
    required: true
  put_old:
    description:
      - An existing directory below O(new_root), named as it was before the pivot, where the old root is kept.
      - Without it the old root is detached, and nothing of it can be reached any more.
      - Leaving it out later detaches an old root that was kept. One that is gone cannot come back.
    type: str
  persistent:
    description:
      - Whether the pivot is recorded in the definition of the named namespace, and made again after a reboot. By
        default it is, when the namespace is persistent.
    type: bool
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
    support: partial
    details:
      - A target that is given by O(pid) or O(namespace_path) keeps no note of its pivots. A second run refuses there,
        since O(new_root) is gone.
requirements:
  - Linux 5.10 or newer
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: linux.namespaces.ns_mount
  - module: linux.namespaces.ns_rootfs
"""

EXAMPLES = r"""
---
- name: Mount a root file system inside the namespace web
  linux.namespaces.ns_mount:
    namespace: web
    path: /srv
    src: /
    opts: bind

- name: Make it the root of the namespace, and let go of the host's
  linux.namespaces.ns_pivot_root:
    namespace: web
    new_root: /srv
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, step by step.
  returned: success
  type: list
  elements: str
  sample: ["pivot to /srv/web", "record the pivot to /srv/web"]
persistent:
  description: Whether the pivot is recorded in the definition of a named namespace.
  returned: success
  type: bool
  sample: true
"""

from ansible_collections.linux.namespaces.plugins.module_utils import _module
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import pivot_root


def main() -> None:
    module = _module.Module(
        argument_spec={
            **_module.TARGET_OPTIONS,
            "new_root": {"type": "str", "required": True},
            "put_old": {"type": "str"},
            "persistent": {"type": "bool"},
        },
        mutually_exclusive=_module.TARGET_EXCLUSIVE,
        supports_check_mode=True,
    )
    with _module.failures_reported(module):
        request = pivot_root.PivotRequest(
            target=_module.target_of(module.params),
            new_root=module.params["new_root"],
            put_old=module.params["put_old"] or "",
            persistent=module.params["persistent"],
            lock_timeout=_module.LOCK_TIMEOUT,
        )
        result = pivot_root.run(request, check=module.check_mode)
        module.exit_json(
            changed=bool(result.actions),
            actions=result.actions,
            persistent=result.persistent,
            **_module.diff_of(module, result.before, result.after, result.actions),
        )


if __name__ == "__main__":
    main()
