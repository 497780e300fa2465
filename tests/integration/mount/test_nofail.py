# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount and nsctl: nofail leaves out what is not there, noauto what nobody asks for."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t
import uuid

import pytest
from command import Nsctl
from disks import attached, new_ext4, place
from processes_inside import inside
from reboots import reboot
from results import Converge, Result, RunModule

__all__ = ["place"]
Args = dict[str, t.Any]
NewName = t.Callable[[], str]


@pytest.fixture
def web(converge: Converge, new_name: NewName) -> str:
    name = new_name()
    converge("ns_namespace", {"name": name, "kinds": ["mnt"]})
    return name


def is_mounted(name: str, place: pathlib.Path) -> bool:
    """Whether anything is; a bind is no mount point to os.path.ismount()."""
    text = inside(name, lambda: pathlib.Path("/proc/self/mountinfo").read_text())
    return f" {place} " in text


def states(nsctl: Nsctl, name: str) -> dict[str, str]:
    return {each["path"]: each["state"] for each in nsctl.data("show", name)["mounts"]}


def state_of(nsctl: Nsctl, name: str) -> str:
    (found,) = [each for each in nsctl.data("list") if each["name"] == name]
    return str(found["state"])


def source(kind: str, directory: pathlib.Path, fsuuid: str) -> Args:
    return {
        "tag": {"src": f"UUID={fsuuid}", "fstype": "ext4"},
        "tag of any type": {"src": f'UUID="{fsuuid}"', "fstype": "auto"},
        "image": {"src": f"{directory}/image", "opts": "loop"},
        "bind": {"src": f"{directory}/source", "opts": "bind"},
    }[kind]


REASONS = {"tag": "no device of this host has", "tag of any type": "no device of this host has"}


