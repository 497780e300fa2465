# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody but root reaches what was unpacked, and so its setuid programs (CVE-2021-41091)."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat
import subprocess
import typing as t

import pytest
from named_namespaces import NewName
from reach import let_everyone_reach
from results import Converge, Result, RunModule
from trees import failed, pack
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

REFUSED = ("very user of the host can reach", "chmod 700", "reachable: true")


@pytest.fixture
def archive(tmp_path: pathlib.Path) -> str:
    """A root with a program that says who runs it, and is root's with the setuid bit."""
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    tree.chmod(0o755)
    shutil.copy("/usr/bin/id", tree / "bin/id")
    (tree / "bin/id").chmod(0o4755)
    return pack(tree, tmp_path / "a.tar")


@pytest.fixture
def everywhere() -> t.Iterator[pathlib.Path]:
    """A directory that every user of the host can enter, on a file system with setuid programs."""
    top = pathlib.Path("/run/tests/open")
    top.mkdir()
    mounts.mount("open", str(top), fstype="tmpfs", data="mode=755")
    let_everyone_reach(top)
    (top / "srv").mkdir(mode=0o755)
    yield top / "srv"
    mounts.umount(str(top), flags=mounts.MNT_DETACH)
    top.rmdir()


def identity(root: pathlib.Path | str) -> str:
    """Who a plain user is when he runs the program in the root; empty where he cannot."""
    try:
        # Not by setpriv(1), which keeps the capabilities until it has found the program.
        done = subprocess.run(
            [f"{root}/bin/id", "-u"],
            check=False, capture_output=True, user=65534, group=65534, extra_groups=[],
        )  # fmt: skip
    except OSError:
        return ""
    return done.stdout.decode().strip()


