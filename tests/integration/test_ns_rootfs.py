# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs on the host and inside targets: what is unpacked, what is left of failures."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import typing as t

import pytest
from conftest import Converge, Result, RunModule, UnsharedProcess, let_everyone_reach, wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

COMPRESSIONS = {"": [], ".gz": ["gzip"], ".xz": ["xz", "-0"], ".bz2": ["bzip2"], ".zst": ["zstd"]}
# What no older kernel has.
OLDER_KERNELS = {"newest": {}, "no renameat2": {"LINUX_NAMESPACES_ABSENT_CALLS": "renameat2"}}
ARCHITECTURE_XATTR = "security.capability"
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
    os.setxattr(top / "bin/ping", ARCHITECTURE_XATTR, NET_BIND)
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


def failed(result: Result, *words: str) -> Result:
    assert result.get("failed"), result
    assert "Traceback" not in str(result)
    for word in words:
        assert word in result["msg"], result["msg"]
    return result


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_everything_is_kept(compression: str, tmp_path: pathlib.Path, converge: Converge) -> None:
    tree = make_tree(tmp_path / "tree")
    archive = pack(tree, tmp_path / f"a.tar{compression}", program=COMPRESSIONS[compression])
    path = tmp_path / "root"
    done = converge("ns_rootfs", {"path": str(path), "archive": archive})
    assert done["actions"] == [f"unpack {archive} to {path}"]
    assert done["digest"] == digest_of(archive)
    assert facts_of(path) == facts_of(tree)


def test_it_is_what_tar_makes_by_hand(tmp_path: pathlib.Path, run_module: RunModule) -> None:
    archive = pack(make_tree(tmp_path / "tree"), tmp_path / "a.tar")
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    words = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-p"]
    subprocess.run(["tar", "-x", *words, "-C", by_hand, "-f", archive], check=True)
    assert run_module("ns_rootfs", {"path": str(tmp_path / "root"), "archive": archive})["changed"]
    assert facts_of(tmp_path / "root") == facts_of(by_hand)


def test_entries_without_their_directories_and_names_that_come_twice(
    tmp_path: pathlib.Path, converge: Converge
) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("old")
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tree, "a/b/file"], check=True)
    (tree / "a/b/file").write_text("new")
    subprocess.run(["tar", "-rf", archive, "-C", tree, "a/b/file"], check=True)
    path = tmp_path / "root"
    converge("ns_rootfs", {"path": str(path), "archive": str(archive)})
    assert (path / "a/b/file").read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_what_the_directory_above_hands_down_is_not_taken(roots: Roots, converge: Converge) -> None:
    """A setgid directory hands down its group."""
    os.chown(roots.top, 0, 55)
    os.chmod(roots.top, 0o2755)
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    assert (roots.path / "version").stat().st_gid == 0
    assert stat.S_IMODE((roots.path / "etc").stat().st_mode) == 0o755


def test_directories_above_are_made(roots: Roots, converge: Converge) -> None:
    path = roots.top / "a/b/root"
    converge("ns_rootfs", {"path": str(path), "archive": roots.first})
    assert (path / "version").read_text() == "first"


