# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Copying between the caller's terminal and the program's own: see terminal.py.

While the program is in the foreground of its terminal, the caller's is in raw mode: each key
reaches the program's, which makes of it what it makes of keys (^C). Until the program reads from
the terminal or changes it, nothing is read that may be meant for others, as in a pipeline: it is
in the background, where the kernel stops a program that does so (SIGTTIN, SIGTTOU).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import fcntl
import os
import select
import sys
import termios

from ..syscalls import processes
from . import wait_for_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

# What the leader of the program's session is told when the program is to go on.
FOREGROUND = b"f"
BACKGROUND = b"b"
# What the leader tells instead of the signal that stopped the program: it is about to start.
NOT_STOPPED = 0

_WATCHED = wait_for_child.PASSED_ON | {_signal.SIGCHLD, _signal.SIGCONT}
_WANTS_TERMINAL = {_signal.SIGTTIN, _signal.SIGTTOU}
BLOCKED = _WATCHED | _WANTS_TERMINAL
# Those that end who only waits for output to be taken.
_IMPATIENT = {_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM}

_SIZE_OF_SIGNAL = 128  # struct signalfd_siginfo, which begins with the number
_SIZE_OF_WINDOW = 8  # struct winsize
_CHUNK = 65536
# More than a terminal or a pipe holds of what a program wrote before its end.
_MOST_PENDING = 1 << 18
_PTMX = os.makedev(5, 2)

# Of what termios.tcgetattr() answers.
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


