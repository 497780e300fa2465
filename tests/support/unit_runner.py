# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd does with the unit of a service, for hosts without it: see StubSystemd.run_units().

    unit_runner.py VERB UNIT DIRECTORY

It knows no more than our units need: the environment, the commands, and how a program tells which
process it is. A process of its own watches the unit, whose state is in DIRECTORY/UNIT.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time
import typing as t

UNITS = pathlib.Path("/etc/systemd/system")
PATIENCE = 20.0
# In DIRECTORY: no socket is passed.
NO_SOCKETS = "no-sockets"
_PR_SET_CHILD_SUBREAPER = 36


class Unit:
    def __init__(self, name: str, directory: pathlib.Path) -> None:
        self.state = directory / name
        self.log = directory / f"{name}.log"
        self.notify = directory / f"{name}.notify"
        self.enabled = directory / f"{name}.enabled"
        self.settings: dict[str, list[str]] = {}
        for line in (UNITS / name).read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not key.startswith("#"):
                self.settings.setdefault(key, []).append(value)

    def setting(self, key: str) -> str:
        return self.settings.get(key, [""])[-1]

    def environment(self, **more: str) -> dict[str, str]:
        """What systemd gives to each of the unit's commands: systemd.exec(5)."""
        found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
        found["INVOCATION_ID"] = "0" * 32
        for value in self.settings.get("Environment", []):
            for word in shlex.split(value.replace("%%", "%")):
                name, _equals, text = word.partition("=")
                found[name] = text
        return {**found, **more}

    def run(self, key: str, **environment: str) -> int:
        """Run a command of the unit to its end."""
        command = self.setting(key).lstrip("-")
        if not command:
            return 0
        with self.log.open("ab") as log:
            return subprocess.run(
                shlex.split(command.replace("$$", "$")),
                check=False,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            ).returncode

    def note(self, **facts: t.Any) -> None:
        beside = self.state.with_name(f"{self.state.name}.new")
        beside.write_text(json.dumps(facts))
        beside.rename(self.state)

    def facts(self) -> dict[str, t.Any]:
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads(self.state.read_text()))
        return {}


def signal_of(word: str) -> int:
    """As systemd reads it (systemd.kill(5))."""
    name, plus, offset = word.partition("+")
    return int(word) if word.isdigit() else signal.Signals[name] + (int(offset) if plus else 0)


