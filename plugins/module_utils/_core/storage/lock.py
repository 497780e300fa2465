# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Locks between runs: flock(2), which ends with the process that holds it.

Whoever can open a file can lock it, for reading as well, and hold up all that want its lock. So
these are files that only their owner can open, and not what everybody may look at. Who has a lock
writes into its file who it is, for those who wait.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import time
import typing as t

from ..errors import Refused

_PAUSE = 0.02
# Who waits for longer than this, in seconds, says so.
_SOON = 1.0
# More than any holder writes.
_LONGEST_NOTE = 256

# What a run that waits says it to, where somebody sits before it: once for each lock, what it
# waits for and who has that.
announce: t.Callable[[str], None] | None = None


def take(fd: int, *, deadline: float, name: str = "a lock") -> bool:
    """Lock the open file, of which ``name`` is for people; False where another run had it until
    the deadline.

    ``deadline`` is in terms of time.monotonic(). Closing the file gives the lock back.
    """
    soon = time.monotonic() + _SOON
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            if now > deadline:
                return False
            if now > soon and announce is not None:
                announce(f"waiting for {name}: {held_by(fd)}")
                soon = deadline
            time.sleep(_PAUSE)
        else:
            _sign(fd)
            return True


def _sign(fd: int) -> None:
    """Write who has the lock, and from when on by a clock that nobody sets."""
    note = f"{os.getpid()} {time.monotonic():.3f} {_this_run()}\n"
    # Nothing depends on it. In a directory nothing can be written, nor on a full file system.
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, note.encode("utf-8", "backslashreplace"), 0)


def _this_run() -> str:
    """What this process is, for people: the module or the verb. Other words may be secrets."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    # As Ansible calls what it sends.
    name = name.removesuffix(".py").removeprefix("AnsiballZ_")
    return " ".join([name, *sys.argv[1:2]]) if name == "nsctl" else name or "python"


def held_by(fd: int) -> str:
    """Who has the lock of the open file, and since when, as far as that can be found out."""
    noted = _noted(fd)
    if noted is None:
        pid = _pid_in_proc(fd)
        if not pid:
            return "another run has it"
        return f"it is held by {_command_of(pid)}, pid {pid}"
    pid, since, what = noted
    seconds = max(0.0, time.monotonic() - since)
    began = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(time.time() - seconds))
    ended = "" if os.path.exists(f"/proc/{pid}") else ", which has ended, but not what it started,"
    return f"it is held by {what}, pid {pid}{ended} since {began}, for {seconds:.0f} s now"


def _noted(fd: int) -> tuple[int, float, str] | None:
    """What the holder has written: its pid, when it took the lock (time.monotonic()), what it is."""
    try:
        pid, since, what = os.pread(fd, _LONGEST_NOTE, 0).decode("utf-8", "replace").split(None, 2)
        return int(pid), float(since), what.strip()
    except (OSError, ValueError):
        return None


def _pid_in_proc(fd: int) -> int:
    """The pid that took the lock, as /proc/locks (proc(5)) has it; 0 where it has none."""
    found = os.fstat(fd)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError), open("/proc/locks", encoding="utf-8") as locks:
        for line in locks:
            words = line.split()
            if "FLOCK" in words and device in words and "->" not in words:
                return int(words[words.index(device) - 1])
    return 0


def _command_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", "rb") as comm:
        return comm.read().decode("utf-8", "replace").strip()
    return "a process"


@contextlib.contextmanager
def file(
    path: str,
    *,
    deadline: float,
    dir_fd: int | None = None,
    or_raise: t.Callable[[str], Refused] | None = None,
) -> t.Iterator[None]:
    """Hold the lock of the file at the path, which is there for as long as it is held.

    With ``dir_fd`` the path is a name in that open directory. Where another run had it until the
    deadline, raises what ``or_raise`` makes of held_by(), or one that names the file; OSError,
    Refused.
    """
    while True:
        fd = opened(path, dir_fd=dir_fd)
        try:
            name = f"the lock {path}"
            if not take(fd, deadline=deadline, name=name):
                raise or_raise(held_by(fd)) if or_raise else held_by_another(name, fd)
            if not is_at(fd, path, dir_fd=dir_fd):
                continue
            try:
                yield
            finally:
                # Before the lock ends: who waits for it looks for the name afterwards.
                # A file that stays is no reason to fail: who takes it next removes it.
                with contextlib.suppress(OSError):
                    os.unlink(path, dir_fd=dir_fd)
            return
        finally:
            os.close(fd)


def opened(path: str, *, dir_fd: int | None = None) -> int:
    """Open the file to be locked, which is made where it is missing.

    Raises Refused where others could open it as well, OSError.
    """
    flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600, dir_fd=dir_fd)
    try:
        if is_own(os.fstat(fd)):
            os.fchmod(fd, 0o600)  # the umask may have taken of it
            return fd
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    raise Refused(
        f"{path} is no lock: others can open it, and so hold it for as long as they like",
        "Remove it, and look who made it.",
    )


def is_own(found: os.stat_result) -> bool:
    """Whether it is a file that nobody but the caller can open."""
    is_closed = found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return stat.S_ISREG(found.st_mode) and is_closed


def is_at(fd: int, path: str, *, dir_fd: int | None = None) -> bool:
    """Whether the open file is still the one at the path; who waited may have one removed since."""
    try:
        there = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def held_by_another(name: str, fd: int) -> Refused:
    """That another run holds the lock of this name, which is on the open file."""
    return Refused(f"another run holds {name}: {held_by(fd)}", "Wait for it to end, or end it.")
