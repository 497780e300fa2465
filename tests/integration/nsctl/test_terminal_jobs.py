# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl exec and enter at a terminal are a job like any other: keys, sizes, suspending, ends."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import termios

import pytest
from programs import pid_of, runs
from terminals import Terminal
from waiting import has_ended, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc


def state(pid: int) -> str:
    facts = proc.process_facts(pid)
    return "" if facts is None else facts.state


def test_it_has_a_terminal_of_its_own(terminal: Terminal, inside: str) -> None:
    ours = terminal.run("tty")
    assert "not a tty" in terminal.run(f"{inside} tty </dev/null")
    # Its name is one of the host's, which is another terminal.
    assert ours.strip() not in terminal.run(f"{inside} tty")
    script = "for fd in 0 1 2; do test -t $fd && printf %s $fd; done; : </dev/tty && echo tty"
    assert terminal.run(f"{inside} sh -c '{script}'") == "012tty\r\n"
    assert terminal.run(f"{inside} sh -c '{script}' 2>/dev/null") == "01tty\r\n"
    assert terminal.run(f"{inside} sh -c '{script}' | cat") == "02tty\r\n"
    assert terminal.run(f"{inside} sh -c '{script}' 2>&1 | cat") == "0tty\r\n"
    assert terminal.run(f"echo | {inside} sh -c '{script}'") == "12tty\r\n"
    terminal.run("exec 3>&1")
    said = terminal.run(f"{inside} sh -c '{script}; echo fd3 >&3' </dev/null 2>&1 | cat")
    assert "tty" not in said.replace("/dev/tty", "")
    assert "fd3" not in said


def test_without_a_terminal_it_has_a_session_of_its_own(inside: str) -> None:
    """And the process becomes the program, where it can."""
    script = f"{inside} sleep 61.25 & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        ours = int(shell.stdout.readline())
        try:
            assert runs("sleep", "61.25")
            pid = pid_of("sleep", "61.25")
            assert pid is not None
            assert os.getsid(pid) == pid
            in_place = proc.ids_of_process(pid)["pid"] == proc.ids_of_process("self")["pid"]
            assert (pid == ours) == in_place
        finally:
            os.kill(ours, signal.SIGKILL)


def test_exit_codes(terminal: Terminal, inside: str) -> None:
    for program, code in (
        ("true", 0),
        ("sh -c 'exit 7'", 7),
        ("sh -c 'kill -TERM $$'", 128 + signal.SIGTERM),
        ("sh -c 'kill -KILL $$'", 128 + signal.SIGKILL),
        ("nosuchprogram", 127),
        ("/etc/passwd", 126),
    ):
        said = terminal.run(f"{inside} {program}; echo code=$?")
        assert f"code={code}\r\n" in said, said
        assert "Traceback" not in said
    wrong = inside.replace(" --", " --chdir /nosuch --")
    said = terminal.run(f"{wrong} true; echo code=$?")
    assert "code=125\r\n" in said
    assert "/nosuch does not exist" in said


def test_the_size(terminal: Terminal, inside: str) -> None:
    assert terminal.run(f"{inside} stty size") == "24 80\r\n"
    script = "trap 'stty size; exit' WINCH; echo rea''dy; while :; do sleep 0.02; done"
    terminal.type(f'{inside} sh -c "{script}"\n')
    terminal.until("ready\r\n")
    terminal.resize(50, 132)
    assert terminal.prompt().startswith("50 132\r\n")
    # Also where it changed while nobody looked.
    terminal.type(f"{inside} sh -c 'kill -STOP $$; stty size'\n")
    terminal.until("Stopped")
    terminal.resize(40, 100)
    terminal.type("fg\n")
    terminal.until("40 100\r\n")


def test_modes(terminal: Terminal, inside: str) -> None:
    before = terminal.modes
    terminal.type(f"{inside} sh -c 'stty -a; exec sleep 60.5'\n")
    said = terminal.until("echoke")
    assert " icanon " in said
    assert "\nopost " in said
    assert wait_until(lambda: not terminal.modes[3] & (termios.ICANON | termios.ECHO))
    assert runs("sleep", "60.5")
    terminal.type("\x1a")
    terminal.until("Stopped")
    assert wait_until(lambda: bool(terminal.modes[3] & termios.ISIG))
    terminal.type("kill -9 %1; fg\n")
    terminal.prompt()
    terminal.prompt()
    terminal.run("true")
    # What the program does to its own is not ours.
    terminal.run(f"{inside} stty raw -echo")
    assert wait_until(lambda: terminal.modes == before)
    # What was asked of ours holds for the program's.
    assert "intr = ^T" in terminal.run(f"stty intr ^T; {inside} stty -a; stty intr ^C")


