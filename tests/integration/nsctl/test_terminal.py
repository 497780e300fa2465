# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl exec and enter at a terminal: none of the caller's reaches the inside (CVE-2017-5226)."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from terminals import Terminal

from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import COMMAND
from ansible_collections.linux.namespaces.plugins.plugin_utils._entering import Way

Make = t.Callable[..., str]

# Types a command for the caller's shell into every terminal that it can find.
TYPIST = r"""
import fcntl, os, sys, termios
report, text = sys.argv[1], f"readlink /proc/self/ns/mnt >> {sys.argv[1]}.typed\n"
got = []

def push(name, fd):
    failed = []
    for char in text.encode():
        try:
            fcntl.ioctl(fd, termios.TIOCSTI, bytes([char]))
        except OSError as error:
            failed.append(error.errno)
    got.append(f"{name}={failed[0] if failed else 'pushed'}")
    try:
        fcntl.ioctl(fd, 0x541C, b"\3" + bytes(15))  # TIOCLINUX: paste the selection
        got.append(f"{name}=pasted")
    except OSError:
        pass

for fd in (0, 1, 2):
    push(fd, fd)
for path in ("/dev/tty", *(f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))):
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        got.append(f"{path}={error.errno}")
        continue
    if os.isatty(fd):
        push(path, fd)
        try:
            os.setsid()
        except OSError:
            pass
        try:
            fcntl.ioctl(fd, termios.TIOCSCTTY, 1)
            push(path, fd)
        except OSError:
            pass
with open(report, "a") as file:
    file.write(" ".join(got) + "\n")
"""
KINDS = [("mnt",), ("mnt", "pid"), ("mnt", "user"), ("mnt", "pid", "user")]


class Typist(t.NamedTuple):
    """A program that types. ``line`` are its words, in ``report`` it says what it got."""

    line: str
    report: pathlib.Path

    def has_typed(self) -> bool:
        """Whether a shell of the host has read what was typed."""
        assert self.report.read_text(), "it has not run"
        typed = pathlib.Path(f"{self.report}.typed")
        return os.readlink("/proc/self/ns/mnt") in typed.read_text()


@pytest.fixture
def typist(tmp_path: pathlib.Path) -> Typist:
    script, report = tmp_path / "typist.py", tmp_path / "report"
    script.write_text(TYPIST)
    for path in (report, tmp_path / "report.typed"):
        path.touch()
        path.chmod(0o666)
    for above in tmp_path.parents[:3]:
        above.chmod(0o755)
    tmp_path.chmod(0o777)
    return Typist(f"/usr/bin/python3 {script} {report}", report)


# How somebody at a terminal may have nsctl become PROGRAM.
LINES = [
    "{nsctl} exec {name} -- PROGRAM",
    "{nsctl} enter {name} -- PROGRAM",
    "{nsctl} exec {name} -- PROGRAM </dev/null",
    "{nsctl} exec {name} -- PROGRAM >/dev/null",
    "{nsctl} exec {name} -- PROGRAM 2>/dev/null",
    "{nsctl} exec {name} -- PROGRAM </dev/null >/dev/null",
    "{nsctl} exec {name} -- PROGRAM </dev/null >/dev/null 2>&1",
    "{nsctl} exec {name} -- PROGRAM </dev/null >/dev/null 2>&1 & wait",
    "{nsctl} exec {name} -- PROGRAM & wait",
    "{nsctl} exec {name} -- PROGRAM | cat",
    "echo | {nsctl} exec {name} -- PROGRAM",
    "echo | {nsctl} exec {name} -- PROGRAM 2>&1 | cat",
    "{nsctl} exec {name} -- PROGRAM <&-",
    "{nsctl} exec {name} -- PROGRAM <&- >&- 2>&-",
    "{nsctl} exec {name} -- PROGRAM </dev/tty >/dev/tty 2>/dev/null",
    "{nsctl} exec {name} --new uts {nobody} -- PROGRAM",
    "sh -c '{nsctl} exec {name} -- PROGRAM </dev/null >/dev/null 2>&1; true'",
    "sh -c '{nsctl} exec {name} -- PROGRAM; true'",
    "setsid -w {nsctl} exec {name} -- PROGRAM",
    "setsid -w {nsctl} exec {name} -- PROGRAM </dev/null >/dev/null 2>&1",
    "sh -c 'exec {nsctl} exec {name} -- PROGRAM </dev/null'",
]


