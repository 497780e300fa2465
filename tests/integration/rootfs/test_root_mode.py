# SPDX-License-Identifier: GPL-3.0-or-later
"""The root directory itself: open to those inside, closed to the host's users by what is above it."""

from __future__ import annotations

import pathlib
import stat
import subprocess
import tarfile
import typing as t

import pytest
from hostile_archives import member, write
from layered_images import path
from layouts import good_layout
from results import Converge, RunModule
from unshare_run import USR
from unshared_process import UnsharedProcess

__all__ = ["path"]

SHIFTED = {"uid": [{"inside": 0, "outside": 100_000, "count": 65_536}]}
SHIFTED["gid"] = SHIFTED["uid"]
FILE = (member("version"), b"plain")
# What the entry for the root is, the mode that comes of it, and the owner.
ENTRIES: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], int, int]] = {
    "none": ([], 0o755, 0),
    "closed": ([(member("./", tarfile.DIRTYPE, mode=0o700), b"")], 0o700, 0),
    "of another": ([(member("./", tarfile.DIRTYPE, mode=0o1777, uid=7, gid=8), b"")], 0o1777, 7),
}


def source(form: str, entries: t.Any, top: pathlib.Path) -> dict[str, str]:
    """The option for a source of these entries and a file."""
    archive = write(top / "layer.tar", [*entries, FILE])
    if form == "archive":
        return {"archive": archive}
    layout = good_layout(top / "layout", layer=pathlib.Path(archive).read_bytes())
    if form == "oci":
        return {"image": layout.image}
    target = f"docker-archive:{top}/image.tar:name:tag"
    subprocess.run(["skopeo", "copy", "--quiet", layout.image, target], check=True)
    return {"image": target}


@pytest.mark.parametrize("form", ["archive", "oci", "docker-archive"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_its_mode_and_owner(
    entry: str, form: str, path: pathlib.Path, tmp_path: pathlib.Path, converge: Converge
) -> None:
    entries, mode, owner = ENTRIES[entry]
    path.parent.chmod(0o700)
    given = source(form, entries, tmp_path)
    converge("ns_rootfs", {"path": str(path), **given})
    status = path.stat()
    assert (oct(stat.S_IMODE(status.st_mode)), status.st_uid) == (oct(mode), owner)
    # Who is outside is kept out by the directory above.
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    shifted = path.parent / "shifted"
    converge("ns_rootfs", {"path": str(shifted), "id_map": SHIFTED, **given})
    status = shifted.stat()
    assert (oct(stat.S_IMODE(status.st_mode)), status.st_uid) == (oct(mode), owner + 100_000)


@pytest.mark.parametrize("form", ["archive", "oci"])
def test_inside_a_target(
    form: str, tmp_path: pathlib.Path, unshared_process: UnsharedProcess, converge: Converge
) -> None:
    """On a mount point, below one, and in a user namespace."""
    given = source(form, [], tmp_path)
    for kinds, options in ((["mnt"], []), (["mnt", "user"], ["--map-root-user"])):
        inside = unshared_process(kinds, options=options)
        inside.run("mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "tmpfs", "/mnt")
        for place in ("/mnt/below/root", "/mnt"):
            inside.run("sh", "-c", "rm -rf /mnt/*")
            converge("ns_rootfs", {"pid": inside.pid, "path": place, **given})
            assert inside.run("stat", "-c", "%a %u:%g", place) == "755 0:0\n"


@pytest.mark.parametrize("form", ["archive", "oci"])
def test_programs_of_other_users_run_in_it(
    form: str, path: pathlib.Path, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    given = source(form, [(member("usr", tarfile.DIRTYPE), b"")], tmp_path)
    made = run_module("ns_rootfs", {"path": str(path), **given})
    assert not made.get("failed"), made
    for name in ("bin", "lib", "lib64"):
        (path / name).symlink_to(f"usr/{name}")
    args = {"root": str(path), "mounts": [USR], "user": "65534", "argv": ["cat", "/version"]}
    done = run_module("ns_unshare_run", args)
    assert done["rc"] == 0, done
    assert done["stdout"] == "plain"
