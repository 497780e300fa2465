# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why `ip` has failed: what the kernel's words mean for what was wanted.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

# By what is in a complaint: the reason, and the remedy. ``{kind}`` is the kind that the line makes.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        "Unknown device type",
        "this kernel has no interfaces of the kind {kind}",
        "Load its module (`modprobe {kind}`), or take a kernel that has it.",
    ),
    (
        "invalid gateway",
        "the gateway is not in reach of the interface",
        "Give the interface an address in the network of the gateway.",
    ),
    (
        "No route to host",
        "the gateway is not in reach of the interface",
        "Give the interface an address in the network of the gateway.",
    ),
    (
        "Network is unreachable",
        "the gateway is not in reach of the interface",
        "Give the interface an address in the network of the gateway.",
    ),
    (
        "mtu greater than device maximum",
        "the interface takes no mtu of that size",
        "`ip -d link show` says which it takes (maxmtu).",
    ),
    (
        "Nexthop device is not up",
        "the interface by which the route leads is down",
        "Set it up.",
    ),
)


def failure(complaints: str, line: str) -> tuple[str, str]:
    """The reason and the hint for what ip has said of a line."""
    words = line.split()
    kind = words[words.index("type") + 1] if "type" in words[:-1] else "wanted"
    for sign, reason, hint in _CAUSES:
        if sign in complaints:
            return f"{reason.format(kind=kind)} ({complaints})", hint.format(kind=kind)
    return f"ip says: {complaints}", ""


def is_unknown_kind(complaints: str) -> bool:
    """Whether the kernel lacks the kind that was to be made."""
    return "Unknown device type" in complaints