@pytest.mark.parametrize(
    ("key", "number"), [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)], ids=["^C", "^\\"]
)
def test_keys_that_end_it(terminal: Terminal, inside: str, key: str, number: int) -> None:
    terminal.run("ulimit -c 0")
    for line in (
        f"{inside} sleep 60.75",
        f"{inside} sleep 60.75 | cat",
        f"{inside} sleep 60.75 </dev/null",
        f"{inside} sleep 60.75 </dev/null >/dev/null 2>&1",
        f"sh -c '{inside} sleep 60.75; true'",
        f"sh -c '{inside} sleep 60.75 </dev/null >/dev/null 2>&1; true'",
    ):
        terminal.type(f"{line}\n")
        assert runs("sleep", "60.75"), line
        terminal.type(key)
        terminal.prompt()
        assert wait_until(lambda: pid_of("sleep", "60.75") is None), line
    terminal.type(f"{inside} sleep 60.75; echo code=$?\n")
    assert runs("sleep", "60.75")
    terminal.type(key)
    if key == "\x03":  # bash gives up the whole line
        terminal.prompt()
        terminal.type("echo code=$?\n")
    terminal.until(f"code={128 + number}\r\n")


def test_a_program_may_have_a_use_for_the_keys(terminal: Terminal, inside: str) -> None:
    script = "trap 'echo got-$((1 + 1))' INT; echo rea''dy; while :; do sleep 0.02; done"
    terminal.type(f'{inside} sh -c "{script}"\n'.replace("$", "\\$"))
    terminal.until("ready\r\n")
    for _round in range(3):
        terminal.type("\x03")
        terminal.until("got-2\r\n")
    terminal.type("\x1c")
    terminal.prompt()


@pytest.mark.parametrize("redirected", ["", " | cat", " </dev/null", " </dev/null >/dev/null 2>&1"])
def test_it_is_suspended_and_goes_on(terminal: Terminal, inside: str, redirected: str) -> None:
    terminal.type(f"{inside} sleep 60.125{redirected}\n")
    assert runs("sleep", "60.125")
    pid = pid_of("sleep", "60.125")
    assert pid is not None
    for _round in range(3):
        terminal.type("\x1a")
        terminal.until("Stopped")
        terminal.prompt()
        assert wait_until(lambda: state(pid) == "T")
        assert "Stopped" in terminal.run("jobs")
        terminal.type("fg\n")
        assert wait_until(lambda: state(pid) == "S")
        terminal.until("\n")
        terminal.until("\n")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.prompt()
    terminal.run("bg")
    assert wait_until(lambda: state(pid) == "S")
    assert "Running" in terminal.run("jobs")
    terminal.type("fg\n")
    terminal.until("\n")
    terminal.until("\n")
    terminal.given_away()
    terminal.type("\x03")
    terminal.prompt()
    assert wait_until(lambda: has_ended(pid))


def test_what_is_typed_after_it_went_on(terminal: Terminal, inside: str) -> None:
    terminal.type(f"{inside} sh -c 'while read -r line; do echo \"<$line>\"; done'\n")
    terminal.until("\n")
    for _round in range(3):
        terminal.type("one\n")
        terminal.until("<one>\r\n")
        terminal.type("\x1a")
        terminal.prompt()
        terminal.type("fg\n")
        terminal.until("done'\r\n")
    # Before, an end would be typed at the host's shell.
    assert wait_until(lambda: not terminal.modes[3] & termios.ICANON)
    terminal.type("\x04")
    terminal.prompt()


