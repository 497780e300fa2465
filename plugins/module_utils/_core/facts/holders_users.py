# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which processes use any of the mounts that were found, and how.

Open files are told by the number of their mount (/proc/PID/fdinfo), working directories, roots and
programs by opening them, what is mapped by its device. So no file system is asked; but where one
does not answer, opening may hang all the same (NFS looks whether it is still the same file). Then
the processes are looked at once more, by texts alone.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ..definition.layout import is_below
from ..mount.table import Mount
from ..namespace import inhabitants
from ..process import pool, proc
from ..syscalls import files
from .holders_spaces import Space
from .holders_subject import Subject, at

# They are looked at in so many shares, each of which may take so many seconds; it takes some tenths.
_SHARES = 4
_LEAST = 100
_LIMIT = 5.0
_LINKS = {"cwd": "directory", "root": "root", "exe": "executable"}
# Of what most processes have open, and never lies on what is asked about unless that is named.
_COMMON = ("/dev/null", "/dev/pts/", "/dev/tty", "/dev/urandom", "/memfd:")
_GONE = " (deleted)"
# A line of /proc/PID/maps with a file: permissions, device, path.
_MAPPED = re.compile(rb"^\S+ (\S{4}) \S+ (\S+) \d+ +(/.*)$", re.MULTILINE)
# A line of /proc/PID/net/unix with a path: the inode number and that.
_BOUND = re.compile(r"^(?:\S+ ){6} *(\d+) (/.*)$", re.MULTILINE)
_SOCKET = re.compile(r"socket:\[(\d+)\]")


class Use(t.NamedTuple):
    """One way in which a process uses a mount."""

    # directory, root, executable, mapped, file, socket, device.
    how: str
    # The number of the open file; -1 for none.
    fd: int
    # read, write, read and write; empty where it is none of these.
    access: str
    # From the root of the namespace that the mount is in.
    path: str
    # The number of the mount; 0 for one that is in no namespace any more, and for devices.
    mount: int


class User(t.NamedTuple):
    """A process with its uses."""

    pid: int
    uses: tuple[Use, ...]


class Wanted:
    """What is looked for in each process. Pure but for the sockets, which it is given."""

    def __init__(
        self,
        subject: Subject,
        spaces: t.Sequence[Space],
        shown: t.Container[int],
        sockets: t.Mapping[str, str],
    ) -> None:
        """``shown`` are the numbers of the mounts that show nothing else."""
        self.subject = subject
        self.spaces = {space.id: space for space in spaces}
        # Of each mount that shows any of it, the path there.
        self.places: dict[int, str] = {}
        # All mounts that are in a namespace.
        self.known: set[int] = set()
        self.devices: set[str] = {part.device for part in subject.parts}
        for space in spaces:
            for mount in space.mounts:
                self.known.add(mount.id)
                if mount.id in shown:
                    self.places[mount.id] = mount.path
                    self.devices.add(mount.device)
                elif not subject.is_mount and (within := subject.within(mount)):
                    self.places[mount.id] = within
        self._found: dict[tuple[str, int], Mount | None] = {}
        self._paths = tuple(set(self.places.values()))
        # As the lines of maps have them.
        self.in_maps = {
            b"%02x:%02x" % tuple(map(int, each.split(":"))): each for each in self.devices
        }
        # Of whole file systems what no namespace sees any more is a part as well.
        self.whole = {part.device for part in subject.parts if part.root == "/"}
        self.whole |= self.devices - {part.device for part in subject.parts}
        self.sockets = {inode: path for inode, path in sockets.items() if self.may_be(path)}

    def may_be(self, path: str) -> bool:
        """Whether a mount that counts could have this path."""
        return any(is_below(path, each) for each in self._paths)

    def mount_of(self, path: str, space: int) -> int:
        """The mount that counts and has this path in the namespace, by its text; -1 for none."""
        return self._counts(self._at(path, space), path)

    def mount_of_mapped(self, path: str, device: str, space: int) -> int:
        """The same of a file on this device; 0 where no namespace has it any more."""
        own = self._at(path, space)
        if own is not None and own.device == device:
            return self._counts(own, path)
        # It was mapped where another namespace has it, or had.
        for each in self.spaces if self.may_be(path) else ():
            found = self.mount_of(path, each)
            if found >= 0:
                return found
        return 0 if device in self.whole else -1

    def _at(self, path: str, space: int) -> Mount | None:
        # Most processes map the same libraries.
        key = path, space
        if key not in self._found:
            there = self.spaces.get(space)
            self._found[key] = at(there.mounts, path) if there is not None else None
        return self._found[key]

    def _counts(self, mount: Mount | None, path: str) -> int:
        if mount is None or mount.id not in self.places:
            return -1
        return mount.id if is_below(path, self.places[mount.id]) else -1