def mode_of(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_what_the_option_allows(
    everywhere: pathlib.Path, archive: str, converge: Converge
) -> None:
    """Otherwise nothing of the others here is shown."""
    path = everywhere / "root"
    converge("ns_rootfs", {"path": str(path), "archive": archive, "reachable": True})
    assert identity(path) == "0"
    made = everywhere / "web/root"
    converge("ns_rootfs", {"path": str(made), "archive": archive, "reachable": True})
    assert identity(made) == "0"


def test_a_directory_that_is_made_is_closed(
    everywhere: pathlib.Path, archive: str, converge: Converge
) -> None:
    path = everywhere / "a/web/root"
    done = converge("ns_rootfs", {"path": str(path), "archive": archive})
    assert done["actions"] == [f"unpack {archive} to {path}"]
    assert mode_of(path.parent) == 0o700
    assert mode_of(path.parent.parent) == 0o755
    assert mode_of(path) == 0o755
    assert identity(path) == ""
    # So is what is beside it while it is replaced, and what was replaced.
    with subprocess.Popen(["sleep", "infinity"], cwd=path) as process:
        try:
            shutil.copy(archive, f"{archive}.other")
            subprocess.run(["tar", "-rf", f"{archive}.other", "/etc/hostname"], check=True,
                           capture_output=True)  # fmt: skip
            converge_args = {"path": str(path), "archive": f"{archive}.other"}
            failed_or_done = converge("ns_rootfs", converge_args)
            assert failed_or_done["changed"]
            assert identity(path.parent / ".root.old-1") == ""
        finally:
            process.kill()


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_directory_of_its_own_is_closed(
    unpacked: bool,
    everywhere: pathlib.Path,
    archive: str,
    converge: Converge,
    run_module: RunModule,
) -> None:
    """Also of a root of before, which is as it should be otherwise."""
    home = everywhere / "web"
    home.mkdir(mode=0o755)
    (home / "root").mkdir()  # where it is mounted
    args: Result = {"path": str(home / "rootfs"), "archive": archive}
    if unpacked:
        assert run_module("ns_rootfs", {**args, "reachable": True})["changed"]
        assert identity(home / "rootfs") == "0"
    done = converge("ns_rootfs", args)
    steps = [f"close {home} to other users"]
    assert done["actions"] == (
        steps if unpacked else [*steps, f"unpack {archive} to {args['path']}"]
    )
    assert "in reach of other users" in done["diff"]["before"]
    assert mode_of(home) == 0o700
    assert identity(home / "rootfs") == ""


def beside(top: pathlib.Path) -> None:
    (top / "page").touch()


def full(top: pathlib.Path) -> None:
    (top / "upper/bin").mkdir(parents=True)


def of_a_user(top: pathlib.Path) -> None:
    os.chown(top, 65534, 65534)
    top.chmod(0o700)


def of_a_group(top: pathlib.Path) -> None:
    (top / "page").touch()
    os.chown(top, 0, 65534)
    top.chmod(0o710)


def listed(top: pathlib.Path) -> None:
    (top / "page").touch()
    top.chmod(0o700)
    subprocess.run(["setfacl", "-m", "u:65534:x", top], check=True)


WAYS_IN = {each.__name__: each for each in (beside, full, of_a_user, of_a_group)}
if shutil.which("setfacl"):
    WAYS_IN["listed"] = listed


@pytest.mark.parametrize("unpacked", [False, True])
@pytest.mark.parametrize("way", WAYS_IN)
def test_one_that_others_have_a_part_in_is_refused(
    way: str, unpacked: bool, everywhere: pathlib.Path, archive: str, run_module: RunModule
) -> None:
    home = everywhere / "web"
    home.mkdir(mode=0o755)
    args: Result = {"path": str(home / "rootfs"), "archive": archive}
    if unpacked:
        assert run_module("ns_rootfs", {**args, "reachable": True})["changed"]
    WAYS_IN[way](home)
    mode, there = home.stat().st_mode, sorted(os.listdir(home))
    for check in (True, False):
        failed(run_module("ns_rootfs", args, check=check), *REFUSED)
        assert (home.stat().st_mode, sorted(os.listdir(home))) == (mode, there)
    assert identity(home / "rootfs") == ("0" if unpacked else "")
    # What the message says helps.
    subprocess.run(["chmod", "700", home], check=True)
    os.chown(home, 0, 0)
    done = run_module("ns_rootfs", args)
    assert done.get("changed") is not unpacked, done
    assert identity(home / "rootfs") == ""


def test_right_below_the_root_directory_is_refused(run_module: RunModule, archive: str) -> None:
    """/srv is everybody's, also where nothing is in it."""
    top = pathlib.Path("/srv")
    if not top.exists() or not top.stat().st_mode & stat.S_IXOTH:
        pytest.skip("a host with /srv")
    args: Result = {"path": "/srv/no-such-root", "archive": archive}
    failed(run_module("ns_rootfs", args), *REFUSED)
    assert not os.path.exists("/srv/no-such-root")


def test_closed_further_up_is_closed(
    everywhere: pathlib.Path, archive: str, converge: Converge
) -> None:
    (everywhere / "only/a").mkdir(parents=True)
    (everywhere / "only/a/page").touch()
    (everywhere / "only").chmod(0o700)
    path = everywhere / "only/a/root"
    done = converge("ns_rootfs", {"path": str(path), "archive": archive})
    assert done["actions"] == [f"unpack {archive} to {path}"]
    assert mode_of(path.parent) == 0o755
    assert identity(path) == ""


def test_a_link_above_closes_nothing(
    everywhere: pathlib.Path, archive: str, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    """What counts is where it lies: a link in a closed directory leads to an open one."""
    (everywhere / "page").touch()
    (tmp_path / "link").symlink_to(everywhere)
    args: Result = {"path": str(tmp_path / "link/root"), "archive": archive}
    failed(run_module("ns_rootfs", args), *REFUSED)
    (everywhere / "web").symlink_to(tmp_path)
    done = run_module("ns_rootfs", {"path": str(everywhere / "web/root"), "archive": archive})
    assert done["changed"], done
    assert identity(everywhere / "web/root") == ""


def test_another_mount_of_it_counts(
    everywhere: pathlib.Path, archive: str, run_module: RunModule
) -> None:
    closed = everywhere / "closed"
    (closed / "a").mkdir(parents=True)
    (closed / "a/page").touch()
    closed.chmod(0o700)
    (everywhere / "shown").mkdir()
    mounts.mount(str(closed / "a"), str(everywhere / "shown"), flags=mounts.MS_BIND)
    args: Result = {"path": str(closed / "a/root"), "archive": archive}
    result = failed(run_module("ns_rootfs", args), *REFUSED)
    assert str(everywhere / "shown") in result["hint"]
    mounts.umount(str(everywhere / "shown"))
    assert run_module("ns_rootfs", args)["changed"]


def test_a_mount_of_the_root_itself_counts(
    everywhere: pathlib.Path, archive: str, run_module: RunModule
) -> None:
    path, shown = everywhere / "web/root", everywhere / "shown"
    shown.mkdir()
    args: Result = {"path": str(path), "archive": archive}
    assert run_module("ns_rootfs", args)["changed"]
    mounts.mount(str(path), str(shown), flags=mounts.MS_BIND)
    assert identity(shown) == "0"
    failed(run_module("ns_rootfs", args), REFUSED[0], f"mounted on {shown} as well")
    assert run_module("ns_rootfs", {**args, "reachable": True})["changed"] is False
    flags = mounts.MS_REMOUNT | mounts.MS_BIND | mounts.MS_NOSUID
    mounts.mount("none", str(shown), flags=flags)
    assert identity(shown) != "0"
    assert run_module("ns_rootfs", args)["changed"] is False
    mounts.umount(str(shown))
    # As bind_self has it, below what is closed.
    mounts.mount(str(path), str(path), flags=mounts.MS_BIND)
    assert run_module("ns_rootfs", args)["changed"] is False
    mounts.umount(str(path))


def test_a_mount_point(everywhere: pathlib.Path, archive: str, run_module: RunModule) -> None:
    (everywhere / "web").mkdir()
    (everywhere / "page").touch()
    mounts.mount("web", str(everywhere / "web"), fstype="tmpfs", data="mode=700")
    args: Result = {"path": str(everywhere / "web"), "archive": archive}
    failed(run_module("ns_rootfs", args), *REFUSED)
    everywhere.chmod(0o700)
    assert run_module("ns_rootfs", args)["changed"]
    assert identity(everywhere / "web") == ""


@pytest.mark.parametrize("where", ["pid", "namespace"])
def test_inside_it_is_the_host_that_counts(
    where: str, everywhere: pathlib.Path, archive: str, run_module: RunModule, new_name: NewName,
    unshared_process: UnsharedProcess,
) -> None:  # fmt: skip
    """A directory that a namespace shares with the host is in reach there; its own tmpfs is not."""
    if where == "pid":
        target: Result = {"pid": unshared_process().pid}
    else:
        target = {"namespace": new_name()}
        assert run_module("ns_namespace", {"name": target["namespace"]})["changed"]
    args = {**target, "archive": archive}
    (everywhere / "page").touch()
    failed(run_module("ns_rootfs", {**args, "path": str(everywhere / "root")}), *REFUSED)
    path = everywhere / "web/root"
    assert run_module("ns_rootfs", {**args, "path": str(path)})["changed"]
    assert identity(path) == ""
    assert mode_of(path.parent) == 0o700
    own = {"path": "/mnt", "src": "own", "fstype": "tmpfs", "opts": "mode=755"}
    assert run_module("ns_mount", {**target, **own})["changed"]
    assert run_module("ns_rootfs", {**args, "path": "/mnt/a/root"})["changed"]
    again = run_module("ns_rootfs", {**args, "path": "/mnt/a/root"})
    assert again["changed"] is False
    if where == "pid":  # the kernel takes what is mounted elsewhere for nosuid
        assert identity(f"/proc/{target['pid']}/root/mnt/a/root") != "0"


def test_removing_asks_for_nothing(
    everywhere: pathlib.Path, archive: str, converge: Converge
) -> None:
    path = everywhere / "root"
    (everywhere / "page").touch()
    converge("ns_rootfs", {"path": str(path), "archive": archive, "reachable": True})
    converge("ns_rootfs", {"path": str(path), "state": "absent"})
    assert not path.exists()


class TestUpperDirectory:
    """What an overlay writes lies on the host as well: root inside can leave a setuid program."""

    @pytest.fixture
    def overlay(
        self, everywhere: pathlib.Path, new_name: NewName, run_module: RunModule
    ) -> dict[str, t.Any]:
        """An overlay of a namespace, with its directories where every user can enter."""
        for name in ("lower", "upper", "work"):
            (everywhere / name).mkdir(mode=0o755)
        layers = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work"}
        opts = [f"{key}={everywhere / name}" for key, name in layers.items()]
        name = new_name()
        run_module("ns_namespace", {"name": name, "kinds": ["mnt"], "persistent": False})
        return {"namespace": name, "path": "/mnt", "fstype": "overlay", "src": "o", "opts": opts}

    def test_one_that_others_reach(
        self, overlay: dict[str, t.Any], everywhere: pathlib.Path, run_module: RunModule
    ) -> None:
        for check in (True, False, False):
            warnings = run_module("ns_mount", overlay, check=check)["warnings"]
            assert len(warnings) == 1
            assert f"{everywhere}/upper" in str(warnings)
            assert f"chmod 700 {everywhere} " in str(warnings)

    @pytest.mark.parametrize("closed", [".", "upper"])
    def test_one_that_others_do_not_reach(
        self, closed: str, overlay: dict[str, t.Any], everywhere: pathlib.Path, converge: Converge
    ) -> None:
        (everywhere / closed).chmod(0o700)
        assert "warnings" not in converge("ns_mount", overlay)

    def test_through_a_link(
        self, overlay: dict[str, t.Any], everywhere: pathlib.Path, run_module: RunModule
    ) -> None:
        """It is what the link leads to that counts."""
        closed = everywhere / "closed"
        closed.mkdir(mode=0o700)
        (everywhere / "upper").rename(closed / "upper")
        (everywhere / "upper").symlink_to(closed / "upper")
        (everywhere / "work").rename(closed / "work")
        (everywhere / "work").symlink_to(closed / "work")
        assert "warnings" not in run_module("ns_mount", overlay)

    def test_on_the_host(self, overlay: dict[str, t.Any], run_module: RunModule) -> None:
        """There, nobody is root who is not."""
        del overlay["namespace"]
        assert "warnings" not in run_module("ns_mount", overlay, check=True)

    def test_a_namespace_with_users_of_its_own(
        self, overlay: dict[str, t.Any], new_name: NewName, run_module: RunModule
    ) -> None:
        overlay["namespace"] = new_name()
        ranges = {"inside": 0, "outside": 100_000, "count": 65_536}
        args = {"kinds": ["mnt", "user"], "id_map": {"uid": [ranges], "gid": [ranges]}}
        done = run_module(
            "ns_namespace", {"name": overlay["namespace"], "persistent": False, **args}
        )
        assert not done.get("failed"), done
        assert "warnings" not in run_module("ns_mount", overlay, check=True)
