# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Having the command `nsctl` on the host for as long as a definition or a unit needs it.

    /usr/local/lib/linux-namespaces/DIGEST/_core/    its sources, and compiled
    /usr/local/lib/linux-namespaces/DIGEST/contents  their checksums
    /usr/local/lib/linux-namespaces/DIGEST/pages/    the manual and the completion that are made of them
    /usr/local/lib/linux-namespaces/DIGEST/lock      held by who runs from it
    /usr/local/sbin/nsctl                            names the interpreter and DIGEST
    /usr/local/share/...                             its manual and completion: pages.py
    /etc/systemd/system/linux-namespaces@.service    see boot_units.py

The command is written last and renamed into place: it always names a whole set of sources, and
one look at it tells whether the host has those of this collection. Who runs from a set holds the
lock in it, shared, and imports from it to its end: another version takes its place in the command
at once, and the set itself goes with the next run that finds nobody in it.

What is installed is an argument: nsctl lies on a floor above. Whoever imports it to give it here
makes Ansible send it to the host.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import stat
import subprocess
import sys
import time
import types
import typing as t

from ..actions import Action, run_all
from ..definition import file as definitions
from ..errors import Refused
from ..host_paths import COMMAND, COMMAND_LOCK, UNITS, has_nsctl
from ..printable import in_sentence
from ..startup import LIBRARY, compiled_copy
from ..storage import atomic, lock
from . import boot_units, ours, pages, sources

_LOCK_TIMEOUT = 60.0
# Of what is said of a failure, in characters.
_LONGEST = 500
# The host's own first: a virtual environment may be gone at the next boot.
_PYTHON = "/usr/bin/python3"

COMMAND_TEXT = """\
#!{python} -IS
{mark}
import fcntl
import os
import sys

library = "{library}"
lock = library + "/lock"
while True:
    try:
        # Held to the end: a library stays for as long as somebody runs from it.
        held = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_SH)
        if os.path.samestat(os.fstat(held), os.stat(lock)):
            break
    except PermissionError:  # a plain user, who gets no further than to the manual
        break
    except FileNotFoundError:  # another version has taken its place since this was read
        with open(__file__, encoding="utf-8") as now:
            if library not in now.read():
                os.execv(__file__, [__file__, *sys.argv[1:]])
        if not os.path.exists(lock):
            break
sys.path.insert(0, library)
from _core import nsctl

sys.exit(nsctl.main(sys.argv[1:]))
"""


def settle(nsctl: types.ModuleType, name: str, *, is_recorded: bool, check: bool) -> list[str]:
    """Have nsctl when the namespace is to come back at boot, and not after the last such one.

    Returns the names of the actions taken; with ``check`` of those that would be. Raises
    Refused, StepFailed.
    """
    if is_recorded:
        return present(nsctl, [name], check=check)
    return absent(check=check, without=[name])


def present(
    nsctl: types.ModuleType,
    names: t.Sequence[str] = (),
    *,
    check: bool,
    alone: bool = False,
    without: t.Collection[str] = (),
) -> list[str]:
    """Have nsctl on the host, of this very version, and its units where systemd runs it.

    ``names`` are namespaces that are to come back at boot; ``alone`` says that the caller starts their
    services; ``without`` are some that go. Call it without the lock of any name: its unit, which may be
    started, takes that. Returns and raises what settle() does.
    """
    with contextlib.nullcontext() if check else _lock():
        settlement = boot_units.settlement(present=names, alone=alone, without=without, check=check)
        planned = [*_installation(nsctl), *settlement]
        return run_all(planned, check=check)


def absent(*, check: bool, without: t.Collection[str] = ()) -> list[str]:
    """Remove nsctl and its units when nobody needs them; ``without`` are names that go.

    Call it without the lock of any name. Returns and raises what settle() does.
    """
    if not has_nsctl() or os.geteuid() != 0:  # who may not remove it, nor see who needs it
        return []
    with contextlib.nullcontext() if check else _lock():
        # Under the lock: whoever records a definition looks for nsctl afterwards.
        done = run_all(boot_units.settlement(without=without), check=check)
        if _is_needed(without):
            return done
        return done + run_all([*boot_units.removal(), *_removal()], check=check)