def test_in_the_background(terminal: Terminal, inside: str) -> None:
    """It runs and writes there, and is stopped when it reads, until it is in the foreground."""
    terminal.run(f"{inside} sh -c 'echo be''gun; sleep 0.5; echo do''ne' &")
    said = terminal.said + terminal.rest(1.0).encode()
    assert b"done\r\n" in said
    assert b"Stopped" not in said
    terminal.run("")
    terminal.type(f"{inside} cat &\n")
    terminal.prompt()
    assert wait_until(lambda: "Stopped" in terminal.run("jobs"))
    terminal.type("fg\n")
    terminal.until("cat\r\n")
    terminal.type("hello\n")
    terminal.until("hello\r\n")
    terminal.until("hello\r\n")
    terminal.type("\x04")
    terminal.prompt()
    # Brought up before it reads.
    terminal.type(f"{inside} sh -c 'sleep 1; head -n 1' & fg\n")
    terminal.until("\n")
    terminal.type("later\n")
    assert terminal.prompt().endswith("later\r\nlater\r\n")  # its echo, and its output


def test_the_end_of_nsctl(terminal: Terminal, inside: str) -> None:
    """SIGTERM is for the program; after SIGKILL its terminal is hung up."""
    nsctl = ["/usr/bin/python3", "-IS", *inside.split(), "sleep", "60.375"]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        terminal.type(f"{inside} sleep 60.375\n")
        assert runs("sleep", "60.375")
        pid = pid_of("sleep", "60.375")
        shell = terminal.process.pid
        children = pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        assert len(children) == 1, nsctl
        os.kill(int(children[0]), number)
        terminal.prompt()
        assert pid is not None
        assert wait_until(lambda pid=pid: has_ended(pid))
        terminal.run("stty sane")


def test_the_end_of_the_terminal(inside: str) -> None:
    for number in ("0.4", "0.8"):
        with Terminal() as terminal:
            terminal.prompt()
            terminal.type(f"{inside} sleep 60{number}\n")
            assert runs("sleep", f"60{number}")
            pid = pid_of("sleep", f"60{number}")
            terminal.hang_up()
            assert pid is not None
            assert wait_until(lambda pid=pid: has_ended(pid))


def test_what_it_leaves_behind_lives_on(terminal: Terminal, inside: str) -> None:
    terminal.run(f"{inside} sh -c 'sleep 60.03125 & sleep 0.1'")
    pid = pid_of("sleep", "60.03125")
    assert pid is not None
    assert "still" in terminal.run("sleep 0.3; echo still")
    assert not has_ended(pid)
    os.kill(pid, signal.SIGKILL)
    terminal.run(f"{inside} sh -c 'yes & echo'", seconds=60)
    pids = [pid for pid in proc.all_pids() if proc.process_facts(pid) and pid_of("yes") == pid]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_shell_inside(terminal: Terminal, inside: str) -> None:
    """Job control goes on as if there were no nsctl."""
    enter = inside.replace(" exec ", " enter ").removesuffix(" --")
    terminal.type(f"SHELL=/bin/sh PS1='inside> ' {enter}\n")
    terminal.until("\n")
    terminal.until("inside> ")
    terminal.type("echo one-$((1 + 1)); sleep 60.25; echo after\n")
    terminal.until("one-2\r\n")
    assert runs("sleep", "60.25")
    terminal.type("\x03")  # ends sleep, neither the shell nor nsctl
    terminal.until("inside> ")
    terminal.type("sleep 60.25\n")
    assert runs("sleep", "60.25")
    pid = pid_of("sleep", "60.25")
    terminal.type("\x1a")  # stops sleep, not us
    terminal.until("inside> ")
    assert pid is not None
    assert wait_until(lambda: state(pid) == "T")
    terminal.type("kill -9 %1\n")
    terminal.until("inside> ")
    assert wait_until(lambda: has_ended(pid))
    # The shell looks for what has ended when it lists jobs; until then it does not exit.
    terminal.type("jobs\n")
    terminal.until("inside> ")
    terminal.type("kill -STOP $$\n")  # as `suspend` does
    terminal.until("Stopped")
    terminal.prompt()
    terminal.type("fg\n")
    terminal.until("\n")
    terminal.type("echo two-$((1 + 1))\n")
    terminal.until("two-2\r\n")
    terminal.type("exit 6\n")
    terminal.prompt()
    assert terminal.run("echo code=$?") == "code=6\r\n"