def test_an_unchanged_archive_is_not_read(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    """Its digest is that of the marker, whatever that is."""
    archive = tmp_path / "a.tar"
    shutil.copy(roots.first, archive)
    args = {"path": str(roots.path), "archive": str(archive)}
    assert run_module("ns_rootfs", args)["changed"]
    marker = os.getxattr(roots.path, "trusted.linux_namespaces.digest")
    os.setxattr(roots.path, "trusted.linux_namespaces.digest", b"sha256:" + b"0" * 64)
    assert run_module("ns_rootfs", args)["digest"] == "sha256:" + "0" * 64
    os.setxattr(roots.path, "trusted.linux_namespaces.digest", marker)
    os.utime(archive)
    assert run_module("ns_rootfs", args)["digest"] == marker.decode()


def test_a_touched_archive_is_no_change_and_a_changed_one_is(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule, converge: Converge
) -> None:
    archive = shutil.copy(roots.first, str(tmp_path / "a.tar"))
    args = {"path": str(roots.path), "archive": archive}
    converge("ns_rootfs", args)
    os.utime(archive)
    inode = roots.path.stat().st_ino
    assert run_module("ns_rootfs", args)["changed"] is False
    assert roots.path.stat().st_ino == inode
    shutil.copy(roots.second, archive)
    done = converge("ns_rootfs", args)
    assert done["actions"][1:] == [f"remove the old root of {roots.path}"]
    assert roots.content() == "second"
    assert roots.beside() == ["root"]


def test_the_digest_pins(roots: Roots, run_module: RunModule, converge: Converge) -> None:
    args = {"path": str(roots.path), "archive": roots.first}
    wrong = run_module("ns_rootfs", {**args, "digest": digest_of(roots.second)})
    failed(wrong, digest_of(roots.first), "not the one asked for")
    assert roots.beside() == []
    converge("ns_rootfs", {**args, "digest": digest_of(roots.first).upper().replace("SHA", "sha")})
    wrong = run_module("ns_rootfs", {**args, "digest": digest_of(roots.second)})
    failed(wrong, "not the one asked for")
    assert roots.content() == "first"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"digest": "md5:1"}, ["digest must be sha256:"]),
        ({"path": "relative"}, ["absolute path"]),
        ({"path": "/"}, ["must not be / itself"]),
        ({"path": "/srv/../etc"}, ["'..'"]),
        ({"size_limit": "much"}, ["size_limit"]),
        ({"size_limit": "0"}, ["more than nothing"]),
        ({"archive": "/missing.tar"}, ["No such file", "copy it there"]),
        ({"archive": "/etc"}, ["is not a file"]),
        ({"archive": "a.tar"}, ["absolute path"]),
        ({"persistent": True}, ["cannot be persistent"]),
        ({"bootstrap": {"suite": "x"}}, ["mutually exclusive"]),
        ({"namespace": "missing"}, ["there is no namespace"]),
    ],
)
def test_bad_arguments_are_refused(
    args: Result, words: list[str], roots: Roots, run_module: RunModule
) -> None:
    args = {"path": str(roots.path), "archive": roots.first, **args}
    result = run_module("ns_rootfs", args)
    failed(result)
    for word in words:
        assert word.lower() in result["msg"].lower()
    assert roots.beside() == []


def test_check_mode_waits_for_an_archive_that_is_to_come(
    roots: Roots, run_module: RunModule
) -> None:
    args = {"path": str(roots.path), "archive": str(roots.top / "to-come.tar")}
    assert run_module("ns_rootfs", args, check=True)["changed"]


def test_a_directory_of_others_is_refused_unless_forced(
    roots: Roots, run_module: RunModule, converge: Converge
) -> None:
    roots.path.mkdir()
    (roots.path / "precious").write_text("data")
    args: Result = {"path": str(roots.path), "archive": roots.first}
    for extra in ({}, {"state": "absent", "archive": None}):
        result = run_module("ns_rootfs", {**args, **extra})
        failed(result, "not made by linux.namespaces.ns_rootfs", "force")
        assert os.listdir(roots.path) == ["precious"]
    converge("ns_rootfs", {**args, "force": True})
    assert not (roots.path / "precious").exists()


def test_an_empty_directory_is_filled(roots: Roots, converge: Converge) -> None:
    roots.path.mkdir()
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    assert roots.content() == "first"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_directory_is_refused(kind: str, roots: Roots, run_module: RunModule) -> None:
    if kind == "file":
        roots.path.write_text("")
    else:
        roots.path.symlink_to("/")
    for args in ({"archive": roots.first}, {"state": "absent"}):
        result = run_module("ns_rootfs", {"path": str(roots.path), "force": True, **args})
        failed(result, "is no directory")


@pytest.mark.parametrize("kernel", OLDER_KERNELS)
def test_a_root_is_replaced(kernel: str, roots: Roots, converge: Converge) -> None:
    env = OLDER_KERNELS[kernel]
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first}, env=env)
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.second}, env=env)
    assert roots.content() == "second"
    assert roots.beside() == ["root"]


