# SPDX-License-Identifier: GPL-3.0-or-later
"""Load on a service, and what its clients saw of it: failed requests, and the longest time without an answer.

Run as a script it is the load, and needs nothing but Python; Load starts it. It says `ready` when each of
its workers was answered, goes on until its input ends, and then until each was answered once more, or not.
Then it prints what was seen, as JSON.

With a new connection for each request what counts is whether it is made and answered. With one that is
kept, a server may close it between two requests: the client takes another one, as clients do (RFC 9112,
9.3.1), and it is no failure.
"""

from __future__ import annotations

import argparse
import array
import collections
import contextlib
import errno
import heapq
import json
import mmap
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import typing as t

# What a request is, by the name of the protocol.
ASKED = {
    "http": b"GET / HTTP/1.1\r\nHost: gap\r\nConnection: close\r\n\r\n",
    "redis": b"PING\r\n",
    # The server speaks first, and closes.
    "line": b"",
}
_KEPT = b"GET / HTTP/1.1\r\nHost: gap\r\n\r\n"
_REDIS_ANSWER = b"+PONG\r\n"
# Between two requests of a worker, in seconds: so that the server has the machine, and not its clients.
PAUSE = 0.001
WORKERS = 4
TIMEOUT = 10.0
# How long until each worker was answered for the first time, and for the last, in seconds.
PATIENCE = 30.0
# How many different answers are told apart.
_ANSWERS = 8
_ENDS, _GOES_ON = 1, 0

Address = t.Union[str, tuple[str, int]]


class Seen(t.NamedTuple):
    """What the clients saw. Times are seconds of CLOCK_MONOTONIC, which all processes of a host share."""

    requests: int
    # How many of them failed, by the kind of the failure.
    failed: dict[str, int]
    # The longest time without an answer to any of them, and when it began.
    gap: float
    gap_began: float
    # What the slowest request took that was answered.
    slowest: float
    # Connections that the server closed between two requests.
    reopened: int
    # How often which answer came, by its first line.
    answers: dict[str, int]
    began: float
    ended: float

    @property
    def failures(self) -> int:
        return sum(self.failed.values())


