# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that takes sockets from who starts it, and clients that connect to it inside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import typing as t

from web_service import PYTHON, Web

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths

# Answers who connects with its pid and the words that it has, once it is up: that takes a while.
SERVER = """
import os, selectors, signal, socket, sys, time
print("up", flush=True)
time.sleep(float(sys.argv[1]))
if os.environ.get("LISTEN_PID") == str(os.getpid()):
    listeners = [socket.socket(fileno=3 + n) for n in range(int(os.environ["LISTEN_FDS"]))]
else:
    listeners = [socket.create_server(("127.0.0.1", int(sys.argv[2])))]
waiting = selectors.DefaultSelector()
for each in listeners:
    waiting.register(each, selectors.EVENT_READ)
ends = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
signal.set_wakeup_fd(-1)
while not ends:
    for key, _ in waiting.select(0.05):
        each = key.fileobj
        if each.type == socket.SOCK_DGRAM:
            data, place = each.recvfrom(64)
            each.sendto(data + str(os.getpid()).encode(), place)
            continue
        client, _ = each.accept()
        with client:
            client.sendall(("%d %s" % (os.getpid(), " ".join(sys.argv[3:]))).encode())
"""
PORT = 8080
TCP = {"listen": f"127.0.0.1:{PORT}"}


def argv(*words: str, takes: float = 0.0) -> list[str]:
    return [PYTHON, "-I", "-S", "-c", SERVER, str(takes), str(PORT), *words]


# Clients in threads, which connect as fast as they are answered, until standard input ends.
CLIENTS = """
import json, socket, sys, threading
place = json.loads(sys.argv[1])
family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET6 if ":" in place[0] else socket.AF_INET
place = place if isinstance(place, str) else tuple(place)
failures, answers, is_over = [], [], threading.Event()
def ask():
    while not is_over.is_set():
        try:
            with socket.socket(family) as asking:
                asking.settimeout(20)
                asking.connect(place)
                answer = asking.recv(4096).decode()
            (answers if answer else failures).append(answer or "no answer")
        except OSError as error:
            failures.append(repr(error))
            is_over.wait(0.001)
        if sys.argv[2] == "once":
            break
every = [threading.Thread(target=ask) for _time in range(1 if sys.argv[2] == "once" else 3)]
for each in every:
    each.start()
print(flush=True)
if sys.argv[2] != "once":
    sys.stdin.read()
    is_over.set()
for each in every:
    each.join()
print(json.dumps([answers, failures]))
"""


class Clients:
    """Programs inside that connect to a service."""

    def __init__(self, web: Web, place: str | tuple[str, int] = ("127.0.0.1", PORT)) -> None:
        self._web, self._place = web, place

    def _started(self, how: str) -> subprocess.Popen[str]:
        pins = host_paths.directory(self._web.name)
        command = ["nsenter", f"--net={pins}/net", f"--mount={pins}/mnt", PYTHON, "-I", "-S", "-c"]
        return subprocess.Popen(
            [*command, CLIENTS, json.dumps(self._place), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> str:
        """One answer: the pid of who answers and its words; why there is none where there is none."""
        with self._started("once") as client:
            answers, failures = json.loads(client.communicate()[0])
        (answer,) = answers + failures
        return str(answer)

    @contextlib.contextmanager
    def always(self) -> t.Iterator[list[str]]:
        """What has failed, after the block, while which they ask as fast as they can."""
        failures: list[str] = []
        with self._started("always") as client:
            assert client.stdout is not None
            client.stdout.readline()
            yield failures
            answers, failed = json.loads(client.communicate()[0])
        assert len(answers) > 3
        failures += failed


def is_answered(web: Web, place: str | tuple[str, int] = ("127.0.0.1", PORT)) -> bool:
    return Clients(web, place).ask()[:1].isdigit()
