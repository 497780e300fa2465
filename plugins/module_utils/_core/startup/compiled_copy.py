# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The host's copy of this package, compiled already, in place of the same sources in an archive.

Ansible sends the sources in an archive for every task, and Python compiles what is imported from an
archive each time: that takes longer than what most tasks do. A host with `nsctl` has the sources
of one version with their compiled form beside them; those that are the same are imported from there.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.machinery
import os
import sys
import typing as t
import zipfile
import zlib

from . import LIBRARY

# In such a directory: the checksum and the path of each of its sources, a line each.
CONTENTS = "contents"
# There as well: who imports from it holds this lock, shared, so that it stays (install/host_command.py).
LOCK = "lock"

# The installed version of which the archive has every file; "" where there is none.
in_step = ""
# The open locks of those that this process imports from, by their directory.
held: dict[str, int] = {}


def checksum(data: bytes) -> int:
    """What an archive of the format zip notes of a file."""
    return zlib.crc32(data)


def contents_of(texts: t.Mapping[str, str]) -> str:
    """The text of the file ``contents`` for these sources by path. Pure."""
    return "".join(f"{checksum(text.encode()):08x} {path}\n" for path, text in texts.items())


def parse(contents: str) -> dict[str, int]:
    """The checksums in the text of a file ``contents``, by path; ValueError if it is none. Pure."""
    lines = (line.split(" ", 1) for line in contents.splitlines())
    return {path: int(digits, 16) for digits, path in lines}


def take_the_place_of(package: str, archive: str) -> None:
    """From now on import the modules of ``package`` from the host, where they are the same.

    ``archive`` is the path of the zip file that the package was imported from.
    """
    global in_step
    base = package.replace(".", "/") + "/"
    with zipfile.ZipFile(archive) as entries:
        sent = {
            f"_core/{entry.filename[len(base) :]}": entry.CRC
            for entry in entries.infolist()
            if entry.filename.startswith(base)
        }
    for directory, there in _installed():
        is_same = all(sent.get(path, there[path]) == there[path] for path in there)
        if is_same and _hold(directory):
            in_step = directory if there.keys() <= sent.keys() else ""
            sys.meta_path.insert(0, _Finder(package, f"{archive}/{base}", f"{directory}/_core"))
            return


class _Finder:
    """Finds modules of a package in a directory; what is not there stays in the archive."""

    def __init__(self, package: str, archive: str, directory: str) -> None:
        self._prefix = f"{package}."
        self._archive = archive
        self._directory = directory
        self._way = ""

    def find_spec(
        self, name: str, _path: t.Any = None, _target: t.Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if not name.startswith(self._prefix):
            return None
        *packages, _last = words = name[len(self._prefix) :].split(".")
        above = self._way + "/".join([self._directory, *packages])
        spec = importlib.machinery.PathFinder.find_spec(name, [above])
        if spec is not None and spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(self._way + self._archive + "/".join(words))
        return spec

    def reach_by(self, way: str) -> None:
        """Look below the directory ``way`` from now on, which was the root until now."""
        self._way = way


def _hold(directory: str) -> bool:
    """Have the version stay until this process ends; False where it has just gone."""
    path = f"{directory}/{LOCK}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # a plain user could hold it up for ever
        return True
    except FileNotFoundError:  # of before there were locks, unless it has just gone
        return os.path.exists(f"{directory}/{CONTENTS}")
    held[directory] = fd
    fcntl.flock(fd, fcntl.LOCK_SH)
    return os.fstat(fd).st_nlink > 0


def _installed() -> t.Iterator[tuple[str, dict[str, int]]]:
    """The whole versions on this host, with their contents.

    Only where nobody but root can have written them; none is there while another run removes it.
    """
    with contextlib.suppress(OSError, ValueError):
        if not _is_roots(LIBRARY):
            return
        for path in (f"{LIBRARY}/{name}" for name in os.listdir(LIBRARY)):
            if _is_roots(path):
                with open(f"{path}/{CONTENTS}", encoding="utf-8") as stream:
                    yield path, parse(stream.read())


def _is_roots(path: str) -> bool:
    found = os.lstat(path)
    return found.st_uid == 0 and not found.st_mode & 0o022
