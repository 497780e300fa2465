# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives made entry by entry, and a place to unpack them that tells whether they broke out."""

from __future__ import annotations

import io
import os
import pathlib
import stat
import tarfile
import typing as t

import pytest
from results import Result, RunModule

# What is larger is compared by its times.
_READ = 1 << 30
Members = t.Sequence[tuple[tarfile.TarInfo, bytes]]


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: t.Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in values.items():
        setattr(info, key, value)
    return info


def write(path: pathlib.Path, members: Members) -> str:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def facts_below(top: pathlib.Path, *, without: pathlib.Path) -> dict[str, tuple[t.Any, ...]]:
    """Everything about what lies around the new root."""
    found = {}
    for above, directories, files in os.walk(top):
        if pathlib.Path(above) == without.parent and without.name in directories:
            directories.remove(without.name)
        for name in [*directories, *files]:
            path = pathlib.Path(above, name)
            if path == without.parent:
                continue  # it gets a new entry
            status = path.lstat()
            is_read = stat.S_ISREG(status.st_mode) and status.st_size < _READ
            content = path.read_bytes() if is_read else b""
            found[str(path)] = (*status[:7], status.st_mtime_ns, content)
    return found


class Playground(t.NamedTuple):
    """``root`` is where archives are unpacked to; ``canary`` is what they are after."""

    top: pathlib.Path
    root: pathlib.Path
    canary: pathlib.Path

    def unpack(self, run_module: RunModule, members: Members, **options: t.Any) -> Result:
        """Unpack an archive of these; everything around the root must be as before."""
        archive = write(self.top / "archive.tar", members)
        return self.make(run_module, archive=archive, **options)

    def make(self, run_module: RunModule, **options: t.Any) -> Result:
        """Make the root from this source; everything around it must be as before."""
        before = facts_below(self.top, without=self.root)
        args = {"path": str(self.root), **options}
        result = run_module("ns_rootfs", args)
        after = facts_below(self.top, without=self.root)
        assert after == before
        assert os.listdir(self.top / "roots") in ([], [self.root.name])
        return result


@pytest.fixture
def playground(tmp_path: pathlib.Path) -> Playground:
    return playground_in(tmp_path)


def playground_in(top: pathlib.Path) -> Playground:
    """One in an empty directory."""
    outside = top / "outside"
    outside.mkdir()
    (top / "roots").mkdir()
    (outside / "canary").write_text("untouched")
    return Playground(top, top / "roots" / "root", outside / "canary")