def homes_of_processes() -> dict[int, int]:
    """The mount namespace of each process, by its pid."""
    return {
        pid: number
        for (_kind, number), found in inhabitants.by_namespace(("mnt",)).items()
        for pid in found
    }


def of(wanted: Wanted) -> tuple[list[User], int]:
    """The processes that use it, by pid; and how many could not be looked at."""
    pids = [pid for pid in proc.all_pids() if pid != os.getpid()]
    homes = homes_of_processes()
    size = max(_LEAST, -(-len(pids) // _SHARES))
    shares = [pids[first : first + size] for first in range(0, len(pids), size)]
    answers = _asked(shares, homes, wanted, opens=True)
    hung = [share for share, answer in zip(shares, answers) if answer is None]
    again = _asked(hung, homes, wanted, opens=False)
    unseen = sum(len(share) for share, answer in zip(hung, again) if answer is None)
    found = [
        User(pid, tuple(Use(*use) for use in uses))
        for answer in (*answers, *again)
        for pid, uses in answer or ()
    ]
    return sorted(found), unseen


def _asked(
    shares: t.Sequence[list[int]], homes: t.Mapping[int, int], wanted: Wanted, *, opens: bool
) -> list[list[t.Any] | None]:
    def look(share: int) -> list[t.Any]:
        found = []
        for pid in shares[share]:
            uses = _uses(pid, homes.get(pid, 0), wanted, opens=opens)
            if uses:
                found.append([pid, uses])
        return found

    return pool.run(len(shares), look, limit=_LIMIT)


def sockets_by_inode() -> dict[str, str]:
    """The paths of all sockets that are files, by their inode numbers (unix(7)).

    Each network namespace has a list of its own; a path is what the socket was bound to.
    """
    found: dict[str, str] = {}
    for (_kind, _number), pids in inhabitants.by_namespace(("net",)).items():
        found.update(_BOUND.findall(proc.text_of(f"/proc/{pids[0]}/net/unix")))
    return found


def _uses(pid: int, space: int, wanted: Wanted, *, opens: bool) -> list[Use]:
    try:
        process = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it has ended
        return []
    found: list[Use] = []
    try:
        program = os.readlink("exe", dir_fd=process)
    except OSError:  # a thread of the kernel, or one that has ended
        os.close(process)
        return []
    with contextlib.suppress(OSError):
        for link, how in _LINKS.items():
            path = program if link == "exe" else os.readlink(link, dir_fd=process)
            found += _by_link(process, link, how, path, space, wanted, opens=opens)
        known = program if any(each.how == "executable" for each in found) else ""
        for name in _names(process):
            found += _by_fd(process, name, space, wanted, opens=opens)
        found += _by_maps(process, known, space, wanted)
    os.close(process)
    return found


def _by_link(
    process: int, link: str, how: str, path: str, space: int, wanted: Wanted, *, opens: bool
) -> list[Use]:
    clean = _clean(path)
    # What is in no namespace any more has its path from the top of the mount. Of programs maps tell.
    if not wanted.may_be(clean) and not (wanted.whole and link == "cwd"):
        return []
    if not opens:
        mount = wanted.mount_of(clean, space)
        return [Use(how, -1, "", path, mount)] if mount >= 0 else []
    place = _place(process, link)
    if place is None:
        return []
    number = place.mount_id
    if number in wanted.places:
        is_use = is_below(clean, wanted.places[number])
        return [Use(how, -1, "", path, number)] if is_use else []
    return _detached(Use(how, -1, "", path, 0), place, wanted)


def _detached(use: Use, place: files.Place, wanted: Wanted) -> list[Use]:
    """The use of a mount that is in no namespace: it was detached while in use (umount2(2))."""
    device = f"{os.major(place.device)}:{os.minor(place.device)}"
    is_gone = place.mount_id not in wanted.known
    return [use] if is_gone and device in wanted.whole else []


def _by_fd(process: int, name: str, space: int, wanted: Wanted, *, opens: bool) -> list[Use]:
    with contextlib.suppress(OSError):  # it was closed meanwhile
        path = os.readlink(f"fd/{name}", dir_fd=process)
        clean = _clean(path)
        if not path.startswith("/"):
            return _by_socket(path, int(name), space, wanted) if wanted.sockets else []
        if path in wanted.subject.names:
            access = _access(_fields(process, name))
            return [Use("device", int(name), access, path, 0)]
        may_be = wanted.may_be(clean)
        if not may_be and (not wanted.whole or path.startswith(_COMMON)):
            return []
        fields = _fields(process, name)
        number = int(fields.get("mnt_id", "-1"))
        use = Use("file", int(name), _access(fields), path, number)
        if number in wanted.places:
            return [use] if is_below(clean, wanted.places[number]) else []
        if number not in wanted.known and opens and wanted.whole:
            place = _place(process, f"fd/{name}")
            return _detached(use._replace(mount=0), place, wanted) if place is not None else []
    return []


def _by_socket(text: str, fd: int, space: int, wanted: Wanted) -> list[Use]:
    found = _SOCKET.fullmatch(text)
    path = wanted.sockets.get(found[1]) if found else None
    mount = wanted.mount_of(path, space) if path is not None else -1
    return [Use("socket", fd, "", path, mount)] if path is not None and mount >= 0 else []


def _by_maps(process: int, known: str, space: int, wanted: Wanted) -> list[Use]:
    content = _content(process, "maps")
    if not any(b" %s " % device in content for device in wanted.in_maps):
        return []
    modes: dict[tuple[str, str], str] = {}
    for allowed, device, name in _MAPPED.findall(content):
        if device in wanted.in_maps:
            path = os.fsdecode(name.replace(b"\\012", b"\n"))
            # Private changes do not reach the file.
            writes = allowed[1:2] == b"w" and allowed[3:4] == b"s"
            key = path, wanted.in_maps[device]
            modes[key] = "read and write" if writes else modes.get(key, "read")
    found = []
    for (path, device_number), access in modes.items():
        mount = wanted.mount_of_mapped(_clean(path), device_number, space)
        if mount >= 0 and path != known:
            found.append(Use("mapped", -1, access, path, mount))
    return found


def _clean(path: str) -> str:
    return path[: -len(_GONE)] if path.endswith(_GONE) else path


def _access(fields: t.Mapping[str, str]) -> str:
    flags = int(fields.get("flags", "0"), 8)
    if flags & os.O_PATH:
        return ""
    return ("read", "write", "read and write", "")[flags & os.O_ACCMODE]


def _fields(process: int, name: str) -> dict[str, str]:
    lines = os.fsdecode(_content(process, f"fdinfo/{name}")).splitlines()
    split = (line.partition(":") for line in lines)
    return {key: value.strip() for key, _colon, value in split}


def _place(process: int, name: str) -> files.Place | None:
    with contextlib.suppress(OSError):
        fd = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=process)
        try:
            return files.place_of(fd)
        finally:
            os.close(fd)
    return None


def _content(process: int, name: str) -> bytes:
    with contextlib.suppress(OSError):
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
        with open(fd, "rb", buffering=0) as file:
            return file.read()
    return b""


def _names(process: int) -> list[str]:
    with contextlib.suppress(OSError):
        fd = os.open("fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
        try:
            return sorted(os.listdir(fd), key=int)
        finally:
            os.close(fd)
    return []
