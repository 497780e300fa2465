# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Taking on the ids and the capabilities that a program is to run with.

The order is the kernel's: the bounding set can only be cut while CAP_SETPCAP is there, groups
and gid while the uid still allows it, and the other sets last (capabilities(7)).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os

from ..errors import KernelError, Refused
from ..syscalls import processes
from . import capabilities
from .accounts import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

_MOST_CAPABILITIES = 64


def take_on(identity: Identity, wanted: t.Collection[str] | None) -> None:
    """Become ``identity`` with the capabilities ``wanted``, in all five sets.

    The bounding set is cut to them. A program that does not run as root gets them by way of
    the inheritable and ambient sets, which are empty otherwise, so that nothing is inherited
    that was not asked for (CVE-2022-29162). None keeps what the kernel gives to these ids.
    Raises Refused, KernelError.
    """
    kept = None if wanted is None else capabilities.mask_of(wanted)
    if kept is not None:
        _check_available(kept)
        _cut_bounding_set(kept)
    uid = os.geteuid() if identity.uid is None else identity.uid
    needs_ambient = bool(kept) and uid != 0
    if needs_ambient:
        processes.prctl(processes.PR_SET_KEEPCAPS, 1)
    _check_ids(_set_ids(identity))
    _effective, permitted, _inheritable = processes.get_capabilities()
    if kept is not None:
        permitted &= kept
    inherited = permitted if needs_ambient else 0
    processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_CLEAR_ALL)
    processes.set_capabilities(effective=permitted, permitted=permitted, inheritable=inherited)
    for number in range(inherited.bit_length()):
        if inherited >> number & 1:
            processes.prctl(processes.PR_CAP_AMBIENT, processes.PR_CAP_AMBIENT_RAISE, number)


def _set_ids(identity: Identity) -> Identity:
    """Set the ids; return those that are to be there now."""
    if identity.groups is not None and set(identity.groups) != set(os.getgroups()):
        try:
            _as_kernel_error("setgroups", os.setgroups, list(identity.groups))
        except KernelError as error:
            effective, _permitted, _inheritable = processes.get_capabilities()
            may = effective & capabilities.mask_of(["setgid"])
            if error.errno != errno.EPERM or not may or not identity.groups_implied:
                raise
            # A user namespace whose maker may not set groups denies it inside as well: the
            # groups that are there are those that the maker has anyway (user_namespaces(7)).
            identity = identity.replace(groups=None)
    if identity.gid is not None:
        _as_kernel_error("setresgid", os.setresgid, *[identity.gid] * 3)
    if identity.uid is not None:
        _as_kernel_error("setresuid", os.setresuid, *[identity.uid] * 3)
    return identity


def _as_kernel_error(call: str, function: t.Callable[..., None], *values: t.Any) -> None:
    try:
        function(*values)
    except OSError as error:
        raise KernelError(call, error.errno or errno.EIO, {"ids": values}) from error


def _check_ids(identity: Identity) -> None:
    """Ids that are not what was asked for are worse than none (CVE-2026-30892)."""
    if identity.uid is not None and set(os.getresuid()) != {identity.uid}:
        raise Refused(f"the uid is {os.getresuid()} after setting it to {identity.uid}")
    if identity.gid is not None and set(os.getresgid()) != {identity.gid}:
        raise Refused(f"the gid is {os.getresgid()} after setting it to {identity.gid}")
    if identity.groups is not None and set(os.getgroups()) != set(identity.groups):
        raise Refused(f"the groups are {os.getgroups()} after setting {identity.groups}")


def _check_available(kept: int) -> None:
    _effective, permitted, _inheritable = processes.get_capabilities()
    missing = capabilities.names_of(kept & ~(permitted & _bounding_set()))
    if missing:
        raise Refused(
            f"the caller does not have the capabilities that are to be kept: {', '.join(missing)}",
            "Run the task as root (become: true), or in a user namespace of its own; a host that "
            "is a container may lack them altogether.",
        )


def _bounding_set() -> int:
    mask = 0
    for number in range(_MOST_CAPABILITIES):
        try:
            mask |= processes.prctl(processes.PR_CAPBSET_READ, number) << number
        except KernelError as error:
            if error.errno == errno.EINVAL:  # past the last one that this kernel knows
                break
            raise
    return mask


def _cut_bounding_set(kept: int) -> None:
    dropped = _bounding_set() & ~kept
    for number in range(dropped.bit_length()):
        if dropped >> number & 1:
            processes.prctl(processes.PR_CAPBSET_DROP, number)
