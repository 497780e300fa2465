# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a tar stream from a descriptor, in constant memory, with a limit.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from ...errors import Refused

_BUFFER = 1 << 20


class ByteStream:
    """Bytes from an open file or pipe, which it does not close."""

    def __init__(self, fd: int, *, name: str, limit: int = 0) -> None:
        """``limit`` is how many bytes may come out of it, 0 for any number.

        With it a small archive that unpacks without end is refused. ``name`` is what errors call
        it.
        """
        self._fd = fd
        self._name = name
        self._limit = limit
        # The buffer. What was read and not taken yet lies in it from _start to _end.
        self._view = memoryview(bytearray(_BUFFER))
        self._start = 0
        self._end = 0
        # How many bytes were read from the file in all.
        self._read = 0

    @property
    def position(self) -> int:
        """How many bytes were taken so far."""
        return self._read - (self._end - self._start)

    def _fill(self) -> int:
        """Read more behind what is buffered, moving that to the front; 0 at the end."""
        kept = self._end - self._start
        if self._start:
            self._view[:kept] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, kept
        number = os.readv(self._fd, [self._view[kept:]])
        self._end += number
        self._read += number
        return number

    def check_limit(self, number: int) -> None:
        """Raises Refused where ``number`` bytes more are more than the limit, which it has to have."""
        if self.position + number > self._limit:
            raise Refused(
                f"{self._name} unpacks to more than size_limit ({self._limit} bytes)",
                "Raise size_limit if the archive is what it should be.",
            )

    def take(self, number: int) -> bytes:
        """The next ``number`` bytes (at most a buffer full), or b"" at the end.

        Raises Refused when the stream ends within them, or goes over the limit.
        """
        if self._limit:
            self.check_limit(number)
        while self._end - self._start < number:
            if not self._fill():
                if self._start == self._end:
                    return b""
                raise self.truncated()
        start = self._start
        self._start += number
        return bytes(self._view[start : self._start])

    def truncated(self) -> Refused:
        """What to raise where more was to come."""
        return Refused(
            f"{self._name} is cut short: it ends after {self._read} bytes, before its end mark",
            "Make or fetch it again.",
        )

    def copy(self, target_fd: int, number: int) -> None:
        """Write the next ``number`` bytes to ``target_fd``. Raises Refused, OSError."""
        for chunk in self._chunks(number):
            written = os.write(target_fd, chunk)
            while written < len(chunk):
                written += os.write(target_fd, chunk[written:])

    def copy_all(self, target_fd: int) -> None:
        """Write all that is left to ``target_fd``. Raises Refused, OSError."""
        while self._start < self._end or self._fill():
            self.copy(target_fd, self._end - self._start)

    def skip(self, number: int) -> None:
        """Read the next ``number`` bytes for nothing. Raises Refused, OSError."""
        if number <= self._end - self._start and not self._limit:
            self._start += number
            return
        for _chunk in self._chunks(number):
            pass

    def _chunks(self, number: int) -> t.Iterable[memoryview]:
        if self._limit:
            self.check_limit(number)
        start = self._start
        if number <= self._end - start:  # as most files of a root are
            self._start += number
            return (self._view[start : self._start],)
        return self._large_chunks(number)

    def _large_chunks(self, number: int) -> t.Iterator[memoryview]:
        while number:
            if self._start == self._end and not self._fill():
                raise self.truncated()
            size = min(number, self._end - self._start)
            chunk = self._view[self._start : self._start + size]
            self._start += size
            number -= size
            yield chunk

    def drain(self) -> None:
        """Read to the end. Raises Refused, OSError."""
        self._start = self._end
        while self._fill():
            self._start = self._end
            if self._limit:
                self.check_limit(0)
