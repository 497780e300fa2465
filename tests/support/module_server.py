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
import subprocess
import sys
import tempfile
import traceback
import typing as t

MODULES = "ansible_collections.linux.namespaces.plugins.modules"
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 120.0
# A run with this in its environment is killed before its change of this number, counted from 1
# over all of its processes: at each instant at which something else is left behind. One that
# makes no more than that says how many it made, on its standard error.
KILL_AT = "TESTS_KILL_AT"
# In the environment of all processes of this test run that are not a program of a test.
RUN = "TESTS_RUN"
_DOOM_FD = 200
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
    taken = mmap.mmap(-1, 8)  # shared with children

    def count() -> None:
        number = int.from_bytes(taken[:], "little") + 1
        taken[:] = number.to_bytes(8, "little")
        if number == last:
            with contextlib.suppress(OSError):  # a child may have closed it, and dies alone
                doom = socket.socket(fileno=os.dup(_DOOM_FD))
                doom.send(b"k")
                doom.recv(1)  # until the run is dead; if that is this very process, it ends here
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[t.Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes and path not in ("/dev/null", os.devnull):
                count()
        elif event in _CHANGES:
            count()

    class Counted:
        def __init__(self, library: t.Any) -> None:
            self._library = library

        def __getattr__(self, name: str) -> t.Any:
            function = getattr(self._library, name)

            def call(*values: t.Any) -> t.Any:
                called = values[0].value if name == "syscall" else name
                if called not in _HARMLESS_CALLS:
                    count()
                return function(*values)

            return call

    write = os.write

    def counted_write(fd: int, data: bytes) -> int:
        count()
        return write(fd, data)

    core = MODULES.replace("modules", "module_utils._core.syscalls.call")
    calls = importlib.import_module(core)
    calls._libc = Counted(calls._libc)  # type: ignore[attr-defined]
    os.write = counted_write
    sys.addaudithook(hook)
    atexit.register(lambda: print(int.from_bytes(taken[:], "little"), file=sys.stderr))


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
