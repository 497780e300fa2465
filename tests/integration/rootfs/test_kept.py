# SPDX-License-Identifier: GPL-3.0-or-later
"""The archives that are kept of images: what is damaged is made anew, what nobody uses goes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import socket

import pytest
import scratch
from command import Nsctl
from images import make_image
from named_namespaces import NewName
from processes_inside import inside
from reboots import reboot
from results import Result, RunModule
from trees import make_tree, module_process
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core.actions import KILL_VARIABLE
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import cache

CACHE = pathlib.Path(cache.DIRECTORY)
# Where skopeo writes.
SCRATCH = pathlib.Path(scratch.SCRATCH)


@pytest.fixture
def image(tmp_path: pathlib.Path) -> str:
    tree = make_tree(tmp_path / "tree")
    (tree / "version").write_text("first")
    (tree / "dev/null").unlink()  # umoci makes none
    return make_image(tmp_path / "layout", tree, "tag")


@pytest.fixture
def web(run_module: RunModule, new_name: NewName) -> str:
    """A persistent namespace with a tmpfs on /mnt."""
    name = new_name()
    mount = {"namespace": name, "path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
    for module, args in (("ns_namespace", {"name": name}), ("ns_mount", mount)):
        assert run_module(module, args)["changed"]
    return name


def cut_short(archive: pathlib.Path) -> None:
    os.truncate(archive, 0)


def zeros(archive: pathlib.Path) -> None:
    archive.write_bytes(bytes(archive.stat().st_size))


def one_byte(archive: pathlib.Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)


def missing(archive: pathlib.Path) -> None:
    archive.unlink()


DAMAGES = {"cut short": cut_short, "zeros": zeros, "one byte": one_byte, "missing": missing}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_said_at_boot_and_made_anew_by_the_play(
    damage: str, image: str, web: str, run_module: RunModule, nsctl: Nsctl
) -> None:
    root: Result = {"namespace": web, "path": "/mnt", "image": image}
    assert run_module("ns_rootfs", root)["changed"]
    (archive,) = CACHE.iterdir()
    whole = archive.read_bytes()
    DAMAGES[damage](archive)
    reboot()
    up = nsctl("up", web, code=1)
    assert ("missing" if damage == "missing" else "damaged") in up.stderr
    assert "Run the play that made the root" in up.stderr
    done = run_module("ns_rootfs", root)
    assert not done.get("failed"), done
    assert archive.stat().st_size == len(whole)
    assert inside(web, lambda: pathlib.Path("/mnt/version").read_text()) == "first"
    assert run_module("ns_rootfs", root)["actions"] == []
    reboot()
    nsctl("up", web)
    assert inside(web, lambda: pathlib.Path("/mnt/version").read_text()) == "first"


@pytest.mark.parametrize("damage", ["cut short", "missing"])
def test_what_a_look_tells_is_made_anew_while_the_root_is_there(
    damage: str, image: str, web: str, run_module: RunModule
) -> None:
    root: Result = {"namespace": web, "path": "/mnt", "image": image}
    assert run_module("ns_rootfs", root)["changed"]
    (archive,) = CACHE.iterdir()
    DAMAGES[damage](archive)
    expected = [f"keep {image} anew as {archive}"]
    assert run_module("ns_rootfs", root, check=True)["actions"] == expected
    assert run_module("ns_rootfs", root)["actions"] == expected
    assert archive.stat().st_size > 0
    assert run_module("ns_rootfs", root)["actions"] == []


def kill_while_packing(web: str, image: str) -> None:
    process = module_process({"namespace": web, "path": "/mnt", "image": image})
    assert wait_until(lambda: bool(cache.left()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert cache.left() != []


@pytest.mark.parametrize("after", ["absent", "absent again", "another root", "the same"])
def test_what_a_killed_run_was_packing_goes(
    after: str, image: str, web: str, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    absent = ("ns_namespace", {"name": web, "state": "absent"})
    if after == "absent again":
        kept_alive = CACHE / ".mine"
        CACHE.mkdir(mode=0o700)
        kept_alive.touch()
    kill_while_packing(web, image)
    if after == "absent again":
        work = CACHE / cache.left()[0]
        run_module(*absent)
        work.mkdir()
        assert run_module(*absent)["actions"] == []
        assert os.listdir(CACHE) == [".mine"]  # what is somebody's own stays
        shutil.rmtree(CACHE)
        return
    if after == "absent":
        assert run_module(*absent)["changed"]
    else:
        root: Result = {"namespace": web, "path": "/mnt"}
        source = {"the same": {"image": image}, "another root": {"directory": f"{tmp_path}/tree"}}
        assert run_module("ns_rootfs", {**root, **source[after]})["changed"]
    assert cache.left() == []
    if after != "the same":
        assert not CACHE.exists()


def scratch_of(pid: int) -> str:
    """The directory that the skopeo of a run has for itself, by its name."""
    found: list[str] = []

    def look() -> bool:
        for each in proc.all_pids():
            facts = proc.process_facts(each)
            words = proc.text_of(f"/proc/{each}/cmdline").split("\0")
            if facts is not None and facts.parent == pid and words[0] == "skopeo":
                found[:] = [word.rpartition("/")[2] for word in words if "--tmpdir=" in word]
        return bool(found)

    assert wait_until(look)
    return found[0]


def test_what_a_killed_run_was_asking_with_goes(
    image: str, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    """The directory that skopeo has for itself; one that is in use stays, and somebody else's."""

    def there(*names: str) -> bool:
        return {*names} <= {*os.listdir(SCRATCH)}

    theirs = SCRATCH / f"linux-namespaces-{0:016x}"
    theirs.mkdir()
    os.chown(theirs, 1000, 1000)
    with socket.create_server(("127.0.0.1", 0)) as silent, contextlib.ExitStack() as stack:
        stack.callback(theirs.rmdir)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        args = {"image": f"docker://{address}/x:y", "tls_verify": False}
        killed, waits = (module_process({**args, "path": f"{tmp_path}/{n}"}) for n in range(2))
        for process in (killed, waits):
            stack.enter_context(process)
            stack.callback(process.kill)
        left, used = scratch_of(killed.pid), scratch_of(waits.pid)
        killed.kill()
        killed.wait()
        assert there(left, used)
        root = {"path": f"{tmp_path}/root", "image": image}
        assert run_module("ns_rootfs", root)["changed"]
        assert not there(left)
        assert there(used, theirs.name)
    assert not run_module("ns_rootfs", root)["changed"]
    assert not there(used)