@pytest.mark.parametrize("kind", ["tag", "tag of any type", "image", "bind"])
def test_left_out_until_it_is_there(
    kind: str,
    converge: Converge,
    run_module: RunModule,
    web: str,
    nsctl: Nsctl,
    place: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    fsuuid = str(uuid.uuid4())
    args: Args = {"namespace": web, "path": str(place), **source(kind, tmp_path, fsuuid)}
    without = run_module("ns_mount", args)
    assert without["failed"], without
    args["opts"] = ",".join(filter(None, [args.get("opts"), "nofail"]))
    (warning,) = left_out(converge("ns_mount", args))
    assert warning.startswith(f"the mount on {place} is left out: ")
    assert REASONS.get(kind, "does not exist on this host") in warning
    assert not is_mounted(web, place)
    assert states(nsctl, web) == {str(place): "left out"}
    assert state_of(nsctl, web) == "up"
    assert nsctl.data("show", web)["changes"] == []
    assert warning.split(": ", 1)[1].split(", as ")[0] in nsctl("show", web).stdout
    said = nsctl("up", web)
    assert said.stdout == f"{web}: up already\n"
    assert said.stderr == f"nsctl up: {web}: {warning}\n"

    if kind == "bind":
        (tmp_path / "source").mkdir()
    else:
        new_ext4(tmp_path / "image", fsuuid=fsuuid)
    if kind.startswith("tag"):
        with attached(tmp_path / "image"):
            comes_and_goes(converge, web, nsctl, place, args)
    else:
        comes_and_goes(converge, web, nsctl, place, args)


def comes_and_goes(
    converge: Converge, web: str, nsctl: Nsctl, place: pathlib.Path, args: Args
) -> None:
    """Now it is there: the next run mounts it, and so does the next that brings it up."""
    assert states(nsctl, web) == {str(place): "missing"}
    assert state_of(nsctl, web) == "partial"
    made = converge("ns_mount", args)
    assert not left_out(made)
    assert made["actions"][0].startswith("mount ")
    assert is_mounted(web, place)
    nsctl("down", web)
    nsctl("up", web)
    assert is_mounted(web, place)
    assert states(nsctl, web)[str(place)] == "ok"
    converge("ns_mount", {"namespace": web, "path": str(place), "state": "unmounted"})


def left_out(result: Result) -> list[str]:
    """The warnings about that; what one looks like depends on the version of ansible-core."""
    texts = [
        each if isinstance(each, str) else each["event"]["msg"]
        for each in result.get("warnings", [])
    ]
    return [text for text in texts if "is left out" in text]


def test_a_namespace_comes_up_without_it(
    converge: Converge, web: str, nsctl: Nsctl, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """After a reboot too: it is open to programs, and what comes later in the definition is there."""
    (tmp_path / "later").mkdir()
    later = {"path": f"{tmp_path}/later", "src": "none", "fstype": "tmpfs"}
    gone = {"path": str(place), "src": "LABEL=gone", "opts": ["nofail"]}
    converge("ns_mount", {"namespace": web, "mounts": [gone, later]})
    reboot()
    nsctl("up", "--all")
    assert state_of(nsctl, web) == "up"
    assert (
        nsctl("exec", web, "--", "stat", "-f", "-c", "%T", f"{tmp_path}/later").stdout == "tmpfs\n"
    )
    assert not is_mounted(web, place)
    # Also by the play that makes it anew.
    reboot()
    again = converge("ns_namespace", {"name": web, "kinds": ["mnt"]})
    assert "is left out: no device of this host has LABEL=gone" in left_out(again)[0]
    assert state_of(nsctl, web) == "up"
    assert not converge("ns_mount", {"namespace": web, "mounts": [gone, later]})["changed"]


def test_what_is_mounted_stays_when_its_device_goes(
    converge: Converge, web: str, nsctl: Nsctl, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "source").mkdir()
    args = {"namespace": web, "path": str(place), "src": f"{tmp_path}/source"}
    converge("ns_mount", {**args, "opts": "bind,nofail"})
    (tmp_path / "source").rmdir()
    result = converge("ns_mount", {**args, "opts": "bind,nofail", "path": str(place)})
    assert not result["changed"]
    assert left_out(result)
    assert is_mounted(web, place)
    assert states(nsctl, web) == {str(place): "ok"}


def test_inside(
    converge: Converge, web: str, nsctl: Nsctl, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The same for a source that is looked up in the namespace."""
    own, source = {"namespace": web, "path": str(tmp_path), "src": "own", "fstype": "tmpfs"}, "x/y"
    args = {
        "namespace": web,
        "path": str(place),
        "src": f"{tmp_path}/{source}",
        "src_in": "namespace",
    }
    converge("ns_mount", own)
    inside(web, place.mkdir)
    (warning,) = left_out(converge("ns_mount", {**args, "opts": "bind,nofail"}))
    assert f"{tmp_path}/{source} does not exist in the target" in warning
    assert states(nsctl, web)[str(place)] == "left out"
    assert state_of(nsctl, web) == "up"
    inside(web, lambda: (tmp_path / source).mkdir(parents=True))
    assert state_of(nsctl, web) == "partial"
    assert converge("ns_mount", {**args, "opts": "bind,nofail"})["changed"]
    inside(web, lambda: (tmp_path / "x/y").rename(tmp_path / "x/z"))
    result = converge("ns_mount", {**args, "opts": "bind,nofail"})
    assert not result["changed"]


def test_inside_what_the_same_task_mounts(
    run_module: RunModule, web: str, nsctl: Nsctl, tmp_path: pathlib.Path
) -> None:
    """The task, and a namespace that comes up, see only then whether the source is there."""
    for name in ("own", "shown", "source"):
        (tmp_path / name).mkdir()
    own = {"path": f"{tmp_path}/own", "src": f"{tmp_path}/source", "opts": ["bind"]}
    shown = {"path": f"{tmp_path}/shown", "src": f"{tmp_path}/own/x", "src_in": "namespace"}
    args = {"namespace": web, "mounts": [own, {**shown, "opts": ["bind", "nofail"]}]}
    result = run_module("ns_mount", args)
    actions = [f"mount bind of {own['src']} on {own['path']}"]
    actions += [f"record the mount on {each['path']}" for each in (own, shown)]
    assert result["actions"] == actions
    assert left_out(result)
    assert run_module("ns_mount", args)["actions"] == []
    reboot()
    said = nsctl("up", web)
    assert f"the mount on {shown['path']} is left out" in said.stderr
    assert f"mount bind of {shown['src']}" not in said.stdout
    assert state_of(nsctl, web) == "up"
    reboot()
    (tmp_path / "source/x").mkdir()
    said = nsctl("up", web)
    assert said.stderr == ""
    assert is_mounted(web, pathlib.Path(shown["path"]))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"src": "/etc/passwd", "fstype": "ext4", "opts": "nofail"}, "block device"),
        ({"src": "/dev/null", "fstype": "auto", "opts": "nofail"}, "no block device"),
        ({"src": "none", "fstype": "none-such", "opts": "nofail"}, "knows no file-system type"),
        (
            {"src": "/usr", "opts": "bind,nofail", "path": "/none/such"},
            "does not exist in the target",
        ),
    ],
)
def test_everything_else_is_an_error(
    more: Args, reason: str, run_module: RunModule, web: str, place: pathlib.Path
) -> None:
    result = run_module("ns_mount", {"namespace": web, "path": str(place), **more})
    assert result.get("failed"), result
    assert reason in result["msg"]


def test_what_is_no_path_is_not_looked_for(
    converge: Converge, web: str, place: pathlib.Path
) -> None:
    """A word may look like one, and so may a share of the network."""
    args = {"namespace": web, "path": str(place), "opts": "nofail"}
    made = converge("ns_mount", {**args, "src": "/any/word", "fstype": "tmpfs"})
    assert made["mounts"][0]["src"] == "/any/word"


@pytest.mark.parametrize("fstype", ["cifs", "auto", "fuse.sshfs"])
def test_a_share_is_an_error_where_it_cannot_be_mounted(
    fstype: str, run_module: RunModule, web: str, place: pathlib.Path
) -> None:
    args = {"namespace": web, "path": str(place), "src": "//host/share", "fstype": fstype}
    assert run_module("ns_mount", {**args, "opts": "nofail"})["failed"]


def test_noauto(converge: Converge, web: str, nsctl: Nsctl, place: pathlib.Path) -> None:
    """A task that names it mounts it; a namespace that comes up by itself leaves it out."""
    args = {"namespace": web, "path": str(place), "src": "none", "fstype": "tmpfs"}
    made = converge("ns_mount", {**args, "opts": "noauto"})
    assert made["actions"][0] == f"mount tmpfs on {place}"
    assert states(nsctl, web) == {str(place): "ok"}
    assert nsctl("up", web).stdout == f"{web}: up already\n"
    assert is_mounted(web, place)
    reboot()
    assert nsctl("up", web).returncode == 0
    assert not is_mounted(web, place)
    assert states(nsctl, web) == {str(place): "left out"}
    assert (state_of(nsctl, web), nsctl.data("show", web)["changes"]) == ("up", [])
    assert nsctl("exec", web, "--", "true", code=0)
    assert converge("ns_mount", {**args, "opts": "noauto"})["changed"]
    reboot()
    # Who has it made by a play gets it from the task that names it.
    converge("ns_namespace", {"name": web, "kinds": ["mnt"]})
    assert not is_mounted(web, place)
    assert nsctl("exec", web, "--", "true", code=0)
    assert converge("ns_mount", {**args, "opts": "noauto"})["changed"]
    assert is_mounted(web, place)
    reboot()
    converge_opts = {**args, "opts": "noauto,auto"}
    converge("ns_namespace", {"name": web, "kinds": ["mnt"]})
    converge("ns_mount", converge_opts)
    reboot()
    nsctl("up", web)
    assert is_mounted(web, place)


def test_a_device_is_mounted_as_mount_8_does(
    converge: Converge, web: str, place: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The same words by the same program of util-linux: nothing is said, and nothing mounted."""
    words = ["mount", "-o", "nofail", "-t", "ext4", f"{tmp_path}/none", str(place)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    result = converge(
        "ns_mount",
        {
            "namespace": web,
            "path": str(place),
            "src": words[-2],
            "fstype": "ext4",
            "opts": "nofail",
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not is_mounted(web, place)
    assert [each["src"] for each in result["mounts"]] == []
