# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Having the command `nsctl` on the host for as long as a definition or a unit needs it.

    /usr/local/lib/linux-namespaces/DIGEST/_core/    its sources, and compiled
    /usr/local/lib/linux-namespaces/DIGEST/contents  their checksums
    /usr/local/sbin/nsctl                            names the interpreter and DIGEST
    /etc/systemd/system/linux-namespaces.service     see boot_unit.py

The command is written last and renamed into place: it always names a whole set of sources, and
one look at it tells whether the host has those of this collection.

What is installed is an argument: nsctl lies on a floor above. Whoever imports it to give it here
makes Ansible send it to the host.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
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
from ..startup import LIBRARY, compiled_copy
from ..storage import atomic, lock
from ..syscalls import trees
from . import boot_unit, ours, sources

_LOCK_TIMEOUT = 60.0
# The host's own first: a virtual environment may be gone at the next boot.
_PYTHON = "/usr/bin/python3"

COMMAND_TEXT = """\
#!{python} -IS
{mark}
import sys

sys.path.insert(0, "{library}")
from _core import nsctl

sys.exit(nsctl.main(sys.argv[1:]))
"""


def settle(nsctl: types.ModuleType, name: str, *, is_recorded: bool, check: bool) -> list[str]:
    """Have nsctl when the namespace is to come back at boot, and not after the last such one.

    Returns the names of the actions taken; with ``check`` of those that would be. Raises
    Refused, StepFailed.
    """
    if is_recorded:
        return present(nsctl, check=check)
    return absent(check=check, without=name)


def present(nsctl: types.ModuleType, *, check: bool) -> list[str]:
    """Have nsctl on the host, of this very version, and its unit where systemd runs it.

    Returns and raises what settle() does.
    """
    with contextlib.nullcontext() if check else _lock():
        return run_all([*_installation(nsctl), *boot_unit.installation()], check=check)


def absent(*, check: bool, without: str = "") -> list[str]:
    """Remove nsctl and its unit when nobody needs them; ``without`` is a name that goes.

    Returns and raises what settle() does.
    """
    if not has_nsctl() or os.geteuid() != 0:  # who may not remove it, nor see who needs it
        return []
    with contextlib.nullcontext() if check else _lock():
        # Under the lock: whoever records a definition looks for nsctl afterwards.
        if _is_needed(without):
            return []
        return run_all([*boot_unit.removal(), *_removal()], check=check)


def _is_needed(without: str) -> bool:
    return any(name != without for name in definitions.names()) or any(
        COMMAND in ours.text_of(path)
        for path in _unit_files()
        if os.path.realpath(path) != boot_unit.PATH
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
    if in_step and os.path.isdir(library) and not _others(library) and not _others_can_write():
        return []
    return [Action("install nsctl", functools.partial(_install, nsctl, library))]


def _removal() -> list[Action]:
    if ours.is_ours(COMMAND) or os.path.isdir(LIBRARY):
        return [Action("remove nsctl", _remove)]
    return []


def _command_text(python: str, library: str) -> str:
    return COMMAND_TEXT.format(python=python, mark=ours.MARK, library=library)


def _install(nsctl: types.ModuleType, library: str) -> None:
    python = _interpreter()
    if _others_can_write():
        shutil.rmtree(LIBRARY, ignore_errors=True)  # what it holds may be anybody's
    if not os.path.isdir(library):
        beside = f"{library}.new"
        shutil.rmtree(beside, ignore_errors=True)
        texts = sources.of(nsctl)
        for path, text in texts.items():
            _write(f"{beside}/{path}", text)
            # Otherwise Python makes it, of whatever mode, where compiling fails.
            atomic.make_directory(f"{beside}/{os.path.dirname(path)}/__pycache__", mode=0o755)
        _write(f"{beside}/{compiled_copy.CONTENTS}", compiled_copy.contents_of(texts))
        _compile(python, beside, library)
        fd = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            trees.sync_filesystem(fd)  # a crash must not leave the name without the content
        finally:
            os.close(fd)
        os.rename(beside, library)
    atomic.make_directory(os.path.dirname(COMMAND), mode=0o755)
    atomic.write(COMMAND, _command_text(python, library), mode=0o755)
    for path in _others(library):
        shutil.rmtree(path)


def _write(path: str, text: str) -> None:
    """Write a file of a directory that nobody uses yet, and that is synced as a whole."""
    atomic.make_directory(os.path.dirname(path), mode=0o755)
    with open(path, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(text)


def _compile(python: str, directory: str, later: str) -> None:
    """Have the sources compiled as if they lay in ``later``. To do without costs time, no more."""
    argv = [python, "-I", "-S", "-m", "compileall", "-q", "-d", later, directory]
    # The umask is that of the directories __pycache__: whoever could write there would be root.
    subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, umask=0o022)


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


def _others(library: str) -> list[str]:
    """What else is there: earlier versions, and what killed runs have left."""
    return [
        path for path in (f"{LIBRARY}/{name}" for name in os.listdir(LIBRARY)) if path != library
    ]


def _lock() -> t.ContextManager[None]:
    """One run at a time."""
    return lock.file(COMMAND_LOCK, deadline=time.monotonic() + _LOCK_TIMEOUT)


def _remove() -> None:
    if ours.is_ours(COMMAND):
        atomic.remove(COMMAND)
    if os.path.isdir(LIBRARY):
        shutil.rmtree(LIBRARY)
