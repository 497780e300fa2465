# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that does nothing, with the arguments of ns_mount, and an answer as long as asked for."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.options import mount


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "mounts": mount.LIST,
            "namespace": {"type": "str"},
            "answer": {"type": "dict"},
            "times": {"type": "int", "default": 1},
        },
        supports_check_mode=True,
    )
    answer = [module.params["answer"]] * module.params["times"]
    module.exit_json(changed=False, answer=module.params["mounts"] or answer)


if __name__ == "__main__":
    main()
