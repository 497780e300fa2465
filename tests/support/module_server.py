# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules as Ansible does, each in a process of its own, but without starting Python anew.

A server that has imported Ansible's part and the collection listens on a Unix socket and forks
for every request. A run with an environment of its own imports the collection anew, and so reads
its environment.

Run as a script it is the server; run() is the client.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import importlib
import importlib.util
import json
import mmap
import os
import pathlib
import runpy
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
import typing as t

MODULES = "ansible_collections.linux.namespaces.plugins.modules"
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# An emulated machine takes many times as long: see tests/guests/run.
TIMEOUT = 120.0 * float(os.environ.get("TESTS_PATIENCE", "1"))
# A run with this in its environment is killed before its change of this number, counted from 1
# over all of its processes: at each instant at which something else is left behind. One that
# makes no more than that says how many it made, on its standard error.
KILL_AT = "TESTS_KILL_AT"
# A run with "NUMBER:CHOICE" of this in its environment has its call of this number fail, with an error of
# those that exhaustion may give it: CHOICE picks one. It says which on its standard error; one that makes
# no more than that many calls says how many it made.
FAIL_AT = "TESTS_FAIL_AT"
# In the environment of all processes of this test run that are not a program of a test.
RUN = "TESTS_RUN"
_DOOM_FD = 200
_SAID_FD = 201
# What the C library is asked for that changes nothing.
_HARMLESS_CALLS = {"prctl", "statx", "capget", 434, 437}  # pidfd_open, openat2
_CHANGES = {
    "fcntl.flock",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
}
# What exhaustion can make fail, beside opening. Signals and locks need nothing.
_ATTEMPTS = (_CHANGES - {"fcntl.flock", "os.kill"}) | {
    "os.listdir",
    "os.scandir",
    "os.setxattr",
    "socket.__new__",
    "subprocess.Popen",
}
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