def test_an_archive_that_no_definition_names_goes(
    image: str, web: str, run_module: RunModule
) -> None:
    """A run that was killed before it recorded what it had kept."""
    root: Result = {"namespace": web, "path": "/mnt", "image": image}
    with pytest.raises(AssertionError, match="status -9"):
        run_module("ns_rootfs", root, env={KILL_VARIABLE: "record the root"})
    assert len(os.listdir(CACHE)) == 1
    assert run_module("ns_namespace", {"name": web, "state": "absent"})["changed"]
    assert not CACHE.exists()


def test_what_a_live_run_has_not_recorded_yet_stays(
    image: str, web: str, run_module: RunModule, new_name: NewName
) -> None:
    other = new_name()
    assert run_module("ns_namespace", {"name": other})["changed"]
    root: Result = {"namespace": web, "path": "/mnt", "image": image}
    assert run_module("ns_rootfs", root)["changed"]
    (archive,) = CACHE.iterdir()
    spare = archive.with_name(f"{'0' * 64}.tar")
    spare.touch()
    held = os.open(CACHE, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert run_module("ns_namespace", {"name": other, "state": "absent"})["changed"]
        assert spare.exists()
    finally:
        os.close(held)
    run_module("ns_namespace", {"name": other, "state": "absent"})
    assert list(CACHE.iterdir()) == [archive]
