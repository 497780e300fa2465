# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The capabilities by name and by bit (capabilities(7), include/uapi/linux/capability.h).

Pure, but for has(). PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ..errors import Refused
from ..syscalls import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# The place in this tuple is the number of the capability.
NAMES: tuple[str, ...] = (
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
)


def mask_of(names: t.Iterable[str]) -> int:
    """The bits of these capabilities: "CAP_NET_RAW", "cap_net_raw" and "net_raw" are the same.

    Raises Refused for a name that is none.
    """
    mask = 0
    for name in names:
        word = name.lower()
        word = word[4:] if word.startswith("cap_") else word
        if word not in NAMES:
            raise Refused(
                f"{name!r} is not a capability",
                f"Use names of capabilities(7): {', '.join(NAMES)}.",
            )
        mask |= 1 << NAMES.index(word)
    return mask


def has(name: str) -> bool:
    """Whether the caller has the capability, in its effective set."""
    effective, _permitted, _inheritable = processes.get_capabilities()
    return bool(effective & mask_of([name]))


def names_of(mask: int) -> list[str]:
    """The names of the capabilities in ``mask``, by number; a bit without a name is "cap_N"."""
    found = []
    for number in range(mask.bit_length()):
        if mask >> number & 1:
            found.append(NAMES[number] if number < len(NAMES) else f"cap_{number}")
    return found
