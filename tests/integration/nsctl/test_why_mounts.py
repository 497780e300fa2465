# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl why: in which namespaces it is mounted, and how that came."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from held import bind, mount_in, mounted, running, text_of, uses_of
from processes_inside import inside, living
from results import RunModule
from unshared_process import UnsharedProcess

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

Make = t.Callable[..., str]
Found = dict[str, t.Any]


def test_a_bind_in_a_named_namespace(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    name = namespace("mnt")
    place = tmp_path / "place"
    place.mkdir()
    (data / "sub").mkdir()
    bind(run_module, name, data / "sub", place)
    found = nsctl.data("why", str(data / "sub"))
    mount = mount_in(found, name)
    assert (mount["how"], mount["path"]) == ("bind", str(place))
    assert mount["origin"] == f"a bind of {data}/sub, as its definition says"
    (step,) = found["todo"]
    assert step.startswith(
        f"unmount {place} in namespace {name}: nsctl exec {name} -- umount {place} "
    )
    assert "ns_mount with state=unmounted" in step
    # The whole of it is held by that, and by its copy.
    whole = nsctl.data("why", str(data))
    assert {each["path"] for each in whole["mounts"]} == {str(data), str(place)}
    assert (whole["held"], whole["busy"]) == (True, False)
    assert whole["todo"] == [f"unmount {data} on the host: umount {data}"]
    assert step in whole["todo_elsewhere"]
    assert "can be unmounted, but what is on it stays in use elsewhere" in text_of(nsctl, data)
    with running(f"import os; os.chdir({str(place)!r})", nsctl.path, "exec", name, "--") as pid:
        found = nsctl.data("why", str(data))
        assert [(each["how"], each["path"], each["mount"]) for each in uses_of(found, pid)] == [
            ("directory", str(place), mount["id"])
        ]
        # The mount of the host is free of it.
        assert not found["busy"]
        mounts.umount(str(data), flags=0)
        gone = nsctl.data("why", str(data))
        assert gone["held"]
        mounts.mount("none", str(data), fstype="tmpfs")


@pytest.mark.newer_kernel
def test_a_copy_that_came_along(
    nsctl: Nsctl, run_module: RunModule, new_name: Make, data: pathlib.Path
) -> None:
    name = new_name()
    args = {"name": name, "kinds": ["mnt"]}
    assert run_module("ns_namespace", args)["changed"]
    copy = mount_in(nsctl.data("why", str(data)), name)
    assert copy["path"] == str(data)
    assert "a copy that came along when the namespace was made" in copy["origin"]
    assert copy["how"] == "copy"
    # What is said of the host's unmounting it is what happens.
    mounts.umount(str(data), flags=0)
    try:
        found = nsctl.data("why", str(data))
        assert copy["follows_host"] == (not found["mounts"])
        if found["mounts"]:
            assert mount_in(found, name)["how"] == "copy"
            assert "nsctl exec" in found["todo"][0]
            assert found["kind"] == "directory"
    finally:
        mounts.mount("none", str(data), fstype="tmpfs")


@pytest.mark.parametrize("propagation", ["private", "slave", "shared"])
def test_how_it_spreads(
    nsctl: Nsctl, unshared_process: UnsharedProcess, tmp_path: pathlib.Path, propagation: str
) -> None:
    before = unshared_process(options=["--propagation", propagation])
    with mounted(tmp_path / "later") as later:
        (later / "file").touch()
        found = nsctl.data("why", str(later))
        others = [each for each in found["mounts"] if each["pid"] == before.pid]
        if propagation == "private":
            assert others == []
            return
        (mount,) = others
        assert mount["how"] == "propagated"
        assert mount["follows_host"]
        word = "is a slave of" if propagation == "slave" else "shares"
        assert f"it {word} peer group" in mount["origin"]
        assert f"with {later} of the host" in mount["origin"]
        with before.started(["sh", "-c", f"cd {later}; echo; exec sleep 1000"]) as pid:
            (use,) = uses_of(nsctl.data("why", str(later)), pid)
            assert use["mount"] == mount["id"]
            text = text_of(nsctl, later)
            assert f"in the mount namespace of process {before.pid}" in text
            assert "goes when the host unmounts it" in text


def test_mounts_on_top(nsctl: Nsctl, data: pathlib.Path) -> None:
    with mounted(data / "upper") as upper:
        found = nsctl.data("why", str(data))
        assert found["busy"]
        assert [each["mounted_on_it"] for each in found["mounts"]] == [[str(upper)]]
        assert found["todo"][:2] == [
            f"unmount {upper} on the host, which lies on it: umount {upper}",
            f"unmount {data} on the host: umount {data}",
        ]
        (data / "directory").mkdir()
        with mounted(data / "directory" / "below") as below:
            directory = nsctl.data("why", str(data / "directory"))
            assert [each["path"] for each in directory["mounted_below"]] == [str(below)]
            assert directory["held"]
        assert not nsctl.data("why", str(data / "directory"))["held"]


def test_a_directory_that_was_removed(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    name = namespace("mnt")
    place, gone = tmp_path / "place", data / "gone"
    place.mkdir()
    gone.mkdir()
    bind(run_module, name, gone, place)
    with running("pass", cwd=gone) as pid:
        gone.rmdir()
        found = nsctl.data("why", str(gone))
        assert found["kind"] == "absent"
        assert mount_in(found, name)["origin"].startswith(
            "a bind of /gone, which was removed since"
        )
        assert uses_of(found, pid)[0]["path"] == f"{gone} (deleted)"
    gone.mkdir()  # another one
    assert not nsctl.data("why", str(gone))["held"]


def test_a_namespace_with_a_root_of_its_own(
    nsctl: Nsctl, namespace: Make, run_module: RunModule, data: pathlib.Path
) -> None:
    name = namespace("mnt")
    (data / "root" / "inner").mkdir(parents=True)
    place = data.parent / "place"
    place.mkdir()
    bind(run_module, name, data / "root", place)
    assert run_module("ns_pivot_root", {"namespace": name, "new_root": str(place)})["changed"]
    found = nsctl.data("why", str(data / "root"))
    assert mount_in(found, name)["path"] == "/"
    assert f"take namespace {name} down: / is its root: nsctl down {name}" in found["todo"]
    with living(name) as pid:
        hows = [each["how"] for each in uses_of(nsctl.data("why", str(data)), pid)]
        assert hows[:2] == ["directory", "root"]


def test_what_only_a_namespace_has(nsctl: Nsctl, namespace: Make, tmp_path: pathlib.Path) -> None:
    name = namespace("mnt")
    place = tmp_path / "own"
    place.mkdir()

    def mount() -> None:
        mounts.mount("none", str(place), fstype="tmpfs")
        os.mkdir(place / "deep")
        mounts.mount("none", str(place / "deep"), fstype="tmpfs")

    inside(name, mount)
    found = nsctl.data("why", str(place))
    assert (found["kind"], mount_in(found, name)["how"]) == ("directory", "mount")
    deep = nsctl.data("why", str(place / "deep"))
    assert (deep["kind"], mount_in(deep, name)["path"]) == ("absent", str(place / "deep"))
    assert "there is nothing by that path on the host" in text_of(nsctl, place / "deep")
    with running(f"f = open('{place}/deep/x', 'w')", nsctl.path, "exec", name, "--") as pid:
        (use,) = uses_of(nsctl.data("why", str(place / "deep")), pid)
        assert (use["how"], use["access"]) == ("file", "write")
    inside(name, lambda: mounts.umount(str(place), flags=mounts.MNT_DETACH))
    assert "there is no" in nsctl("why", str(place / "deep"), code=1).stderr


def test_one_in_which_all_have_another_root(
    nsctl: Nsctl, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """What such a process sees of the mounts is not all that its namespace has."""
    jail = tmp_path / "jail"
    jail.mkdir()
    script = f"import ctypes, os; ctypes.CDLL(None).unshare(0x20000); os.chroot({str(jail)!r}); os.chdir('/')"
    with running(script) as pid:
        found = nsctl.data("why", str(data))
        assert [each["path"] for each in found["mounts"] if each["pid"] == pid] == [str(data)]