def test_absent_removes_it(roots: Roots, run_module: RunModule, converge: Converge) -> None:
    converge("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    converge("ns_rootfs", {"path": str(roots.path), "state": "absent"})
    assert roots.beside() == []
    result = run_module("ns_rootfs", {"path": str(roots.top / "a/b"), "state": "absent"})
    assert result["changed"] is False


class Use(t.NamedTuple):
    """Something that uses a root: how messages call it, and how to end it."""

    words: str
    end: t.Callable[[], t.Any]
    version: t.Callable[[], str]


def _bind(roots: Roots, inside: t.Any) -> Use:
    inside.run("mount", "--bind", str(roots.path), "/mnt")
    return Use(
        f"/mnt in the mount namespace of process {inside.pid}",
        lambda: inside.run("umount", "/mnt"),
        lambda: inside.run("cat", "/mnt/version"),
    )


def _overlay(roots: Roots, inside: t.Any) -> Use:
    inside.run("mount", "-t", "tmpfs", "tmpfs", "/media")
    inside.run("mkdir", "/media/upper", "/media/work")
    layers = f"lowerdir={roots.path},upperdir=/media/upper,workdir=/media/work"
    inside.run("mount", "-t", "overlay", "overlay", "-o", layers, "/mnt")
    return Use(
        "an overlay on /mnt",
        lambda: inside.run("umount", "/mnt"),
        lambda: inside.run("cat", "/mnt/version"),
    )


def _process(roots: Roots, inside: t.Any) -> Use:  # noqa: ARG001
    process = subprocess.Popen(["sleep", "infinity"], cwd=roots.path / "var")

    def end() -> None:
        process.kill()
        process.wait()

    version = pathlib.Path(f"/proc/{process.pid}/cwd/../version")
    return Use(f"process {process.pid}", end, version.read_text)


USES = {"bind": _bind, "overlay": _overlay, "process": _process}


@pytest.fixture(params=list(USES))
def use(
    request: pytest.FixtureRequest, unshared_process: UnsharedProcess
) -> t.Callable[[Roots], Use]:
    return lambda roots: USES[request.param](roots, unshared_process())


def test_a_root_in_use_stays_and_goes_later(
    roots: Roots, use: t.Callable[[Roots], Use], run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    user = use(roots)
    args = {"path": str(roots.path), "archive": roots.second}
    try:
        predicted = run_module("ns_rootfs", args, check=True)
        done = run_module("ns_rootfs", args)
        assert predicted["actions"] == done["actions"] == [f"unpack {roots.second} to {roots.path}"]
        assert user.words in str(done["warnings"])
        assert roots.content() == "second"
        assert user.version() == "first"
        assert roots.beside() == [".root.old-1", "root"]
        again = run_module("ns_rootfs", args)
        assert again["changed"] is False
        assert user.version() == "first"
    finally:
        user.end()
    assert run_module("ns_rootfs", args, check=True)["changed"]
    done = run_module("ns_rootfs", args)
    assert done["actions"] == [f"remove the old root of {roots.path}"]
    assert roots.beside() == ["root"]
    assert run_module("ns_rootfs", args)["changed"] is False


def test_an_overlay_on_the_new_root_does_not_keep_the_old_one(
    roots: Roots, run_module: RunModule, unshared_process: UnsharedProcess
) -> None:
    """It names the same path as one on the old root does."""
    run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})
    old = _overlay(roots, unshared_process())
    args = {"path": str(roots.path), "archive": roots.second}
    assert run_module("ns_rootfs", args)["changed"]
    new = _overlay(roots, unshared_process())
    assert (old.version(), new.version()) == ("first", "second")
    assert run_module("ns_rootfs", args)["changed"] is False
    old.end()
    assert run_module("ns_rootfs", args)["actions"] == [f"remove the old root of {roots.path}"]
    assert new.version() == "second"
    new.end()