class Load:
    """Load from processes of its own. Use it in a with statement, which waits until it is answered.

    ``address`` is HOST:PORT or the path of a socket. Raises RuntimeError where nothing answers.
    """

    def __init__(
        self,
        address: str,
        protocol: str,
        *,
        keep_alive: bool = False,
        workers: int = WORKERS,
        pause: float = PAUSE,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        enter: t.Sequence[str] = (),
    ) -> None:
        """``enter`` are words that run a program elsewhere, as those of nsenter(1)."""
        self._argv = [*enter, sys.executable, "-I", "-S", str(pathlib.Path(__file__).resolve())]
        self._argv += [address, protocol, f"--workers={workers}", f"--pause={pause}"]
        self._argv += [f"--timeout={timeout}", f"--patience={patience}"]
        self._argv += ["--keep-alive"] if keep_alive else []

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != "ready\n":
            self.__exit__()
            raise RuntimeError(f"{self._argv}: {line or 'it ended'}")
        return self

    def stop(self) -> Seen:
        """End it; what was seen."""
        out, _err = self._process.communicate()
        found = json.loads(out)
        return Seen(**found)

    def __exit__(self, *_exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


class _Failure(Exception):
    """Of a request: its kind."""


class _Closed(Exception):
    """The connection was closed before anything of an answer had come."""


class _Worker:
    """One client."""

    def __init__(self, address: Address, protocol: str, given: argparse.Namespace) -> None:
        self._address = address
        self._protocol = protocol
        self._keeps = given.keep_alive
        self._asked = _KEPT if self._keeps and protocol == "http" else ASKED[protocol]
        self._pause = given.pause
        self._timeout = given.timeout
        self._patience: float = given.patience
        self._kept: socket.socket | None = None
        # When requests were answered.
        self.answered = array.array("d")
        self.failed: collections.Counter[str] = collections.Counter()
        self.answers: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.reopened = 0

    def run(self, flags: mmap.mmap, number: int, parent: int) -> None:
        """Ask until the first of ``flags`` is set, and once more then. The own one says that an answer has come."""
        while os.getppid() == parent:
            ends = flags[0] == _ENDS
            if self._ask() and ends:
                return
            if self.answered:
                flags[1 + number] = 1
            if ends and time.monotonic() > self._deadline(flags):
                self.failed["never answered again"] += 1
                return
            time.sleep(self._pause)

    def _deadline(self, flags: mmap.mmap) -> float:
        (began,) = struct.unpack("d", flags[-8:])
        return float(began) + self._patience

    def _ask(self) -> bool:
        """Whether it was answered."""
        began = time.monotonic()
        try:
            answer = self._answer_to_one()
        except _Failure as failure:
            self.failed[str(failure)] += 1
            return False
        ended = time.monotonic()
        self.answered.append(ended)
        self.slowest = max(self.slowest, ended - began)
        if answer in self.answers or len(self.answers) < _ANSWERS:
            self.answers[answer] += 1
        return True

    def _answer_to_one(self) -> str:
        if self._kept is not None:
            connection, self._kept = self._kept, None
            try:
                return self._exchange(connection)
            except _Closed:
                self.reopened += 1
        try:
            return self._exchange(self._connect())
        except _Closed:
            raise _Failure("closed without an answer") from None

    def _connect(self) -> socket.socket:
        family = socket.AF_UNIX
        if not isinstance(self._address, str):
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        # Not settimeout(): for a full queue a Unix socket that does not block has EAGAIN at once.
        limit = struct.pack("ll", int(self._timeout), int(self._timeout % 1 * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, limit)
        try:
            connection.connect(self._address)
        except OSError as error:
            connection.close()
            raise _Failure(_kind_of(error)) from None
        return connection

    def _exchange(self, connection: socket.socket) -> str:
        """Ask on a connection; the first line of the answer. It is closed, or kept."""
        found = b""
        try:
            if self._asked:
                connection.sendall(self._asked)
            while not self._is_whole(found):
                more = connection.recv(65536)
                if not more:
                    if self._protocol == "line" and found:
                        break
                    raise _Failure("short answer") if found else _Closed
                found += more
        except OSError as error:
            connection.close()
            if not found and error.errno in (errno.ECONNRESET, errno.EPIPE) and self._keeps:
                raise _Closed from None
            raise _Failure(_kind_of(error)) from None
        except BaseException:
            connection.close()
            raise
        if self._keeps and self._protocol != "line" and b"\r\nConnection: close" not in found:
            self._kept = connection
        else:
            connection.close()
        return self._read(found)

    def _is_whole(self, found: bytes) -> bool:
        if self._protocol == "redis":
            return found.endswith(b"\r\n")
        if self._protocol == "line":
            return False
        head, empty, body = found.partition(b"\r\n\r\n")
        if not empty:
            return False
        lengths = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        return len(body) >= (lengths[0] if lengths else 0)

    def _read(self, found: bytes) -> str:
        if self._protocol == "redis" and found != _REDIS_ANSWER:
            raise _Failure(f"answer {found[:40]!r}")
        if self._protocol == "http":
            head, _empty, found = found.partition(b"\r\n\r\n")
            status = head.partition(b"\r\n")[0]
            if status.split()[1:2] != [b"200"]:
                raise _Failure(f"answer {status[:40]!r}")
        return found.partition(b"\n")[0][:60].decode("utf-8", "replace").strip()


def _kind_of(error: OSError) -> str:
    return {
        errno.ECONNREFUSED: "refused",
        errno.ENOENT: "no socket",
        errno.ECONNRESET: "reset",
        errno.EPIPE: "reset",
        # Of a call that was not ready within the time of SO_RCVTIMEO or SO_SNDTIMEO.
        errno.EAGAIN: "timeout",
        errno.EINPROGRESS: "timeout",
        errno.ETIMEDOUT: "timeout",
    }.get(error.errno or 0, errno.errorcode.get(error.errno or 0, str(error)))


def address_of(text: str) -> Address:
    """HOST:PORT, [HOST]:PORT, or a path."""
    if "/" in text:
        return text
    host, _colon, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def seen(workers: t.Sequence[_Worker], began: float, ended: float) -> Seen:
    """What all of them saw from ``began`` on. With no answer to any, all of it is the gap."""
    gap, gap_began, last = 0.0, began, began
    for moment in heapq.merge(*(worker.answered for worker in workers), [ended]):
        if moment - last > gap:
            gap, gap_began = moment - last, last
        last = max(last, moment)
    failed: collections.Counter[str] = collections.Counter()
    answers: collections.Counter[str] = collections.Counter()
    for worker in workers:
        failed.update(worker.failed)
        answers.update(worker.answers)
    return Seen(
        requests=sum(len(worker.answered) for worker in workers) + sum(failed.values()),
        failed=dict(failed),
        gap=gap,
        gap_began=gap_began,
        slowest=max(worker.slowest for worker in workers),
        reopened=sum(worker.reopened for worker in workers),
        answers=dict(answers),
        began=began,
        ended=ended,
    )


def _fork(worker: _Worker, flags: mmap.mmap, number: int) -> tuple[int, int]:
    """Have it at work in a process of its own; that, and a pipe by which it says what it saw."""
    parent = os.getpid()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        worker.run(flags, number, parent)
        counts = [worker.failed, worker.answers, worker.slowest, worker.reopened]
        with open(writer, "wb") as stream:
            stream.write(json.dumps(counts).encode() + b"\n")
            stream.write(worker.answered.tobytes())
    finally:
        os._exit(0)


def _joined(worker: _Worker, pid: int, reader: int) -> None:
    """Take what it saw in its process."""
    with open(reader, "rb") as stream:
        failed, answers, worker.slowest, worker.reopened = json.loads(stream.readline())
        worker.failed.update(failed)
        worker.answers.update(answers)
        worker.answered.frombytes(stream.read())
    os.waitpid(pid, 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("protocol", choices=list(ASKED))
    parser.add_argument("--keep-alive", action="store_true")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--pause", type=float, default=PAUSE)
    parser.add_argument("--timeout", type=float, default=TIMEOUT)
    parser.add_argument("--patience", type=float, default=PATIENCE)
    given = parser.parse_args()
    address = address_of(given.address)
    workers = [_Worker(address, given.protocol, given) for _number in range(given.workers)]
    # Shared with all: whether it ends, who was answered, and when the end began.
    flags = mmap.mmap(-1, 1 + given.workers + 8)
    flags[0] = _GOES_ON
    started = [_fork(worker, flags, number) for number, worker in enumerate(workers)]
    deadline = time.monotonic() + given.patience
    while not all(flags[1:-8]):
        if time.monotonic() > deadline:
            sys.exit(f"{given.address} does not answer")  # the workers end with this process
        time.sleep(0.005)
    began = time.monotonic()
    print("ready", flush=True)
    sys.stdin.read()
    asked_to_end = time.monotonic()
    flags[-8:] = struct.pack("d", asked_to_end)
    flags[0] = _ENDS
    for worker, (pid, reader) in zip(workers, started):
        _joined(worker, pid, reader)
    ended = max([asked_to_end, *(worker.answered[-1] for worker in workers if worker.answered)])
    print(json.dumps(seen(workers, began, ended)._asdict()))


if __name__ == "__main__":
    main()
