# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules as Ansible does, each in a process of its own, but without starting Python anew.

A server that has imported Ansible's part and the collection listens on a Unix socket and forks
for every request. A run with an environment of its own imports the collection anew, and so reads
its environment.

Run as a script it is the server; run() is the client.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import pathlib
import runpy
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
        self._process = subprocess.Popen(argv, pass_fds=[listener.fileno()], env=environment)
        listener.close()

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
    runner = os.fork()
    if runner == 0:
        connection.close()
        _run(*fds)
    connection.send(str(runner).encode())
    status = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
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
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


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
    from ansible.module_utils import basic

    _make_importable()
    _import_collection()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        _serve(listening)
