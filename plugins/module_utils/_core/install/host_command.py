# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Having `nsctl` and its boot unit on the host for as long as a definition needs them.

    /usr/local/lib/linux-namespaces/DIGEST/_core/    these very sources, and compiled
    /usr/local/lib/linux-namespaces/DIGEST/contents  their checksums
    /usr/local/sbin/nsctl                            names the interpreter and DIGEST
    /etc/systemd/system/linux-namespaces.service     where systemd runs the host

The command is written last and renamed into place: it always names a whole set of sources, and
one look at it tells whether the host has those of this collection.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import time
import typing as t

from .. import actions
from ..definition import file as definitions
from ..errors import Refused
from ..host_paths import COMMAND
from ..startup import compiled_copy, light
from ..startup.compiled_copy import LIBRARY
from ..storage import atomic, lock
from ..syscalls import files

UNITS = "/etc/systemd/system"
UNIT_NAME = "linux-namespaces.service"
UNIT = f"{UNITS}/{UNIT_NAME}"
_ENABLED = f"{UNITS}/multi-user.target.wants/linux-namespaces.service"
_SYSTEMD_RUNS = "/run/systemd/system"  # sd_booted(3)
_LOCK_TIMEOUT = 60.0
# The host's own first: a virtual environment may be gone at the next boot.
_PYTHON = "/usr/bin/python3"
_WRITTEN_BY = "# Written by the Ansible collection linux.namespaces; what is changed here is lost."

COMMAND_TEXT = """\
#!{python} -IS
{written_by}
import sys

sys.path.insert(0, "{library}")
if sys.argv[1:2] in {verbs}:
    from _core.startup import light

    light.take_places()
from _core import nsctl

sys.exit(nsctl.main(sys.argv[1:]))
"""

# Without ordering by network-online.target: a definition that mounts from the network says so
# by a drop-in. KillMode: the holder of a pid namespace stays when another definition fails.
_UNIT_TEXT = f"""\
{_WRITTEN_BY}
# A service that needs a named namespace has After=linux-namespaces.service in its unit.
[Unit]
Description=Named namespaces of this host
After=local-fs.target remote-fs.target systemd-sysctl.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={COMMAND} up --all
KillMode=process

[Install]
WantedBy=multi-user.target
"""

_Steps = list[tuple[str, t.Callable[[], t.Any]]]


def settle(name: str, *, is_recorded: bool, check: bool) -> list[str]:
    """Have nsctl when the namespace is to come back at boot, and not after the last such one.

    Returns the names of the steps taken; with ``check`` of those that would be. Raises
    Refused, StepFailed.
    """
    if is_recorded:
        return present(check=check)
    return absent(check=check, without=name)


def present(*, check: bool) -> list[str]:
    """Have nsctl on the host, of this very version, and its unit where systemd runs it."""
    with contextlib.nullcontext() if check else _lock():
        return _run(_installation(), check=check)


def absent(*, check: bool, without: str = "") -> list[str]:
    """Remove nsctl and its unit when nobody needs them; ``without`` is a name that goes."""
    if not any(os.path.lexists(path) for path in (COMMAND, LIBRARY, UNIT)):
        return []
    with contextlib.nullcontext() if check else _lock():
        # Under the lock: whoever records a definition looks for nsctl afterwards.
        return [] if _is_needed(without) else _run(_removal(), check=check)


def _run(planned: _Steps, *, check: bool) -> list[str]:
    for name, apply in planned:
        if not check:
            actions.run(name, apply)
    return [name for name, _apply in planned]


def _is_needed(without: str) -> bool:
    return any(name != without for name in definitions.names()) or any(
        COMMAND in _text_of(path) for path in _unit_files() if os.path.realpath(path) != UNIT
    )


def _unit_files() -> t.Iterator[str]:
    """The units and drop-ins of this host, which may start programs through nsctl."""
    for above, _folders, names in os.walk(UNITS):
        for name in names:
            if name.endswith((".service", ".conf")):
                yield f"{above}/{name}"


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as found:
            return found.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""


def _is_ours(path: str) -> bool:
    return _WRITTEN_BY in _text_of(path)


