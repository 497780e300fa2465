# SPDX-License-Identifier: GPL-3.0-or-later
"""Small root file systems: made, packed, and compared with what was unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import stat
import subprocess
import sys
import tarfile
import typing as t

import pytest
from module_server import CHECKOUT
from results import Result

COMPRESSIONS = {"": [], ".gz": ["gzip"], ".xz": ["xz", "-0"], ".bz2": ["bzip2"], ".zst": ["zstd"]}
NET_BIND = bytes.fromhex("0100000200040000000000000000000000000000")


def make_tree(top: pathlib.Path) -> pathlib.Path:
    """A small root file system with everything that is to be kept of one."""
    for name in ("bin", "etc", "dev", "var/lib/empty", "usr/bin", "tmp"):
        (top / name).mkdir(parents=True)
    (top / "bin/su").write_bytes(b"setuid")
    (top / "bin/ping").write_bytes(b"x" * 200_000)
    os.link(top / "bin/ping", top / "usr/bin/ping")
    (top / "var/run").symlink_to("/run")
    (top / "etc/shadow").write_text("root")
    with (top / "var/holes").open("wb") as holes:
        holes.seek(5_000_000)
        holes.write(b"end")
        holes.truncate(9_000_000)
    os.mknod(top / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(top / "dev/pipe")
    os.setxattr(top / "bin/ping", "security.capability", NET_BIND)
    os.setxattr(top / "etc", "user.note", b"kept")
    os.chown(top / "etc/shadow", 0, 42)
    os.chown(top / "var/run", 12, 13, follow_symlinks=False)
    os.chmod(top / "etc/shadow", 0o640)
    os.chmod(top / "bin/su", 0o4755)
    os.chmod(top / "tmp", 0o1777)
    os.chmod(top / "var/lib", 0o2775)
    os.chown(top / "var/lib/empty", 99, 98)
    for above, directories, files in os.walk(top, topdown=False):
        for number, name in enumerate([*directories, *files]):
            when = 1_500_000_000_123_456_789 + number
            os.utime(os.path.join(above, name), ns=(when, when), follow_symlinks=False)
    os.chmod(top, 0o751)
    os.utime(top, ns=(7, 1_400_000_000_000_000_000))
    return top


def facts_of(top: pathlib.Path) -> dict[str, t.Any]:
    """Everything that is to be kept of a root, by path."""
    found: dict[str, t.Any] = {}
    links: dict[int, str] = {}
    for above, directories, files in os.walk(top):
        directories.sort()
        for name in [".", *directories, *sorted(files)]:
            path = pathlib.Path(above, name)
            if name == "." and above != str(top):
                continue
            status = path.lstat()
            found[str(path.relative_to(top))] = (
                oct(status.st_mode),
                (status.st_uid, status.st_gid),
                status.st_mtime_ns,
                status.st_rdev,
                status.st_blocks if stat.S_ISREG(status.st_mode) else 0,
                os.readlink(path) if path.is_symlink() else "",
                path.read_bytes() if stat.S_ISREG(status.st_mode) else b"",
                # Names of one file: which of them comes first.
                links.setdefault(status.st_ino, name) if status.st_nlink > 1 else "",
                {
                    key: os.getxattr(path, key, follow_symlinks=False)
                    for key in os.listxattr(path, follow_symlinks=False)
                    if "linux_namespaces" not in key
                },
            )
    return found


def pack(tree: pathlib.Path, archive: pathlib.Path, *, program: t.Sequence[str] = ()) -> str:
    words = ["--xattrs", "--xattrs-include=*", "--sparse", "--format=pax", "--numeric-owner"]
    tar = subprocess.run(
        ["tar", "-c", *words, "-C", str(tree), "."], check=True, capture_output=True
    ).stdout
    if program:
        tar = subprocess.run([*program, "-c"], input=tar, check=True, capture_output=True).stdout
    archive.write_bytes(tar)
    return str(archive)


def pack_little(archive: pathlib.Path, folders: t.Iterable[str]) -> None:
    """Make an archive of next to nothing: these folders, one of which is etc, and /etc/motd."""
    with tarfile.open(archive, "w") as file:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            file.addfile(entry)
        motd = tarfile.TarInfo("etc/motd")
        motd.size = 5
        file.addfile(motd, io.BytesIO(b"hello"))


def digest_of(path: str) -> str:
    return "sha256:" + hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Roots(t.NamedTuple):
    """Archives of two roots, and a directory for what is made of them."""

    top: pathlib.Path
    first: str
    second: str

    @property
    def path(self) -> pathlib.Path:
        return self.top / "root"

    def beside(self) -> list[str]:
        return sorted(os.listdir(self.top))

    def content(self) -> str:
        return (self.path / "version").read_text()


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    made = []
    for version in ("first", "second"):
        top = tmp_path_factory.mktemp(version)
        tree = make_tree(top / "tree")
        (tree / "version").write_text(version)
        made.append(pack(tree, top / f"{version}.tar"))
    return made[0], made[1]


@pytest.fixture
def roots(tmp_path: pathlib.Path, archives: tuple[str, str]) -> Roots:
    (tmp_path / "roots").mkdir()
    return Roots(tmp_path / "roots", *archives)


@pytest.fixture
def deep() -> t.Iterator[pathlib.Path]:
    """A directory for trees that are too deep for whoever calls itself for each level.

    Python does, and so pytest, when it removes what a run has left that was killed: these are gone
    with the mount namespace of the run.
    """
    top = pathlib.Path("/run/tests/deep")
    top.mkdir(mode=0o700)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)


def failed(result: Result, *words: str) -> Result:
    assert result.get("failed"), result
    assert "Traceback" not in str(result)
    for word in words:
        assert word in result["msg"], result["msg"]
    return result


def module_process(args: Result) -> subprocess.Popen[bytes]:
    """The module as a process of its own, to be killed at any instant."""
    name = "ansible_collections.linux.namespaces.plugins.modules.ns_rootfs"
    process = subprocess.Popen(
        [sys.executable, "-m", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / ".build/collections")},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
    process.stdin.close()
    return process


def tree_with_sleep(top: pathlib.Path) -> pathlib.Path:
    """A root file system with sleep(1) and what it needs."""
    needed = subprocess.run(
        ["ldd", "/bin/sleep"], check=True, capture_output=True, text=True
    ).stdout
    libraries = [word for word in needed.split() if word.startswith("/")]
    (top / "bin").mkdir(parents=True)
    subprocess.run(["cp", "-L", "/bin/sleep", top / "bin"], check=True)
    subprocess.run(["cp", "-L", "--parents", *libraries, top], check=True)
    return top


def tree_of_host(top: pathlib.Path) -> pathlib.Path:
    """A root file system with nothing of its own, on which the host's /usr makes one with its programs."""
    for name in ("etc", "out", "usr"):
        (top / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (top / name).symlink_to(f"usr/{name}")
    return top