def watch(unit: Unit) -> None:
    """Start the unit, and be what is left of systemd until it has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    unit.notify.unlink(missing_ok=True)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(unit.notify))
    told.settimeout(0.02)
    more = {}
    if unit.setting("Type") == "notify" or unit.setting("NotifyAccess"):
        more["NOTIFY_SOCKET"] = str(unit.notify)
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
    restarts = 0
    while True:
        status = run_once(unit, told, more, stops, restarts)
        unit.run("ExecStopPost", **end_of(status, is_clean=bool(stops)))
        if stops or not is_to_restart(unit, status):
            break
        restarts += 1
        unit.note(watcher=os.getpid(), waits=True, restarts=restarts)
        deadline = time.monotonic() + float(unit.setting("RestartSec"))
        while not stops and time.monotonic() < deadline:
            time.sleep(0.01)
        if stops:
            status = 0
            break
    unit.note(failed=bool(status) and not stops, restarts=restarts)


def end_of(status: int, *, is_clean: bool) -> dict[str, str]:
    """What the last command is told: systemd.exec(5), $SERVICE_RESULT."""
    if status < 0:
        name = signal.Signals(-status).name[3:]
        is_clean = is_clean or name in ("HUP", "INT", "TERM", "PIPE")
        found = {"EXIT_CODE": "killed", "EXIT_STATUS": name}
        return {"SERVICE_RESULT": "success" if is_clean else "signal", **found}
    found = {"EXIT_CODE": "exited", "EXIT_STATUS": str(status)}
    return {"SERVICE_RESULT": "exit-code" if status else "success", **found}


def is_to_restart(unit: Unit, status: int) -> bool:
    ended_by = signal.Signals(-status).name if status < 0 else ""
    if ended_by and ended_by in unit.setting("RestartForceExitStatus").split():
        return True
    clean = ("", "SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE")
    failed = status > 0 or ended_by not in clean
    return {"no": False, "on-failure": failed, "always": True}[unit.setting("Restart")]


def listening(unit: Unit) -> list[socket.socket]:
    """The sockets of the unit that has them beside this one, in its network namespace. Nobody holds them."""
    path = UNITS / f"{unit.state.name.removesuffix('.service')}.socket"
    if not path.exists() or (unit.state.parent / NO_SOCKETS).exists():
        return []
    beside = Unit(path.name, unit.state.parent)
    libc = ctypes.CDLL(None)
    found = []
    with (
        open("/proc/self/ns/net") as own,
        open(beside.setting("NetworkNamespacePath") or own.name) as net,
    ):
        libc.setns(net.fileno(), 0)
        for line in path.read_text().splitlines():
            key, _equals, place = line.partition("=")
            if key not in ("ListenStream", "ListenDatagram"):
                continue
            kind = socket.SOCK_STREAM if key == "ListenStream" else socket.SOCK_DGRAM
            if place.startswith("/"):
                each = socket.socket(socket.AF_UNIX, kind)
                pathlib.Path(place).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                pathlib.Path(place).unlink(missing_ok=True)
                each.bind(place)
            else:
                host, _colon, port = place.rpartition(":")
                family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
                each = socket.socket(family, kind)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.bind((host.strip("[]"), int(port)))
            if kind == socket.SOCK_STREAM:
                each.listen()
            found.append(each)
        libc.setns(own.fileno(), 0)
    return found


def run_once(
    unit: Unit, told: socket.socket, more: dict[str, str], stops: list[int], restarts: int
) -> int:
    """Run the program to its end; how it ended."""
    argv = shlex.split(unit.setting("ExecStart").replace("$$", "$").replace("%%", "%"))
    sockets = listening(unit)
    if sockets:
        more = {**more, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": "x"}
        argv = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *argv]
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in sockets]

    def take_places() -> None:
        for place, fd in enumerate(high, 3):
            os.dup2(fd, place)

    with unit.log.open("ab") as log:
        main = subprocess.Popen(
            argv,
            env=unit.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=range(3, 3 + len(sockets)),
            preexec_fn=take_places,
        ).pid
    for fd in high:
        os.close(fd)
    for each in sockets:
        each.close()
    ready, stopping, status = unit.setting("Type") != "notify", False, None
    while status is None:
        unit.note(watcher=os.getpid(), main=main, ready=ready, restarts=restarts)
        if stops and not stopping:
            stopping = True
            os.kill(main, signal_of(unit.setting("KillSignal")))
        with contextlib.suppress(TimeoutError):
            data, ancillary, _flags, _address = told.recvmsg(4096, 4096)
            for _level, _kind, passed in ancillary:
                for fd in memoryview(passed).cast("i"):
                    os.close(fd)
            for line in data.decode().splitlines():
                if line.startswith("MAINPID="):
                    main = int(line[8:])
                ready = ready or line == "READY=1"
            continue
        while True:
            try:
                ended, how = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                status = status or 0
                break
            if not ended:
                break
            if ended == main:
                status = os.waitstatus_to_exitcode(how)
    return status


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait(is_so: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)


def main(verb: str, name: str, directory: str) -> int:
    if verb == "show":
        print("RestartSteps=0")
        if not (UNITS / name).exists():
            return 0
    unit = Unit(name, pathlib.Path(directory))
    facts = unit.facts()
    watcher = facts.get("watcher", 0)
    if verb == "show":
        runs = bool(watcher)
        print(
            f"ActiveState={'active' if runs else 'failed' if facts.get('failed') else 'inactive'}"
        )
        state = "auto-restart" if facts.get("waits") else "running" if runs else "dead"
        print(f"SubState={state}\nMainPID={facts.get('main', 0)}")
        print(f"NRestarts={facts.get('restarts', 0)}")
        print(f"UnitFileState={'enabled' if unit.enabled.exists() else 'disabled'}")
    elif verb == "enable":
        unit.enabled.touch()
    elif verb == "disable":
        unit.enabled.unlink(missing_ok=True)
    elif verb == "start":
        unit.note()
        if os.fork() == 0:
            os.setsid()
            with open(os.devnull, "r+b") as null:
                for fd in (0, 1, 2):
                    os.dup2(null.fileno(), fd)
            watch(unit)
            os._exit(0)
        wait(lambda: unit.facts().get("ready", {"failed", "waits"} & {*unit.facts()}))
        return int("main" not in unit.facts())
    elif verb == "stop" and watcher:
        os.kill(watcher, signal.SIGTERM)
        wait(lambda: not alive(watcher))
    elif verb == "kill" and watcher:
        os.kill(facts["main"], signal.SIGHUP)
    elif verb == "reload":
        return unit.run("ExecReload", MAINPID=str(facts.get("main", 0)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