def _check_ours(path: str) -> None:
    if os.path.lexists(path) and not _is_ours(path):
        raise Refused(
            f"{path} was not written by linux.namespaces", "Move it away, or use persistent: false."
        )


def _installation() -> _Steps:
    _check_ours(COMMAND)
    library = compiled_copy.in_step
    if not library:
        from . import sources

        library = f"{LIBRARY}/{sources.digest_of(sources.sources())}"
    planned: _Steps = []
    command = _text_of(COMMAND)
    interpreter = command[2:].partition(" ")[0]
    in_step = command == _command_text(interpreter, library) and os.path.exists(interpreter)
    if not in_step or not os.path.isdir(library) or _others(library):
        planned.append(("install nsctl", functools.partial(_install, library)))
    if os.path.isdir(_SYSTEMD_RUNS) and (_text_of(UNIT) != _UNIT_TEXT or not _is_enabled()):
        _check_ours(UNIT)
        planned.append(("install linux-namespaces.service", _install_unit))
    return planned


def _removal() -> _Steps:
    planned: _Steps = []
    if _is_ours(UNIT):
        planned.append(("remove linux-namespaces.service", _remove_unit))
    if _is_ours(COMMAND) or os.path.isdir(LIBRARY):
        planned.append(("remove nsctl", _remove))
    return planned


def _command_text(python: str, library: str) -> str:
    return COMMAND_TEXT.format(
        python=python, written_by=_WRITTEN_BY, library=library, verbs=[[v] for v in light.VERBS]
    )


def _install(library: str) -> None:
    python = _interpreter()
    if not os.path.isdir(library):
        beside = f"{library}.new"
        shutil.rmtree(beside, ignore_errors=True)

        from . import sources

        texts = sources.sources()
        for path, text in texts.items():
            _write(f"{beside}/{path}", text)
        _write(f"{beside}/{compiled_copy.CONTENTS}", compiled_copy.contents_of(texts))
        _compile(python, beside, library)
        fd = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            files.syncfs(fd)  # a crash must not leave the name without the content
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
    subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)


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


def _others(library: str) -> list[str]:
    """What else is there: earlier versions, and what killed runs have left."""
    return [
        path for path in (f"{LIBRARY}/{name}" for name in os.listdir(LIBRARY)) if path != library
    ]


def _lock() -> t.ContextManager[None]:
    """One run at a time; the directory itself is the lock, so that it leaves no file."""
    above = os.path.dirname(LIBRARY)
    atomic.make_directory(above, mode=0o755)
    return lock.directory(above, deadline=time.monotonic() + _LOCK_TIMEOUT)


def _remove() -> None:
    if _is_ours(COMMAND):
        atomic.remove(COMMAND)
    if os.path.isdir(LIBRARY):
        shutil.rmtree(LIBRARY)


def _is_enabled() -> bool:
    return os.path.lexists(_ENABLED) and os.path.realpath(_ENABLED) == UNIT


def _install_unit() -> None:
    atomic.write(UNIT, _UNIT_TEXT, mode=0o644)
    if not _is_enabled():
        atomic.make_directory(os.path.dirname(_ENABLED), mode=0o755)
        atomic.link(UNIT, _ENABLED)
    _systemctl("daemon-reload")
    # So that it is what it will be after a boot. Why a definition fails is its own affair.
    with contextlib.suppress(ChildProcessError):
        _systemctl("start", UNIT_NAME)


def _remove_unit() -> None:
    if os.path.isdir(_SYSTEMD_RUNS):
        with contextlib.suppress(ChildProcessError):  # it is not loaded
            _systemctl("stop", UNIT_NAME)
    atomic.remove(_ENABLED)
    atomic.remove(UNIT)
    atomic.remove_directory(os.path.dirname(_ENABLED))
    if os.path.isdir(_SYSTEMD_RUNS):
        _systemctl("daemon-reload")
        with contextlib.suppress(ChildProcessError):  # it has not failed
            _systemctl("reset-failed", UNIT_NAME)


def _systemctl(*words: str) -> None:
    argv = ["systemctl", "--no-ask-password", *words]
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        text = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        raise ChildProcessError(f"systemctl {' '.join(words)}: {text}")