def _is_needed(without: t.Collection[str]) -> bool:
    return any(name not in without for name in definitions.names()) or any(
        COMMAND in ours.text_of(path) for path in _unit_files() if not boot_units.is_one(path)
    )


def _unit_files() -> t.Iterator[str]:
    """The units and drop-ins of this host, which may start programs through nsctl."""
    for above, _folders, names in os.walk(UNITS):
        for name in names:
            if name.endswith((".service", ".conf")):
                yield f"{above}/{name}"


def _installation(nsctl: types.ModuleType) -> list[Action]:
    ours.check(COMMAND)
    library = compiled_copy.in_step
    if not library:
        library = f"{LIBRARY}/{sources.digest_of(sources.of(nsctl))}"
    command = ours.text_of(COMMAND)
    interpreter = command[2:].partition(" ")[0]
    in_step = command == _command_text(interpreter, library) and os.path.exists(interpreter)
    if in_step and os.path.isdir(library) and pages.are_there() and not _others_can_write():
        with _unused(library, spared=lambda _path: True) as unused:
            if not unused:
                return []
    return [Action("install nsctl", functools.partial(_install, nsctl, library))]


def _removal() -> list[Action]:
    with _unused("", spared=lambda _path: False) as unused:
        is_there = ours.is_ours(COMMAND) or unused or pages.any_of_ours() or _is_empty(LIBRARY)
    return [Action("remove nsctl", _remove)] if is_there else []


def _command_text(python: str, library: str) -> str:
    return COMMAND_TEXT.format(python=python, mark=ours.MARK, library=library)


def _install(nsctl: types.ModuleType, library: str) -> None:
    python = _interpreter()
    before = ours.text_of(COMMAND)
    is_anybodys = _others_can_write()
    if is_anybodys:
        # From here on nobody else puts anything there; what is there goes when it is replaced.
        atomic.make_directory(LIBRARY, mode=0o755)
        os.chown(LIBRARY, 0, 0)
        os.chmod(LIBRARY, 0o755)
    if is_anybodys or not os.path.isdir(library):
        beside = atomic.beside_of(library)
        shutil.rmtree(beside, ignore_errors=True)
        texts = sources.of(nsctl)
        for path, text in texts.items():
            _write(f"{beside}/{path}", text)
            # Otherwise Python makes it, of whatever mode, where compiling fails.
            atomic.make_directory(f"{beside}/{os.path.dirname(path)}/__pycache__", mode=0o755)
        _write(f"{beside}/{compiled_copy.CONTENTS}", compiled_copy.contents_of(texts))
        _share_lock(library, beside)
        _compile(python, beside, library)
        _make_pages(python, beside)
        atomic.put_directory(beside, library)
    pages.install(f"{library}/{pages.DIRECTORY}")
    atomic.make_directory(os.path.dirname(COMMAND), mode=0o755)
    atomic.write(COMMAND, _command_text(python, library), mode=0o755)
    # Whoever has just read the command imports from there.
    _clear_away(library, spared=lambda path: path in before)


def _share_lock(library: str, beside: str) -> None:
    """Have the lock of ``library`` in what takes its place: some may run from there."""
    there, ours_too = f"{library}/{compiled_copy.LOCK}", f"{beside}/{compiled_copy.LOCK}"
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(there)
        # Whoever could open it could hold up root, who waits for it.
        if found.st_uid == 0 and found.st_mode == stat.S_IFREG | 0o600:
            os.link(there, ours_too)
            return
    _write(ours_too, "", mode=0o600)


def _clear_away(library: str, *, spared: t.Callable[[str], bool]) -> None:
    """Remove all but ``library`` that nobody runs from; ``spared`` is as in _unused()."""
    with _unused(library, spared=spared) as unused:
        for path in unused:
            shutil.rmtree(path)


