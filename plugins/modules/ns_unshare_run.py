#!/usr/bin/python
# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ns_unshare_run
short_description: Run a program in new namespaces
version_added: 0.1.0
description:
  - Makes new namespaces, arranges mounts, a root and names in them, and runs one program there, in the manner of
    M(ansible.builtin.command).
  - The namespaces end with the program, and with them the mounts that were made. Nothing of them is seen on the host.
  - The program has a session of its own and no terminal, and of the host's open files none but its outputs.
  - A plain user can run it with the kind V(user), and is root in an environment of its own there.
  - Without a user namespace, and with all capabilities kept, namespaces are no boundary for a program that runs as
    root.
options:
  kinds:
    description:
      - The kinds of namespace that are new for the program.
      - The others of them belong to the user namespace, if V(user) is among them.
      - In a new pid namespace the program has the pid 1. Everything that it has started is killed when it ends.
    type: list
    elements: str
    choices: [cgroup, ipc, mnt, net, pid, time, user, uts]
    default: [mnt]
  root:
    description:
      - The absolute path of a directory that becomes the root of the program, with what is mounted below it. The old
        root is gone there.
      - Needs the kind V(mnt).
    type: path
  mounts:
    description:
      - Mounts that are made for the program, in this order, as M(linux.namespaces.ns_mount) makes them.
      - Needs the kind V(mnt).
    type: list
    elements: dict
    suboptions:
      path:
        description: The absolute path of the mount point, inside O(root).
        type: str
        required: true
      src:
        description: See the option O(linux.namespaces.ns_mount#module:src).
        type: str
        default: ""
      fstype:
        description: See the option O(linux.namespaces.ns_mount#module:fstype).
        type: str
        default: ""
      opts:
        description: See the option O(linux.namespaces.ns_mount#module:opts).
        type: list
        elements: str
        default: []
      propagation:
        description: See the option O(linux.namespaces.ns_mount#module:propagation).
        type: str
        choices: [private, slave, shared, unbindable, rprivate, rslave, rshared, runbindable]
      src_in:
        description: Where O(mounts[].src) of a bind and the directories of an overlay are looked up, on the host or
          inside O(root).
        type: str
        choices: [host, namespace]
        default: host
      state:
        description: See the option O(linux.namespaces.ns_mount#module:state).
        type: str
        choices: [mounted, remounted, unmounted]
        default: mounted
  propagation:
    description:
      - How mount events travel between the new mount namespace and the host (C(mount_namespaces(7))).
      - With V(slave) what is mounted on the host later appears for the program too. With V(shared) and V(unchanged)
        what the program mounts can appear on the host; they exclude O(root).
    type: str
    choices: [private, slave, shared, unchanged]
    default: private
  mount_proc:
    description:
      - Mounts a proc file system of the new pid namespace on V(/proc). Needs the kinds V(mnt) and V(pid).
      - By default it is, if both kinds are new, the root has a directory V(/proc), and O(mounts) do not name it.
    type: bool
  loopback:
    description:
      - Brings the interface lo up in the new net namespace. By default it is, if the kind V(net) is new.
    type: bool
  network:
    description:
      - The program on the target that gives the new net namespace a way out, for as long as the program runs. It takes
        no rights on the host, so that plain users can have it as well. Needs the kind V(net).
      - V(pasta) gives the addresses and routes of the host, and needs the kind V(user) where the task runs as root.
        V(slirp4netns) gives an interface C(tap0) with an address of its own, and knows names at C(10.0.2.3).
      - A host that has it not is told so before anything is done.
    type: str
    choices: [pasta, slirp4netns]
    version_added: 0.2.0
  hostname:
    description:
      - The host name that the program sees. Needs the kind V(uts).
    type: str
  id_map:
    description:
      - Which ids inside the new user namespace are which outside. Needs the kind V(user).
      - V(root) makes the user of the task root inside, and nobody else is there. V(current) gives it its own ids
        inside.
      - V(auto) makes it root inside and adds its ids of V(/etc/subuid) and V(/etc/subgid) from 1 on. If the task runs
        as root, these ids alone are there, from 0 on, so that root inside is nobody on the host.
      - A dictionary has C(uid) and C(gid), each a list of ranges with C(inside), C(outside) and C(count). Ranges must
        not overlap.
      - Users other than root may map only themselves and what V(/etc/subuid) lists for them, by C(newuidmap(1)).
      - The default is V(root).
    type: raw
  time_offsets:
    description:
      - How far the clocks of the new time namespace are ahead of the host's, in seconds. Needs the kind V(time).
    type: dict
    suboptions:
      monotonic:
        description: The offset of C(CLOCK_MONOTONIC).
        type: int
        default: 0
      boottime:
        description: The offset of C(CLOCK_BOOTTIME).
        type: int
        default: 0
extends_documentation_fragment:
  - linux.namespaces._program
  - linux.namespaces._attributes
  - linux.namespaces._attributes.actiongroup_namespaces
requirements:
  - Linux 5.10 or newer
  - C(newuidmap) and C(newgidmap), for a task that is not run as root and maps more than its own ids
author:
  - linux.namespaces contributors (@linux-namespaces)
seealso:
  - module: ansible.builtin.command
  - module: linux.namespaces.ns_setns_run
  - module: linux.namespaces.ns_service
"""

EXAMPLES = r"""
---
- name: Work on a scratch tmpfs that nobody else sees and that is gone afterwards
  linux.namespaces.ns_unshare_run:
    cmd: cp -a /etc/hosts /mnt
    mounts:
      - path: /mnt
        src: tmpfs
        fstype: tmpfs
        opts: size=10m

- name: See no process, no network and no host name of the host
  linux.namespaces.ns_unshare_run:
    argv: [sh, -c, "hostname; ps ax"]
    kinds: [mnt, pid, net, ipc, uts]
    hostname: inside

- name: Run a program in another root as a user of its own, with one capability and read-only data
  linux.namespaces.ns_unshare_run:
    argv: [id, -un]
    kinds: [mnt, pid, net, ipc, uts]
    root: /  # or any directory that holds a root file system, such as /srv/debian
    user: nobody
    capabilities: [net_bind_service]
    no_new_privs: true
    mounts:
      - path: /mnt
        src: /usr/share
        opts: [bind, ro, nosuid, nodev]

- name: Be root in an environment of one's own, which a plain user can have as well
  linux.namespaces.ns_unshare_run:
    cmd: mount -t tmpfs tmpfs /mnt
    kinds: [user, mnt, pid, net, ipc, uts, cgroup]
    id_map: root

- name: Give up after a second, and leave nothing running
  linux.namespaces.ns_unshare_run:
    cmd: sleep 1000
    kinds: [pid]
    timeout: 1
  register: slept
  failed_when: slept.timed_out is not defined
"""

RETURN = r"""
actions:
  description: What was done before the program ran, and its start, step by step.
  returned: always
  type: list
  elements: str
  sample: ["mount tmpfs on /mnt", "run id"]
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

from ansible_collections.linux.namespaces.plugins.module_utils import _command, _module, _mounts
from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.launch.setup import (
    Surroundings,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import run
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import mount as mounts


def surroundings_of(params: t.Mapping[str, t.Any]) -> Surroundings:
    new = set(params["kinds"])
    loopback, mount_proc = params["loopback"], params["mount_proc"]
    return Surroundings(
        root=params["root"] or "",
        mounts=tuple(mounts.wanted(each) for each in params["mounts"] or ()),
        propagation=params["propagation"] if "mnt" in new else "",
        hostname=params["hostname"] or "",
        # None leaves it to what is found in the root.
        mount_proc=mount_proc if mount_proc is not None or {"mnt", "pid"} <= new else False,
        loopback=loopback if loopback is not None else "net" in new,
    )


def request_of(params: t.Mapping[str, t.Any]) -> run.RunRequest:
    if not params["kinds"]:
        raise Refused("kinds is empty", f"The kinds are {', '.join(kinds.NAMES)}.")
    offsets = params["time_offsets"]
    return run.RunRequest(
        program=_command.program_of(params, own_root=params["root"] is not None),
        creates=tuple(params["kinds"]),
        surroundings=surroundings_of(params),
        id_map=params["id_map"],
        time_offsets=tuple(offsets.items()) if offsets is not None else None,
        network=params["network"] or "",
        stdin=_command.stdin_of(params),
        unless_exists=params["creates"],
        only_if_exists=params["removes"],
        timeout=params["timeout"],
    )


def main() -> None:
    module = _module.Module(
        masks={**_command.MASKS, **_mounts.MASKS},
        argument_spec={
            **_command.OPTIONS,
            "kinds": {
                "type": "list",
                "elements": "str",
                "choices": list(kinds.NAMES),
                "default": ["mnt"],
            },
            "root": {"type": "path"},
            "mounts": mounts.LIST,
            "propagation": {
                "type": "str",
                "choices": ["private", "slave", "shared", "unchanged"],
                "default": "private",
            },
            "mount_proc": {"type": "bool"},
            "loopback": {"type": "bool"},
            "network": {"type": "str", "choices": ["pasta", "slirp4netns"]},
            "hostname": {"type": "str"},
            "id_map": {"type": "raw"},
            "time_offsets": {
                "type": "dict",
                "options": {
                    "monotonic": {"type": "int", "default": 0},
                    "boottime": {"type": "int", "default": 0},
                },
            },
        },
        mutually_exclusive=_command.EXCLUSIVE,
        required_one_of=_command.REQUIRED_ONE_OF,
        supports_check_mode=True,
    )
    _command.run(module, lambda: request_of(module.params))


if __name__ == "__main__":
    main()