class _Copy:
    """What is read from one descriptor is written to another."""

    __slots__ = ("data", "has_ended", "left", "sink", "source")

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        # Read, and not yet written.
        self.data = b""
        # How many bytes are to be read yet, or None for all.
        self.left: int | None = None
        self.has_ended = False

    def wish(self) -> tuple[int, int]:
        """The descriptor to wait for, and the event of poll(2)."""
        return (self.sink, select.POLLOUT) if self.data else (self.source, select.POLLIN)

    def fill(self) -> bool:
        """Read when all is written; whether there is something to write."""
        if not self.data and not self.has_ended:
            try:
                self.data = os.read(self.source, _CHUNK)
                if self.left is not None:
                    self.left -= len(self.data)
                self.has_ended = not self.data or (self.left is not None and self.left <= 0)
            except BlockingIOError:
                pass
            except OSError:  # EIO: nobody has the other side of the terminal
                self.has_ended = True
        return bool(self.data)

    def drain(self) -> bool:
        """Write what is taken; False where nobody takes it any more."""
        try:
            self.data = self.data[os.write(self.sink, self.data) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True


class Forwarder:
    """Stands between the two terminals, and for the program among the jobs of the caller's shell."""

    def __init__(self, stream: int, master: int, *, on_screen: bool, wants_keys: bool) -> None:
        """``stream`` is one of the caller's terminal, ``master`` our side of the program's.

        ``on_screen`` says that the program's output goes there too, ``wants_keys`` that the
        program has the keys from the beginning, if we are in the foreground.
        """
        self._outer = _opened_anew(stream)
        self._master = master
        self._on_screen = on_screen
        self._wants_keys = wants_keys
        # The modes of the caller's terminal before we changed them; None while they are as ever.
        self._modes: list[t.Any] | None = None
        # Whether we have left the processing of output to the caller's terminal.
        self._is_plain = False
        self._keyboard = _Copy(self._outer, master)
        self._screens = [_Copy(master, self._outer)]
        os.set_blocking(master, False)
        try:
            termios.tcsetattr(master, termios.TCSANOW, termios.tcgetattr(self._outer))
        except termios.error:  # it was hung up
            pass
        self._settle_output()
        self._pass_size_on()

    def add_screen(self, source: int, stream: int) -> None:
        """Copy the pipe ``source`` to another terminal than the caller's."""
        os.set_blocking(source, False)
        self._screens.append(_Copy(source, _opened_anew(stream)))

    def forget(self) -> None:
        """Close what is the forwarder's alone, in a process that goes on without it."""
        for fd in {self._outer, self._master, *(each.source for each in self._screens)}:
            os.close(fd)

    def run(self, leader: int, asked: int, answer: int) -> int:
        """Forward until the process ``leader`` ends; its status, as of waitpid(2).

        ``asked`` is where it tells by which signal the program was stopped, and ``answer`` where
        it waits for FOREGROUND or BACKGROUND. BLOCKED is blocked.
        """
        signals = processes.signalfd(_WATCHED)
        status: int | None = None
        try:
            while status is None or self._has_output():
                ready = self._wait(signals, asked if status is None else -1)
                for number in _numbers(signals) if signals in ready else ():
                    if number == _signal.SIGCHLD:
                        status = self._status_of(leader) if status is None else status
                    elif status is None:
                        self._heed(number, leader)
                    elif number in _IMPATIENT:
                        return status
                if asked in ready and (told := os.read(asked, 1)):
                    os.write(answer, self._suspended_by(told[0]))
                self._copy(ready)
            return status
        finally:
            self._restore()

    def _status_of(self, leader: int) -> int | None:
        ended, status = os.waitpid(leader, os.WNOHANG)
        if not ended:
            return None
        for each in self._screens:
            each.left = _MOST_PENDING  # who has outlived the program may write for ever
        return status

    def _has_output(self) -> bool:
        """Whether there is still something that the program has written."""
        return any(each.fill() for each in self._screens)

    def _wait(self, *others: int) -> dict[int, int]:
        """Wait until something can be copied, or read from the ``others``; events by descriptor."""
        wishes = {fd: select.POLLIN for fd in others if fd >= 0}
        copies = [*self._screens, *([self._keyboard] if self._modes is not None else [])]
        for each in copies:
            if each.data or not each.has_ended:
                fd, event = each.wish()
                wishes[fd] = wishes.get(fd, 0) | event
        poller = select.poll()
        for fd, events in wishes.items():
            poller.register(fd, events)
        return dict(poller.poll())

    def _copy(self, ready: t.Mapping[int, int]) -> None:
        for each in (self._keyboard, *self._screens):
            fd, event = each.wish()
            # Whatever else there is to say of a descriptor, an end or an error, comes out then.
            if not ready.get(fd, 0) & (event | select.POLLHUP | select.POLLERR):
                continue
            if each is self._keyboard and self._modes is None:
                continue
            if each.fill() and not each.drain():
                self._close(each)
            elif each is self._keyboard and each.has_ended:
                self._lose_keyboard()

    def _close(self, copy: _Copy) -> None:
        """Nobody takes what is copied: so nobody shall be able to write it."""
        if self._master in (copy.source, copy.sink):
            self._hang_up()
        else:
            copy.data, copy.has_ended = b"", True
            os.close(copy.source)

    def _lose_keyboard(self) -> None:
        if self._is_in_foreground():
            self._hang_up()
        else:  # that is why there was nothing to read: another one has the terminal
            self._keyboard.has_ended = False
            self._modes = None

    def _hang_up(self) -> None:
        """The caller's terminal has gone, and so has the program's (SIGHUP)."""
        for each in (self._keyboard, self._screens[0]):
            each.data, each.has_ended = b"", True
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def _heed(self, number: int, leader: int) -> None:
        if number == _signal.SIGCONT:
            self._settle()  # whoever had us stopped may have changed the terminal
        elif number == _signal.SIGWINCH:
            self._pass_size_on()
        else:
            os.kill(leader, number)

    def _suspended_by(self, number: int) -> bytes:
        """The program was stopped: so are we, unless it need not wait.

        Returns whether it goes on in the FOREGROUND or the BACKGROUND.
        """
        if number == NOT_STOPPED:
            return self._settle()
        wants_terminal = number in _WANTS_TERMINAL
        if wants_terminal:
            self._wants_keys = True
            if self._is_in_foreground():
                return self._settle()
        self._restore()
        wait_for_child.stop_by(number if wants_terminal else _signal.SIGTSTP, all_of_group=True)
        was_stopped = _signal.SIGCONT in _signal.sigpending()
        if wants_terminal and not was_stopped and not self._is_in_foreground():
            self._hang_up()  # nobody could ever bring it to the foreground (an orphaned group)
        return self._settle()

    def _settle(self) -> bytes:
        """Take the keys of the caller's terminal, if they are ours; its size in any case.

        Returns whether the program is in the FOREGROUND or the BACKGROUND.
        """
        self._pass_size_on()
        if self._wants_keys and self._is_in_foreground():
            try:
                if self._modes is None:
                    self._modes = termios.tcgetattr(self._outer)
                raw = _raw(self._modes, keeps_output=not self._on_screen)
                termios.tcsetattr(self._outer, termios.TCSANOW, raw)
            except termios.error:  # it was hung up
                self._hang_up()
        else:
            self._modes = None
        self._settle_output()
        return BACKGROUND if self._modes is None else FOREGROUND

    def _restore(self) -> None:
        modes, self._modes = self._modes, None
        if modes is not None:
            try:
                termios.tcsetattr(self._outer, termios.TCSANOW, modes)
            except termios.error:  # it was hung up
                pass

    def _settle_output(self) -> None:
        """Have a line feed become a line's end once, in the one terminal or in the other."""
        is_plain = self._modes is None or not self._on_screen
        if self._master < 0 or is_plain == self._is_plain:
            return
        modes = termios.tcgetattr(self._master)
        if is_plain and not modes[_OFLAG] & termios.OPOST:
            return  # as the program, or the caller, wants it
        modes[_OFLAG] ^= termios.OPOST
        termios.tcsetattr(self._master, termios.TCSANOW, modes)
        self._is_plain = is_plain

    def _pass_size_on(self) -> None:
        """The kernel tells the program of it (SIGWINCH), where it differs."""
        if self._master >= 0:
            try:
                size = fcntl.ioctl(self._outer, termios.TIOCGWINSZ, bytes(_SIZE_OF_WINDOW))
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
            except OSError:  # it was hung up
                pass

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._outer) == os.getpgrp()
        except OSError:  # another terminal than that of our session has no jobs of ours
            return True


def _opened_anew(fd: int) -> int:
    """The same terminal, not to block: what we were given is open in the caller's shell as well."""
    if os.fstat(fd).st_rdev != _PTMX:  # of which that would be another one
        try:
            flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:
            pass
    return os.dup(fd)


def _numbers(signals: int) -> list[int]:
    """The signals that a descriptor of signalfd(2) has."""
    data = os.read(signals, 32 * _SIZE_OF_SIGNAL)
    starts = range(0, len(data), _SIZE_OF_SIGNAL)
    return [int.from_bytes(data[start : start + 4], sys.byteorder) for start in starts]


def _raw(modes: t.Sequence[t.Any], *, keeps_output: bool) -> list[t.Any]:
    """These modes without anything that the terminal makes of keys, and of output."""
    raw = [*modes[:_CC], list(modes[_CC])]
    raw[_IFLAG] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    if not keeps_output:
        raw[_OFLAG] &= ~termios.OPOST
    raw[_CFLAG] = raw[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[_CC][termios.VMIN] = 1
    raw[_CC][termios.VTIME] = 0
    return raw
