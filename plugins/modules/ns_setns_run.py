#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_setns_run
short_description: Run a program in existing namespaces
version_added: 0.1.0
description:
  - Joins the namespaces of a target and runs one program there, in the manner of M(ansible.builtin.command).
  - The program has a session of its own and no terminal, and of the host's open files none but its outputs. In a mount
    namespace of its own the target's root is the program's, and the program is one of that root.
  - If the target has a user namespace, the program is root there, unless O(user) says otherwise.
  - Without a target it runs in the host's namespaces.
options:
  kinds:
    description:
      - Joins the target's namespaces of these kinds only. By default it joins all that it has of its own.
    type: list
    elements: str
    choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
  incomplete:
    description:
      - Whether a named namespace is entered as well that is not what its definition says, be it that it could not be
        brought up or that a run which builds it was cut short. What is missing of it, up to its root, is the host's
        there.
    type: bool
    default: false
extends_documentation_fragment:
  - linux.namespaces._program
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
  - linux.namespaces._target
requirements:
  - Linux 5.10 or newer
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: ansible.builtin.command
  - module: linux.namespaces.ns_namespace
  - module: linux.namespaces.ns_unshare_run
"""

EXAMPLES = r"""
---
- name: See the mounts of the namespace web
  linux.namespaces.ns_setns_run:
    namespace: web
    cmd: cat /proc/self/mounts
  changed_when: false

- name: Make a file inside the namespace web once, as a member of another group
  linux.namespaces.ns_setns_run:
    namespace: web
    argv: [touch, /tmp/linux-namespaces-example]
    creates: /tmp/linux-namespaces-example
    groups: [users]

- name: Remove it again, with no capability but the one that it takes
  linux.namespaces.ns_setns_run:
    namespace: web
    argv: [rm, /tmp/linux-namespaces-example]
    removes: /tmp/linux-namespaces-example
    capabilities: [dac_override, fowner]

- name: Give a program a password that is neither logged nor shown
  linux.namespaces.ns_setns_run:
    namespace: web
    argv: [sh, -c, test -n "$PGPASSWORD"]
    secret_environment:
      PGPASSWORD: "{{ lookup('ansible.builtin.password', '/dev/null') }}"  # or a variable of a vault
  changed_when: false

- name: Join one of its namespaces only, and see the processes of the host
  linux.namespaces.ns_setns_run:
    namespace: web
    kinds: [mnt]
    cmd: ls /proc
  changed_when: false
"""

RETURN = r"""
actions:
  description: What was done before the program ran, and its start, step by step.
  returned: always
  type: list
  elements: str
  sample: ["run id"]
cmd:
  description: The program and its arguments.
  returned: always
  type: list
  elements: str
  sample: [id, -u]
delta:
  description: How long it took.
  returned: always
  type: str
  sample: "0:00:00.001529"
end:
  description: When the program ended.
  returned: always
  type: str
  sample: "2026-01-31 14:00:00.325771"
msg:
  description: Why the program was not run, or has failed. Empty otherwise.
  returned: always
  type: str
  sample: non-zero return code
namespaces:
  description: The ids of the namespaces that the program ran in, by kind, as in V(/proc/PID/ns) and C(lsns(8)).
  returned: when the program was run
  type: dict
  sample: {cgroup: 4026531835, ipc: 4026531839, mnt: 4026532178, net: 4026531833, pid: 4026532179,
    time: 4026531834, user: 4026531837, uts: 4026531838}
rc:
  description: The exit code of the program, or V(-9) if the signal 9 has ended it.
  returned: always
  type: int
  sample: 0
signal:
  description: The name of the signal that has ended the program.
  returned: when a signal has ended it
  type: str
  sample: SIGKILL
start:
  description: When the program was started.
  returned: always
  type: str
  sample: "2026-01-31 14:00:00.324242"
stderr:
  description: What the program has written to its standard error. See RV(stdout).
  returned: always
  type: str
  sample: ""
stderr_b64:
  description: What the program has written to its standard error, byte for byte, in base64.
  returned: when it is not UTF-8
  type: str
  sample: gP8K
stderr_lines:
  description: The same, line by line.
  returned: always
  type: list
  elements: str
  sample: []
stdout:
  description:
    - What the program has written to its standard output.
    - Bytes that are not UTF-8 are shown as V(\\xff).
  returned: always
  type: str
  sample: "0"
stdout_b64:
  description: What the program has written to its standard output, byte for byte, in base64.
  returned: when it is not UTF-8
  type: str
  sample: gP8K
stdout_lines:
  description: The same, line by line.
  returned: always
  type: list
  elements: str
  sample: ["0"]
timed_out:
  description: Whether the program was killed because of O(timeout).
  returned: when it was
  type: bool
  sample: true
"""

import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils import _command, _module
from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import run


def request_of(params: t.Mapping[str, t.Any]) -> run.RunRequest:
    target = _module.target_of(params)
    joins = None if params["kinds"] is None else tuple(params["kinds"])
    joins_mnt = not target.is_host and (joins is None or "mnt" in joins)
    return run.RunRequest(
        program=_command.program_of(params, own_root=joins_mnt),
        target=target,
        joins=joins,
        incomplete=params["incomplete"],
        stdin=_command.stdin_of(params),
        unless_exists=params["creates"],
        only_if_exists=params["removes"],
        timeout=params["timeout"],
    )


def main() -> None:
    module = _module.Module(
        masks=_command.MASKS,
        argument_spec={
            **_command.OPTIONS,
            **_module.TARGET_OPTIONS,
            "kinds": {"type": "list", "elements": "str", "choices": list(kinds.NAMES)},
            "incomplete": {"type": "bool", "default": False},
        },
        mutually_exclusive=[*_command.EXCLUSIVE, *_module.TARGET_EXCLUSIVE],
        required_one_of=_command.REQUIRED_ONE_OF,
        supports_check_mode=True,
    )
    _command.run(module, lambda: request_of(module.params))


if __name__ == "__main__":
    main()
