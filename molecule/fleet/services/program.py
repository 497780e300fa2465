# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services run: it says what it is run with in the file REPORT, and waits to be ended."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import signal
import socket
import sys
import time
import typing as t

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--fail", action="store_true", help="say something and end")
    parser.add_argument("--after", type=float, default=0, help="be up after so many seconds")
    parser.add_argument("--listen", type=int, help="listen on this port")
    parser.add_argument("--sockets", action="store_true", help="answer on the socket passed")
    parser.add_argument("--notify", action="store_true", help="tell systemd when up")
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    if given.fail:
        print("first the program says this", flush=True)
        print("then it says that it fails", file=sys.stderr)
        raise SystemExit(3)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: note(given.report, number))
    time.sleep(given.after)
    listener = None
    if given.listen:
        listener = socket.create_server(("127.0.0.1", given.listen))
    if given.sockets:
        listener = socket.socket(fileno=3)
    if given.notify:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(os.environ["NOTIFY_SOCKET"])
            notify.send(b"READY=1\nSTATUS=told")
    text = json.dumps(facts(given.words))
    given.report.with_suffix(".new").write_text(text)
    given.report.with_suffix(".new").rename(given.report)
    while True:
        if listener is not None:
            with listener.accept()[0] as client:
                client.sendall(text.encode())
        else:
            signal.pause()


def note(report: pathlib.Path, number: int) -> None:
    """Leave a trace of the signal, and end unless it says to reload."""
    report.with_suffix(f".{signal.Signals(number).name}").touch()
    if number != signal.SIGHUP:
        os._exit(0)


def facts(words: list[str]) -> dict[str, t.Any]:
    status = dict(
        line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines()
    )
    mask = os.umask(0)
    return {
        "pid": os.getpid(),
        "words": words,
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "capabilities": int(status["CapEff"], 16),
        "no_new_privs": int(status["NoNewPrivs"]),
        "umask": mask,
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "namespaces": {kind: os.stat(f"/proc/self/ns/{kind}").st_ino for kind in KINDS},
        "hostname": socket.gethostname(),
        "interfaces": [name for _number, name in socket.if_nameindex()],
        "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
    }


main()