@pytest.mark.parametrize("kinds", KINDS, ids="+".join)
def test_it_cannot_type_at_the_host(
    nsctl: Nsctl, namespace: Make, typist: Typist, kinds: tuple[str, ...]
) -> None:
    name = namespace(*kinds)
    with Terminal() as terminal:
        terminal.prompt()
        modes = terminal.modes
        for line in LINES:
            typist.report.write_text("")
            # Root alone has an id in these user namespaces.
            nobody = "" if "user" in kinds else "--user nobody"
            words = line.format(nsctl=nsctl.path, name=name, nobody=nobody)
            words = words.replace("PROGRAM", typist.line)
            terminal.run(words)
            assert terminal.modes == modes, line
            terminal.run("true")
            assert not typist.has_typed(), line


@pytest.mark.parametrize("kinds", [("mnt",), ("mnt", "pid")], ids="+".join)
def test_it_cannot_type_at_the_host_as_the_leader_of_its_session(
    nsctl: Nsctl, namespace: Make, typist: Typist, kinds: tuple[str, ...]
) -> None:
    """As the program of a window, and as the command of ssh(1): here we are the next to read."""
    for redirected in ("", " </dev/null >/dev/null 2>&1"):
        line = f"exec {nsctl.path} exec {namespace(*kinds)} -- {typist.line}{redirected}"
        with Terminal("sh", "-c", line) as terminal:
            assert terminal.wait() == 0
            os.set_blocking(terminal.follower, False)
            with pytest.raises(BlockingIOError):
                os.read(terminal.follower, 1000)
        assert typist.report.read_text()


def test_units_that_hand_over_have_no_terminal(
    nsctl: Nsctl, namespace: Make, terminal: Terminal
) -> None:
    line = f"{nsctl.path} exec {namespace('mnt', 'pid')} --hand-over true; echo code=$?"
    said = terminal.run(f"NOTIFY_SOCKET=@nobody {line}")
    assert "leave StandardInput=, StandardOutput= and StandardError=tty out" in said
    assert "code=125\r\n" in said


@pytest.mark.parametrize("kinds", [("mnt",), ("mnt", "pid")], ids="+".join)
def test_what_is_closed_stays_closed(
    nsctl: Nsctl,
    namespace: Make,
    terminal: Terminal,
    kinds: tuple[str, ...],
    tmp_path: pathlib.Path,
) -> None:
    """Nothing that we open takes its place: no file of the host's, no namespace."""
    list_them = f"sh -c 'exec 9>{tmp_path}/open; ls -l /proc/self/fd >&9 2>&9'"
    line = f"{nsctl.path} exec {namespace(*kinds)} -- {list_them}"
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
        terminal.run(f"{line} {closed}")
        shown = (tmp_path / "open").read_text()
        found = [words.split()[-1] for words in shown.splitlines() if "->" in words]
        allowed = ("/dev/pts/", "/proc/", f"{tmp_path}/open")
        assert all(path.startswith(allowed) for path in found), shown


@pytest.mark.parametrize("kinds", [("mnt",), ("mnt", "pid")], ids="+".join)
def test_a_terminal_that_can_only_be_opened_anew(
    nsctl: Nsctl, namespace: Make, kinds: tuple[str, ...]
) -> None:
    """One that was hung up, and a descriptor without any right: not even that gets inside."""
    words = ("exec", namespace(*kinds), "readlink", "/proc/self/fd/0")
    leader, follower = os.openpty()
    path = os.open(os.ttyname(follower), os.O_PATH)
    assert nsctl(*words, stdin=path).stdout == "/dev/null\n"
    os.close(leader)
    assert nsctl(*words, stdin=follower).stdout == "/dev/null\n"
    for fd in (path, follower):
        os.close(fd)


def test_by_nsenter(
    namespace: Make, typist: Typist, terminal: Terminal, tmp_path: pathlib.Path
) -> None:
    """The connection plugins' way in on a host without nsctl: their streams are pipes."""
    assert not os.path.exists(COMMAND)
    line = Way(namespace=namespace("mnt", "pid")).around(f"{typist.line}; exit 3")
    script = tmp_path / "way"  # longer than a line that can be typed
    for text in (f"exec {line}\n", f"{line}\nexit $?\n", f"true | {line}\n"):
        script.write_text(text)
        typist.report.write_text("")
        said = terminal.run(f"sh {script} </dev/null >/dev/null 2>&1; echo code=$?")
        assert said.endswith("code=3\r\n")
        terminal.run("true")
        assert not typist.has_typed(), text