def _write(path: str, text: str, *, mode: int = 0o644) -> None:
    """Write a file of a directory that nobody uses yet, and that is synced as a whole."""
    atomic.make_directory(os.path.dirname(path), mode=0o755)
    with open(path, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)


def _compile(python: str, directory: str, later: str) -> None:
    """Have the sources compiled as if they lay in ``later``. To do without costs time, no more."""
    argv = [python, "-I", "-S", "-m", "compileall", "-q", "-d", later, directory]
    # The umask is that of the directories __pycache__: whoever could write there would be root.
    subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, umask=0o022)


def _make_pages(python: str, library: str) -> None:
    """Have the manual and the completion made, of what they are about. Raises OSError."""
    code = (
        f"import sys; sys.path.insert(0, {library!r}); from _core import nsctl;"
        f" nsctl.make_pages({f'{library}/{pages.DIRECTORY}'!r})"
    )
    argv = [python, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = in_sentence(done.stderr.strip()[-_LONGEST:]) or f"exit code {done.returncode}"
        raise OSError(f"the manual of nsctl could not be made: {said}")


def _interpreter() -> str:
    """A Python that will be there at the next boot, and that can run nsctl. Raises Refused."""
    probe = "import ctypes, sys; sys.exit(sys.version_info < (3, 9))"
    for python in (_PYTHON, os.path.realpath(sys.executable)):
        with contextlib.suppress(OSError):
            argv = [python, "-I", "-S", "-c", probe]
            done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)
            if done.returncode == 0:
                return python
    raise Refused(
        f"neither {_PYTHON} nor {sys.executable} is a Python 3.9 or newer with ctypes",
        "Install one, or use persistent: false.",
    )


def _others_can_write() -> bool:
    """Whether somebody else can change what root runs, as where it was made with the umask 0."""
    for path in (COMMAND, LIBRARY):
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(path)
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or found.st_uid != 0:
                return True
    return False


@contextlib.contextmanager
def _unused(library: str, *, spared: t.Callable[[str], bool]) -> t.Iterator[list[str]]:
    """What else is there, earlier versions and what killed runs have left, that nobody runs from.

    Nobody begins to in the block. Of what is of before there were locks nobody can tell: it is
    ``spared`` or not.
    """
    try:
        names = os.listdir(LIBRARY)
    except FileNotFoundError:
        names = []
    taken: dict[int, bool] = {}
    with contextlib.ExitStack() as stack:
        yield [
            path
            for path in (f"{LIBRARY}/{name}" for name in sorted(names))
            if path != library and _is_unused(path, spared, taken, stack)
        ]


def _is_unused(
    path: str,
    spared: t.Callable[[str], bool],
    taken: dict[int, bool],
    stack: contextlib.ExitStack,
) -> bool:
    """``taken`` are the locks that were tried, by inode: two directories may share one."""
    # The lock of this very run is no reason: what it did not import yet it has in its archive.
    fd = compiled_copy.held.get(path, -1)
    if fd >= 0:
        stack.callback(fcntl.flock, fd, fcntl.LOCK_SH)
    else:
        try:
            fd = os.open(f"{path}/{compiled_copy.LOCK}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            is_whole = os.path.exists(f"{path}/{compiled_copy.CONTENTS}")
            return not (is_whole and not path.endswith(atomic.beside_of("")) and spared(path))
        stack.callback(os.close, fd)
    number = os.fstat(fd).st_ino
    if number not in taken:
        taken[number] = lock.take(fd, deadline=time.monotonic())
    return taken[number]


def _is_empty(directory: str) -> bool:
    return os.path.isdir(directory) and not os.listdir(directory)


def _lock() -> t.ContextManager[None]:
    """One run at a time."""
    return lock.file(COMMAND_LOCK, deadline=time.monotonic() + _LOCK_TIMEOUT)


def _remove() -> None:
    if ours.is_ours(COMMAND):
        atomic.remove(COMMAND)
    pages.remove()
    _clear_away("", spared=lambda _path: False)
    atomic.remove_directory(LIBRARY)
