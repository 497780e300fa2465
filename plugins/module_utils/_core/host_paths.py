# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where what this collection makes lies on a host, the names that may be part of such paths, and
what a program inside finds in its environment.

The controller loads this for each task inside a namespace: it imports next to nothing.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import stat

from .errors import Refused
from .startup import LIBRARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types

# See pins.py for what is in it.
BASE = "/run/linux-namespaces"
# Where a named namespace is kept that nobody may enter: see namespace/gate.py.
CLOSED = f"{BASE}/.closed"
# The definitions, and the files of services.
DEFINITIONS = "/etc/linux-namespaces"
# Others have no business there, but may find out whether a name has a definition.
DEFINITIONS_MODE = 0o711
# Inside: the credentials of services, as systemd has them. A namespace may share the host's /run.
CREDENTIALS = "/run/credentials"
# On the host: the sockets of services that are files. They outlive a namespace that is made anew.
SOCKETS = f"{BASE}.sockets"
LOGS = "/var/log/linux-namespaces"
# Where the locks lie that do not belong to a name, while they are held: see storage/lock.py.
LOCKS = "/run"
BASE_LOCK = f"{LOCKS}/linux-namespaces.lock"
# What words of mount(8) mean on the mounts that are there: see mount/meanings.py.
MEANINGS = f"{LOCKS}/linux-namespaces.meanings"
LOOP_LOCK = f"{LOCKS}/linux-namespaces.loop.lock"
COMMAND_LOCK = f"{LOCKS}/linux-namespaces.nsctl.lock"
HOST_LINKS_LOCK = f"{LOCKS}/linux-namespaces.links.lock"
# What was changed of how the host passes packets on: see link/forward_ledger.py.
FORWARDING = f"{LOCKS}/linux-namespaces.forwarding.json"
FORWARDING_LOCK = f"{LOCKS}/linux-namespaces.forwarding.lock"
# Where ip-netns(8) has files for programs in a network: see namespace/netns_files.py.
NETNS_FILES = "/etc/netns"
COMMAND = "/usr/local/sbin/nsctl"
# What is installed with it: its page of the manual, and what shells complete its words by.
MANUAL_PAGE = "/usr/local/share/man/man8/nsctl.8"
BASH_COMPLETION = "/usr/local/share/bash-completion/completions/nsctl"
ZSH_COMPLETION = "/usr/local/share/zsh/site-functions/_nsctl"
# In the environment of what the unit of a namespace runs: its name.
BY_UNIT = "NSCTL_UNIT"
# There while systemd manages the host (sd_booted(3)), and where the host's own units lie.
SYSTEMD = "/run/systemd/system"
UNITS = "/etc/systemd/system"
# The unit that brings a named namespace up at boot, of which each has an instance, and what stands
# for all of them: see install/boot_units.py.
BOOT_TEMPLATE = f"{UNITS}/linux-namespaces@.service"
BOOT_TARGET = f"{UNITS}/linux-namespaces.target"
# Where a program is looked up that is given no PATH.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LONGEST_NAME = 64
# What nothing is kept for, and what comes after the one that lives: no name begins so.
_NOWHERE = ".removed"
_NEXT = ".next."
_file_names: dict[str, str] = {}


def environment_of(name: str = "root", home: str = "/root") -> dict[str, str]:
    """What a user's program has in its environment, beside what it is given: as systemd-nspawn(1).

    A name and a home that are not known are empty. They may be an image's: what no variable can
    hold, or no home is, is left out.
    """
    found = {"PATH": DEFAULT_PATH}
    if home.startswith("/") and "\0" not in home:
        found["HOME"] = home
    if name and "\0" not in name:
        found.update(USER=name, LOGNAME=name)
    return found


def has_nsctl() -> bool:
    """Whether the host has nsctl, or what a killed run left of it."""
    return any(os.path.lexists(path) for path in (COMMAND, LIBRARY, BOOT_TEMPLATE, BOOT_TARGET))


def is_name(name: str) -> bool:
    """Whether ``name`` can name a namespace or a service, as a file name."""
    if len(name) > _LONGEST_NAME or not name.isascii() or not name[:1].isalnum():
        return False
    return name.replace("_", "").replace(".", "").replace("-", "").isalnum()


def checked_name(name: str) -> str:
    """``name`` when it can be one. Raises Refused."""
    if not is_name(name):
        raise Refused(
            f"{name!r} cannot be a name",
            "A name has 1 to 64 letters, digits, '_', '.', '-', the first a letter or digit.",
        )
    return name


class _called:
    """A with statement in which what is kept of a named namespace goes by another name of files."""

    def __init__(self, name: str, file_name: str) -> None:
        self._name, self._file_name = checked_name(name), file_name
        self._before: str | None = None

    def __enter__(self) -> None:
        self._before = _file_names.get(self._name)
        _file_names[self._name] = self._file_name

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: types.TracebackType | None,
    ) -> None:
        del _file_names[self._name]
        if self._before is not None:
            _file_names[self._name] = self._before


def as_if_removed(name: str) -> _called:
    """In this with statement nothing is found of the named namespace: in check mode it would go."""
    return _called(name, _NOWHERE)


def as_next(name: str) -> _called:
    """In this with statement the name is that of its next generation, which nobody else can enter.

    After the two have changed places it is the one before: see namespace/exchange.py.
    """
    return _called(name, f"{_NEXT}{name}")


def file_name(name: str) -> str:
    """What a file or directory of the named namespace ``name`` is called. Raises Refused."""
    return _file_names.get(checked_name(name), name)


def directory(name: str) -> str:
    """The directory of the named namespace ``name``, for all who enter it."""
    return f"{BASE}/{file_name(name)}"


def closed_directory(name: str) -> str:
    """Its directory while it is not whole, and so out of their reach."""
    return f"{CLOSED}/{file_name(name)}"


# What opening or looking at a directory of ours raises where it is not there, something else is, or the caller is
# not root. All else, such as a want of memory, does not say so.
NOT_THERE = (FileNotFoundError, NotADirectoryError, PermissionError)


def is_directory(path: str) -> bool:
    """Whether a directory is at the path, and no link to one, which may be another name's.

    Raises OSError where that cannot be told: what may be closed is not to be taken for open.
    """
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except NOT_THERE:
        return False


def kept_in(name: str) -> str:
    """Its directory as it is now, for who holds its lock or only looks."""
    closed = closed_directory(name)
    # Never through a link, which may lead to another name's.
    is_there = is_directory(closed) or os.path.islink(directory(name))
    return closed if is_there else directory(name)


def is_kept(name: str) -> bool:
    """Whether it has a directory, or something else lies in the place of that."""
    return os.path.lexists(directory(name)) or os.path.lexists(closed_directory(name))


def services(name: str) -> str:
    """The directory of the notes of its services."""
    return f"{kept_in(name)}/services"


def unit_name(namespace: str, name: str) -> str:
    """The unit of a service. No name of a namespace or service holds the colon that parts them."""
    return f"linux-namespaces:{namespace}:{name}.service"


def boot_unit_name(namespace: str) -> str:
    """The unit that brings a persistent namespace up: all that may be in a name needs no escaping."""
    return f"linux-namespaces@{checked_name(namespace)}.service"


def drop_ins(unit: str) -> str:
    """The directory of the drop-ins of a unit of this host (systemd.unit(5))."""
    return f"{UNITS}/{unit}.d"