class Server:
    """The server as its client sees it. Use it in a with statement."""

    def __init__(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind("")  # the kernel chooses an abstract name
        listener.listen(64)
        self._address = listener.getsockname()
        argv = [sys.executable, __file__, str(listener.fileno())]
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(CHECKOUT / ".build/pycache")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment[RUN] = str(os.getpid())
        self._process = subprocess.Popen(argv, pass_fds=[listener.fileno()], env=environment)
        listener.close()

    @property
    def pid(self) -> int:
        """Its process, of which each run is a child."""
        return self._process.pid

    def run(
        self, name: str, arguments: dict[str, t.Any], *, env: dict[str, str], user: int | None
    ) -> dict[str, t.Any]:
        """Run the module ``name`` and return its result; AssertionError where it gives none."""
        request = {"name": name, "arguments": arguments, "env": env, "user": user}
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            connection.settimeout(TIMEOUT)
            connection.connect(self._address)
            inputs = stack.enter_context(tempfile.TemporaryFile())
            inputs.write(json.dumps(request).encode())
            inputs.seek(0)
            out, err = (stack.enter_context(tempfile.TemporaryFile()) for _stream in range(2))
            fds = [inputs.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(connection, [b"run"], fds)
            pid = int(connection.recv(64))
            try:
                status = int(connection.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"{name} was still running after {TIMEOUT} seconds") from None
            out.seek(0)
            err.seek(0)
            stdout, stderr = (stream.read().decode("utf-8", "replace") for stream in (out, err))
        lines = [line for line in stdout.splitlines() if line.startswith("{")]
        if len(lines) != 1:
            raise AssertionError(f"{name} ended with status {status}: {stdout}{stderr}")
        result: dict[str, t.Any] = json.loads(lines[0])
        if stderr:
            result["stderr_of_module"] = stderr
        return result

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.wait()


def _serve(listener: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _address = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(connection)
            os._exit(0)
        connection.close()


def _answer(connection: socket.socket) -> None:
    _word, fds, _flags, _from = socket.recv_fds(connection, 16, 3)
    ours, doom = socket.socketpair()
    runner = os.fork()
    if runner == 0:
        connection.close()
        os.dup2(doom.fileno(), _DOOM_FD, inheritable=False)
        _run(*fds)
    doom.close()
    connection.send(str(runner).encode())
    pidfd = os.pidfd_open(runner)
    poller = select.poll()
    for fd in (pidfd, ours.fileno()):
        poller.register(fd, select.POLLIN)
    if pidfd not in [fd for fd, _event in poller.poll()] and ours.recv(1):
        os.kill(runner, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
    with contextlib.suppress(OSError):
        ours.send(b"x")
    connection.send(str(status).encode())


def _run(inputs: int, out: int, err: int) -> t.NoReturn:
    status = 1
    try:
        with open(inputs, encoding="utf-8") as stream:
            request = json.load(stream)
        null = os.open("/dev/null", os.O_RDONLY)
        for number, fd in enumerate((null, out, err)):
            os.dup2(fd, number)
        os.closerange(3, 64)
        os.environ.update(request["env"])
        if request["env"]:
            _forget_collection()
        module = f"{MODULES}.{request['name']}"
        if KILL_AT in request["env"]:
            _kill_at(int(request["env"][KILL_AT]))
        if FAIL_AT in request["env"]:
            _fail_at(*map(int, request["env"][FAIL_AT].split(":")))
        if request["user"] is not None:
            # Python may lie where only root can read.
            importlib.import_module(module)
            os.setgroups([])
            os.setresgid(*[request["user"]] * 3)
            os.setresuid(*[request["user"]] * 3)
            # As after the execve(2) of sudo: the files in /proc/self are the user's own.
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": request["arguments"]}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        sys.argv = [request["name"]]
        sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _kill_at(last: int) -> None:
    count = _counter()

    def change(_name: str, _subject: t.Any) -> None:
        if count() == last:
            with contextlib.suppress(OSError):  # a child may have closed it, and dies alone
                doom = socket.socket(fileno=os.dup(_DOOM_FD))
                doom.send(b"k")
                doom.recv(1)  # until the run is dead; if that is this very process, it ends here
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[t.Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            if _writes(flags) and path not in ("/dev/null", os.devnull):
                change(event, path)
        elif event in _CHANGES:
            change(event, arguments)

    _watch(change, hook, ["write"])


def _writes(flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def _fail_at(last: int, choice: int) -> None:
    count = _counter()
    said = os.dup(2)
    os.dup2(said, _SAID_FD, inheritable=False)
    os.close(said)

    def attempt(name: str, subject: t.Any) -> None:
        if count() == last:
            errors = _exhausted_of(name)
            number = errors[choice % len(errors)]
            text = f"{errno.errorcode[number]} of {name} {subject!r}\n"
            with contextlib.suppress(OSError):
                write(_SAID_FD, text.encode())
            path = subject if isinstance(subject, (str, bytes)) else None
            raise OSError(number, os.strerror(number), path)

    def hook(event: str, arguments: tuple[t.Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            # What Python itself reads is not ours. Other processes come and go.
            if isinstance(path, str) and not path.endswith((".py", ".pyc")):
                attempt("create" if _writes(flags) else "open", path)
        elif event in _ATTEMPTS:
            attempt(event, arguments[0] if arguments else None)

    write = os.write
    _watch(attempt, hook, ["write", "fsync", "pipe", "memfd_create", "mknod"])


def _exhausted_of(name: str) -> list[int]:
    """The errors that a call of this name may give for want of something."""
    if name in ("mount", "open_tree", "move_mount"):
        return [errno.ENOSPC, errno.ENOMEM]
    if name in ("unshare", "clone3"):
        return [errno.ENOSPC, errno.ENOMEM]
    if name == "os.fork":
        return [errno.EAGAIN, errno.ENOMEM]
    if name in ("write", "fsync", "create", *_CHANGES):
        return [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENOMEM]
    return [errno.EMFILE, errno.ENFILE, errno.ENOMEM]


def _counter() -> t.Callable[[], int]:
    """Counts calls, over this process and its children; says how many there were at the end."""
    taken = mmap.mmap(-1, 8)  # shared with children

    def count() -> int:
        number = int.from_bytes(taken[:], "little") + 1
        taken[:] = number.to_bytes(8, "little")
        return number

    atexit.register(lambda: print(int.from_bytes(taken[:], "little"), file=sys.stderr))
    return count


def _watch(
    attempt: t.Callable[[str, t.Any], None],
    hook: t.Callable[[str, tuple[t.Any, ...]], None],
    unheard: t.Sequence[str],
) -> None:
    """Have each call reported before it is made: by ``hook`` what Python tells, else ``attempt``.

    ``unheard`` are functions of os of which Python tells nothing. An OSError that is raised there is
    what the call fails with.
    """

    class Counted:
        def __init__(self, library: t.Any) -> None:
            self._library = library

        def __getattr__(self, name: str) -> t.Any:
            function = getattr(self._library, name)

            def call(*values: t.Any) -> t.Any:
                called = values[0].value if name == "syscall" else name
                if called not in _HARMLESS_CALLS:
                    try:
                        attempt(names.get(called, str(called)), None)
                    except OSError as error:
                        ctypes.set_errno(error.errno or 0)
                        return -1
                return function(*values)

            return call

    core = MODULES.replace("modules", "module_utils._core.syscalls.call")
    calls = importlib.import_module(core)
    names = {number: name for name, number in calls.NUMBERS.items()}
    calls._libc = Counted(calls._libc)  # type: ignore[attr-defined]
    for name in unheard:
        setattr(os, name, _reported(name, getattr(os, name), attempt))
    sys.addaudithook(hook)


def _reported(
    name: str, function: t.Callable[..., t.Any], attempt: t.Callable[[str, t.Any], None]
) -> t.Callable[..., t.Any]:
    def call(*values: t.Any) -> t.Any:
        # A pipe or a socket to another process of ours always has room in the end.
        if name != "write" or not stat.S_ISFIFO(os.fstat(values[0]).st_mode):
            attempt(name, None)
        return function(*values)

    return call


def _import_collection() -> None:
    for path in sorted((CHECKOUT / "plugins/modules").glob("ns_*.py")):
        # What cannot be imported fails in the run that needs it, and says so there.
        with contextlib.suppress(Exception):
            importlib.import_module(f"{MODULES}.{path.stem}")


def _forget_collection() -> None:
    collection = MODULES.rpartition(".plugins")[0]
    for name in [name for name in sys.modules if name.startswith(f"{collection}.")]:
        del sys.modules[name]


def _make_importable() -> None:
    spec = importlib.util.spec_from_file_location("checkout", CHECKOUT / "tests/conftest.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


if __name__ == "__main__":
    # Also when the tests are killed, nothing stays behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    from ansible.module_utils import basic

    _make_importable()
    _import_collection()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        _serve(listening)
