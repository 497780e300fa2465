# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which file a program is, in the root of the process that becomes it, and becoming that very file.

/proc/self/exe is the interpreter of the host that runs this very code: a root that had it run as
its program could open it for writing, and through it a file of the host (CVE-2019-5736). So no
link of /proc is followed, and a path is resolved once: what was opened, and looked at, is what is
executed. The kernel would follow a second path, after #! of a script: that is done here.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import KernelError, Refused
from ..syscalls import files, processes, regular_files
from . import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

_MOST_INTERPRETERS = 5  # as many as execve(2) follows


def find(name: str, search_path: str) -> str:
    """The path of the program ``name``; without a slash it is looked for in ``search_path``.

    Raises KernelError as execve(2) would.
    """
    if "/" in name:
        return name
    for directory in search_path.split(":"):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise KernelError("execve", errno.ENOENT, {"name": name, "PATH": search_path})


def execute(
    path: str, argv: t.Sequence[str], environment: t.Mapping[str, str], *, host_proc: int
) -> t.NoReturn:
    """Become the file ``path`` with the words ``argv``, as execve(2) does.

    ``host_proc`` is an open /proc of the host. Raises Refused, and KernelError with what is wrong:
    the path, and the interpreter where that is missing.
    """
    words = [os.fsencode(word) for word in argv]
    variables = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    script = ""
    for _file in range(_MOST_INTERPRETERS + 1):
        fd = _open(path, script)
        try:
            start, loader = _look(fd, path, host_proc)
            error_number = _try(fd, words, variables, host_proc)
        finally:
            os.close(fd)
        # Of a script that may be executed the kernel says that there is none: see execveat().
        of_script = interpreter.of_script(start) if error_number == errno.ENOENT else ()
        if not of_script:
            shown = {"path": path}
            if error_number == errno.ENOENT:
                shown["interpreter"] = loader
            raise KernelError("execve", error_number, shown)
        words = [*of_script, os.fsencode(path), *words[1:]]
        script, path = path, os.fsdecode(of_script[0])
    raise KernelError("execve", errno.ELOOP, {"path": path})


def _open(path: str, script: str) -> int:
    """The regular file ``path``, opened to look at it. It is to run ``script``, if that is given.

    Raises Refused, KernelError.
    """
    shown = {"path": path}
    try:
        fd = _resolve(path)
    except KernelError as error:
        if error.errno == errno.ENOENT and script:
            shown = {"path": script, "interpreter": path}
        raise KernelError("execve", error.errno or errno.EIO, shown) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise KernelError("execve", errno.EACCES, shown)
    return fd


def _resolve(path: str) -> int:
    """What the path leads to without a link of /proc, opened with O_PATH. Raises Refused, KernelError."""
    try:
        return files.openat2(
            files.AT_FDCWD, path, flags=os.O_PATH, resolve=files.RESOLVE_NO_MAGICLINKS
        )
    except KernelError as error:
        if error.errno == errno.ELOOP and not _is_loop(path):
            raise Refused(
                f"{path} leads through a link of /proc, which may lead out of the program's root",
                "Name the program by its path inside the root.",
            ) from error
        raise


def _is_loop(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _look(fd: int, path: str, host_proc: int) -> tuple[bytes, str]:
    """The start of the file, and the path of its loader; empty where it may not be read.

    The loader is opened by the kernel, by its path. Nobody gets at a file that way who could not
    do without (it takes CAP_CHECKPOINT_RESTORE), but ours is not to be in there. Raises Refused.
    """
    try:
        reading = regular_files.reopen(fd, os.O_RDONLY, path=path, host_proc=host_proc)
    except OSError:
        return b"", ""
    try:
        start, loaders = os.pread(reading, interpreter.START, 0), interpreter.of_elf(reading)
    finally:
        os.close(reading)
    for loader in loaders:
        try:
            os.close(_resolve(loader))
        except KernelError:  # execve(2) will tell
            pass
    return start, loaders[0] if loaders else ""


def _try(fd: int, words: list[bytes], variables: list[bytes], host_proc: int) -> int:
    """Become the open file. Returns the number of the error that was in the way."""
    # Before Linux 6.14 a process that is made from a descriptor alone has its number for a name.
    directory, name = _place_of(fd, host_proc)
    if directory >= 0:
        try:
            processes.execveat(directory, name, words, variables)
        except KernelError:
            os.close(directory)
    try:
        processes.execveat(fd, "", words, variables)
    except KernelError as error:
        return error.errno or errno.EIO


def _place_of(fd: int, host_proc: int) -> tuple[int, str]:
    """The directory of the open file, opened, and its name there; -1 where it has none any more.

    Neither is a link, nor are they when they are used: the kernel follows none (execveat(2)).
    """
    try:
        above, _slash, name = os.readlink(f"self/fd/{fd}", dir_fd=host_proc).rpartition("/")
        directory = files.openat2(
            files.AT_FDCWD,
            above or "/",
            flags=os.O_PATH | os.O_DIRECTORY,
            resolve=files.RESOLVE_NO_SYMLINKS,
        )
    except OSError:
        return -1, ""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if os.path.samestat(there, os.fstat(fd)):
            return directory, name
    except OSError:
        pass
    os.close(directory)
    return -1, ""