def test_absent_refuses_a_root_in_use_unless_forced(
    roots: Roots, use: t.Callable[[Roots], Use], run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    user = use(roots)
    args = {"path": str(roots.path), "state": "absent"}
    try:
        for check in (True, False):
            result = failed(run_module("ns_rootfs", args, check=check), "in use", user.words)
            assert any(user.words in each for each in result["used_by"])
        assert run_module("ns_rootfs", {**args, "force": True})["changed"]
        assert not roots.path.exists()
        assert user.version() == "first"
    finally:
        user.end()
    assert run_module("ns_rootfs", args)["changed"]
    assert roots.beside() == []


def test_nothing_is_removed_through_a_mount(roots: Roots, run_module: RunModule) -> None:
    precious = roots.top / "precious"
    precious.mkdir()
    (precious / "data").write_text("")
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    target = str(roots.path / "tmp")
    mounts.mount(str(precious), target, flags=mounts.MS_BIND)
    try:
        for args in (
            {"state": "absent"},
            {"state": "absent", "force": True},
            {"archive": roots.second, "force": True},
        ):
            result = run_module("ns_rootfs", {"path": str(roots.path), **args})
            failed(result, f"{target} is mounted below it", "Unmount it first")
    finally:
        mounts.umount(target)
    assert (precious / "data").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], ["damaged", "end"]),
        (lambda data: data[:-4], ["damaged"]),
        (
            lambda data: data[: len(data) // 2] + b"garbage" + data[len(data) // 2 + 7 :],
            ["damaged"],
        ),
        (lambda data: data[:12], ["damaged"]),
    ],
    ids=["half", "without its sum", "garbage", "only its start"],
)
@pytest.mark.parametrize("compression", [".gz", ".xz", ".bz2", ".zst"])
def test_a_damaged_archive_leaves_the_old_root(
    compression: str,
    damage: t.Callable[[bytes], bytes],
    words: list[str],
    roots: Roots,
    tmp_path: pathlib.Path,
    run_module: RunModule,
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    archive = tmp_path / "damaged"
    packed = subprocess.run(
        [*COMPRESSIONS[compression], "-c", roots.second], check=True, capture_output=True
    ).stdout
    archive.write_bytes(damage(packed))
    result = run_module("ns_rootfs", {"path": str(roots.path), "archive": str(archive)})
    failed(result, str(archive), *words[:1])
    assert roots.content() == "first"
    assert roots.beside() == ["root"]


def test_a_full_disk_leaves_the_old_root(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounts.mount("tmpfs", str(small), fstype="tmpfs", data="size=2m")
    try:
        args = {"path": str(small / "root"), "archive": roots.first}
        assert run_module("ns_rootfs", args)["changed"]
        room = os.statvfs(small)
        (small / "ballast").write_bytes(bytes((room.f_bavail - 20) * room.f_bsize))
        result = run_module("ns_rootfs", {**args, "archive": roots.second})
        failed(result, "No space left on device")
        assert result["errno"] == "ENOSPC"
        assert result["step"] == f"unpack {roots.second} to {small / 'root'}"
        assert (small / "root/version").read_text() == "first"
        assert sorted(os.listdir(small)) == ["ballast", "root"]
    finally:
        mounts.umount(str(small))


@pytest.mark.parametrize("step", range(1, 5))
def test_killed_before_a_step_the_next_run_converges(
    step: int, roots: Roots, run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    args = {"path": str(roots.path), "archive": roots.second}
    with contextlib.suppress(AssertionError):
        run_module("ns_rootfs", args, env={"LINUX_NAMESPACES_KILL_BEFORE": str(step)})
    assert roots.content() in ("first", "second")
    result = run_module("ns_rootfs", args)
    assert not result.get("failed"), result
    assert roots.content() == "second"
    assert roots.beside() == ["root"]
    assert run_module("ns_rootfs", args)["changed"] is False


def module_process(args: Result) -> subprocess.Popen[bytes]:
    """The module as a process of its own, to be killed at any instant."""
    name = "ansible_collections.linux.namespaces.plugins.modules.ns_rootfs"
    checkout = pathlib.Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(checkout / ".build/collections")},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
    process.stdin.close()
    return process


def test_killed_at_any_instant_the_next_run_converges(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    tree = make_tree(tmp_path / "tree")
    for number in range(3_000):
        (tree / f"usr/{number}").write_bytes(b"x" * 2_000)
    (tree / "version").write_text("large")
    large = pack(tree, tmp_path / "large.tar")
    args = {"path": str(roots.path), "archive": roots.first}
    assert run_module("ns_rootfs", args)["changed"]
    chosen = random.Random(7)
    for _round in range(12):
        process = module_process({"path": str(roots.path), "archive": large})
        began = wait_until(lambda: ".root.new" in roots.beside())
        assert began
        time.sleep(chosen.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        version = roots.content()
        assert version in ("first", "large")
        if version == "large":
            assert facts_of(roots.path) == facts_of(tree)
            run_module("ns_rootfs", args)
    done = run_module("ns_rootfs", {"path": str(roots.path), "archive": large})
    assert not done.get("failed"), done
    assert facts_of(roots.path) == facts_of(tree)
    assert roots.beside() == ["root"]
    assert run_module("ns_rootfs", {"path": str(roots.path), "state": "absent"})["changed"]
    assert roots.beside() == []


def at_once(run_module: RunModule, roots: Roots, archives: t.Iterable[str]) -> list[Result]:
    """The results of unpacking the archives to the same path, all begun at the same time."""
    results: list[Result] = []

    def unpack(archive: str) -> None:
        results.append(run_module("ns_rootfs", {"path": str(roots.path), "archive": archive}))

    threads = [threading.Thread(target=unpack, args=[archive]) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result["msg"] for result in results if result.get("failed")] == []
    assert len(results) == len(threads)
    return results


def test_the_same_at_once_is_unpacked_once(roots: Roots, run_module: RunModule) -> None:
    results = at_once(run_module, roots, [roots.first] * 4)
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert {result["digest"] for result in results} == {digest_of(roots.first)}
    assert roots.content() == "first"
    assert roots.beside() == ["root"]


@pytest.mark.parametrize("is_mount", [False, True])
def test_others_at_once(
    is_mount: bool, roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    deep = tmp_path / "tree" / "/".join(["d"] * 500)  # slow to remove, for who comes meanwhile
    deep.mkdir(parents=True)
    (tmp_path / "tree/version").write_text("deep")
    archives = [roots.first, roots.second, pack(tmp_path / "tree", tmp_path / "deep.tar")]
    with contextlib.ExitStack() as stack:
        if is_mount:
            roots.path.mkdir()
            mounts.mount("tests", str(roots.path), fstype="tmpfs")
            stack.callback(mounts.umount, str(roots.path))
        for _round in range(3):
            at_once(run_module, roots, archives * 3)
            assert roots.content() in ("first", "second", "deep")
            assert roots.beside() == ["root"]
            assert ".linux-namespaces.new" not in os.listdir(roots.path)


def test_another_run_at_work_is_not_taken_for_a_killed_one(
    roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    args = {"path": str(roots.path), "archive": roots.first}
    assert run_module("ns_rootfs", args)["changed"]
    work = roots.top / ".root.new"
    work.mkdir()
    shutil.copy2(roots.first, tmp_path / "copy.tar")  # the marker is to be set anew for it
    for archive in (roots.first, str(tmp_path / "copy.tar")):
        lock = os.open(work, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            result = run_module("ns_rootfs", {**args, "archive": archive})
        finally:
            os.close(lock)
        assert (result.get("failed"), result["changed"]) == (None, False), result
        assert roots.beside() == [".root.new", "root"]
    result = run_module("ns_rootfs", args)
    assert result["actions"] == [f"remove what a killed run left at {roots.path}"]
    assert roots.beside() == ["root"]


def test_a_plain_user_is_told_to_be_root(
    roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    shutil.copy(roots.first, tmp_path / "a.tar")
    let_everyone_reach(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    args = {"path": str(home / "root"), "archive": str(tmp_path / "a.tar")}
    failed(run_module("ns_rootfs", args, user=65534), "takes root", "become: true")
    assert os.listdir(home) == []


def test_a_missing_program_is_named_with_its_package(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    archive = tmp_path / "a.tar.zst"
    archive.write_bytes(
        subprocess.run(["zstd", "-c", roots.first], check=True, capture_output=True).stdout
    )
    env = {"PATH": str(tmp_path)}
    args: Result = {"path": str(roots.path), "archive": str(archive)}
    failed(run_module("ns_rootfs", args, env=env), "zstd", "Debian package zstd")
    args = {"path": str(roots.path), "bootstrap": {"suite": "bookworm"}}
    failed(run_module("ns_rootfs", args, env=env), "Debian package mmdebstrap")
    assert roots.beside() == []


@pytest.mark.parametrize("compression", [".gz", ".xz", ".bz2"])
def test_python_reads_what_no_program_is_there_for(
    compression: str, roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    archive = tmp_path / "a.tar"
    command = [*COMPRESSIONS[compression], "-c", roots.first]
    archive.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    args = {"path": str(roots.path), "archive": str(archive)}
    result = run_module("ns_rootfs", args, env={"PATH": str(tmp_path)})
    assert result["changed"], result
    assert roots.content() == "first"


def test_progress_is_told_with_v(
    roots: Roots, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "zeros").write_bytes(bytes(70_000_000))
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tree, "."], check=True)
    args = {"path": str(roots.path), "archive": str(archive)}
    assert run_module("ns_rootfs", {**args, "_ansible_verbosity": 1})["progress"]
