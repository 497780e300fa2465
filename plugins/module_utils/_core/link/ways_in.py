# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The interfaces by which the host itself is reached.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os

from ..process import proc
from . import observe
from .observe import Interface

_SSH = "SSH_CONNECTION"


def of_host(net: int) -> dict[str, str]:
    """What each of them is, by name. Raises tool.Failed, Refused, OSError.

    Those of default routes, and those with the address to which somebody is connected by ssh, of whom this
    run is; and what these are made of, as the ports of a bridge.
    """
    every = observe.everything(net).interfaces
    found = dict.fromkeys(observe.defaults(net), "the interface of the default route")
    address = _address_of_ssh()
    for name, each in every.items():
        if address and any(text.partition("/")[0] == address for text in each.addresses):
            found[name] = "the interface of the ssh connection that this runs on"
    left = [*found]
    while left:
        name = left.pop()
        for below in _below(name, every):
            if below not in found:
                found[below] = f"what {name} is made of, {found[name]}"
                left.append(below)
    return found


def _below(name: str, every: dict[str, Interface]) -> list[str]:
    ports = [each.name for each in every.values() if each.master == name]
    own = every.get(name)
    return ports + ([own.below] if own is not None and own.below in every else [])


def _address_of_ssh() -> str:
    """The address of this host in the connection; sudo leaves its variable to the parents alone."""
    words = os.environ.get(_SSH, "").split()
    if len(words) == 4:
        return words[2]
    pid = os.getpid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = os.fsdecode(file.read()).split("\0")
        except OSError:
            variables = []
        for each in variables:
            words = each.partition("=")[2].split() if each.startswith(f"{_SSH}=") else []
            if len(words) == 4:
                return words[2]
        facts = proc.process_facts(pid)
        pid = facts.parent if facts is not None else 0
    return ""
