# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeing whether something was opened, be it a device, a fifo or a file: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import struct
import typing as t

_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Opens:
    """Counts how often these are opened within the block. Looking with O_PATH is no opening."""

    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        self._paths = paths
        self._fd = -1

    def __enter__(self) -> Opens:
        self._fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        assert self._fd >= 0, os.strerror(ctypes.get_errno())
        for path in self._paths:
            watch = _libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_OPEN)
            assert watch >= 0, os.strerror(ctypes.get_errno())
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._fd)

    @property
    def count(self) -> int:
        """How often since it was asked for last. Of what nobody has read meanwhile, once."""
        return sum(1 for _event in self._events())

    def _events(self) -> t.Iterator[int]:
        while True:
            try:
                events = os.read(self._fd, 65536)
            except BlockingIOError:
                return
            at = 0
            while at < len(events):
                watch, _mask, _cookie, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size + length
                yield watch
