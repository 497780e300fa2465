# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of mount(8) in the opts of ns_mount: what each does, and that the next run leaves it alone."""

from __future__ import annotations

import grp
import os
import pathlib
import pwd
import subprocess
import typing as t

import pytest
from disks import run
from mounted import lines_on
from results import Converge, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until


def shown(target: Unshared, path: pathlib.Path) -> tuple[list[str], list[str]]:
    """The flags of the mount on ``path``, and the options of its file system."""
    (line,) = lines_on(target, path)
    mount, _dash, filesystem = line.partition(" - ")
    return mount.split(" ")[5].split(","), filesystem.split(" ")[2].split(",")


@pytest.mark.parametrize(
    ("opts", "mount", "filesystem"),
    [
        ("ro", "ro", "ro"),
        ("ro=vfs", "ro", "rw"),
        ("ro=fs", "rw", "ro"),
        ("rw=vfs", "rw", "rw"),
        ("ro,rw=fs", "rw", "rw"),
    ],
)
def test_which_of_the_two_is_read_only(
    opts: str,
    mount: str,
    filesystem: str,
    converge: Converge,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    assert converge("ns_mount", {**args, "opts": opts})["changed"]
    flags, options = shown(target, tmp_path)
    assert (flags[0], options[0]) == (mount, filesystem)
    # From each of them to each other one.
    converge("ns_mount", {**args, "opts": "rw=fs"})
    converge("ns_mount", {**args, "opts": opts})
    flags, options = shown(target, tmp_path)
    assert (flags[0], options[0]) == (mount, filesystem)


@pytest.mark.parametrize(
    "opts",
    [
        "silent,loud,iversion,noiversion",
        "comment=for people,uhelper=udisks2,helper=any,user=joe",
        "comment,uhelper,helper,silent=",
        "sync,async,mand,nomand,lazytime,nolazytime",
        "seclabel,rootcontext=system_u:object_r:tmp_t:s0",
        "_netdev,auto,nofail,x-systemd.automount,x-systemd.requires-mounts-for=/srv,X-any",
        "X-mount.noloop,X-mount.auto-fstypes=ext4",
        "norelatime",
        "nostrictatime",
        "rw,defaults,suid,dev,exec,async",
    ],
)
def test_words_that_change_nothing(
    opts: str, converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    converge("ns_mount", {**args, "opts": opts})
    flags, options = shown(target, tmp_path)
    assert flags == ["rw", "relatime"]
    assert options[0] == "rw"
    assert {*options} <= {"rw", "inode64"}


SPELLINGS: list[t.Any] = [
    'size=10m,context="system_u:object_r:tmp_t:s0:c127,c456",mode=700',
    ['size=10m,context="system_u:object_r:tmp_t:s0:c127,c456"', "mode=700"],
    ["size=10m", 'context="system_u:object_r:tmp_t:s0:c127,c456",mode=700'],
    # As a string with commas becomes a list, before anybody looks at quotes.
    ["size=10m", 'context="system_u:object_r:tmp_t:s0:c127', 'c456"', "mode=700"],
    ["size=10m", '"context=system_u:object_r:tmp_t:s0:c127,c456"', "mode=700"],
]


@pytest.mark.parametrize("opts", SPELLINGS)
def test_commas_in_quotes(
    opts: t.Any, converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"path": str(tmp_path), "fstype": "tmpfs", "src": "words", "opts": opts}
    converge("ns_mount", {"pid": target.pid, "mounts": [args]})
    assert not converge("ns_mount", {"pid": target.pid, **args})["changed"]
    _flags, options = shown(target, tmp_path)
    assert {"size=10240k", "mode=700"} <= {*options}


def test_the_older_spelling(converge: Converge, target: Unshared, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "made/here"
    args = {"pid": target.pid, "path": str(path), "fstype": "tmpfs", "src": "words"}
    converge("ns_mount", {**args, "opts": "x-mount.mkdir=0710"})
    assert target.run("stat", "-c", "%a", str(tmp_path / "made")).strip() == "710"


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        ({"opts": "move"}, "'move' is not a mount option here", "state: unmounted"),
        ({"fstype": "sysfs", "opts": "ro=fs"}, "is one file system for all who mount it", "ro=vfs"),
        ({"opts": "nodev=vfs"}, "nodev is about the mount alone", "Write nodev."),
        ({"opts": "X-mount.nocanonicalize"}, "links in it are always followed", "Name the path"),
        ({"opts": "verity.roothash=ab"}, "no device of dm-verity is made", "veritysetup(8)"),
        ({"opts": "loop,encryption=aes"}, "is gone from the kernel", "cryptsetup(8)"),
        ({"opts": "loop,offset=half"}, "'offset=half' is no number of bytes", "1MiB"),
        ({"opts": "loop=/dev/loop3"}, "not for opts to choose", "Write loop alone"),
        ({"opts": "X-mount.noloop,loop"}, "exclude each other", "Leave one of them out"),
        (
            {"fstype": "", "opts": "bind,ro=fs", "src": "/usr"},
            "a bind mount takes no file-system option: ro=fs",
            "change that mount",
        ),
        (
            {"fstype": "", "opts": "bind,X-mount.idmap=u:0:100000:65536", "src": "/usr"},
            "maps users and no groups: the kernel takes no such map",
            "g:0:0:4294967295",
        ),
    ],
)
def test_words_that_are_refused(
    args: dict[str, str],
    reason: str,
    hint: str,
    run_module: RunModule,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    table = target.mountinfo()
    base = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    is_failure(run_module("ns_mount", {**base, **args}), reason, hint)
    assert target.mountinfo() == table


def test_what_the_host_has_mounted_stays_writable(
    run_module: RunModule, unshared_process: UnsharedProcess, tmp_path: pathlib.Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "words", str(tmp_path)], check=True)
    try:
        target = unshared_process()
        args = {"pid": target.pid, "path": str(tmp_path), "state": "remounted"}
        result = run_module("ns_mount", {**args, "opts": "ro=fs"})
        is_failure(result, "is mounted on the host as well", "Use ro=vfs")
        assert not run_module("ns_mount", {**args, "opts": "ro=vfs"}).get("failed")
        flags, options = shown(target, tmp_path)
        assert (flags[0], options[0]) == ("ro", "rw")
        (tmp_path / "written").touch()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_id_map_of_users_alone(
    converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    """What the hint says of it is a map that the kernel takes."""
    (tmp_path / "src").mkdir()
    (tmp_path / "mnt").mkdir()
    args = {"pid": target.pid, "path": str(tmp_path / "mnt"), "src": str(tmp_path / "src")}
    idmap = "X-mount.idmap=u:0:3000:65536 g:0:0:4294967295"
    converge("ns_mount", {**args, "opts": f"bind,{idmap}"})
    assert target.run("stat", "-c", "%u %g", str(tmp_path / "mnt")).strip() == "3000 0"


# Users and groups by name


def named_root(path: pathlib.Path, *, uid: int, gid: int) -> None:
    """Make a root at the path in which www-data and tty have these ids."""
    (path / "etc").mkdir(parents=True)
    (path / "mnt").mkdir()
    (path / "etc/passwd").write_text(f"www-data:x:{uid}:{gid}::/:/bin/sh\n")
    (path / "etc/group").write_text(f"tty:x:{gid}:\n")


def test_names_are_those_of_the_target(
    converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    converge("ns_mount", {**args, "opts": "uid=www-data,gid=tty,mode=750"})
    own = (pwd.getpwnam("www-data").pw_uid, grp.getgrnam("tty").gr_gid)
    assert {f"uid={own[0]}", f"gid={own[1]}"} <= {*shown(target, tmp_path)[1]}
    # The same ids as numbers are the same.
    same = f"uid={own[0]},gid={own[1]},mode=0750"
    assert not converge("ns_mount", {**args, "opts": same})["changed"]
    # /etc of the target is another one than the host's.
    target.run("mount", "-t", "tmpfs", "etc", "/etc")
    target.run("sh", "-c", "echo www-data:x:1033:1033::/:/bin/sh >/etc/passwd")
    target.run("sh", "-c", "echo tty:x:1005: >/etc/group")
    converge("ns_mount", {**args, "opts": "uid=www-data,gid=tty,mode=750"})
    assert {"uid=1033", "gid=1005"} <= {*shown(target, tmp_path)[1]}


def test_a_name_that_nobody_has(
    run_module: RunModule, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    for opts, reason in (
        (
            "uid=nobody-here",
            "uid=nobody-here of the mount on {}: there is no user 'nobody-here' in",
        ),
        ("gid=no-group", "gid=no-group of the mount on {}: there is no group 'no-group' in"),
        (
            "X-mount.owner=nobody-here",
            "there is no user 'nobody-here' in /etc/passwd and /etc/group of",
        ),
    ):
        result = run_module("ns_mount", {**args, "opts": opts})
        is_failure(result, reason.replace("{}", str(tmp_path)), "give its id as a number")
        # An earlier task may make the user.
        assert run_module("ns_mount", {**args, "opts": opts}, check=True)["changed"]
    assert not target.mounted_on(str(tmp_path))


def test_names_below_a_root_to_come(
    converge: Converge,
    run_module: RunModule,
    new_name: t.Callable[[], str],
    tmp_path: pathlib.Path,
) -> None:
    """They are those of the root that is mounted above: by the same task, later, and after a pivot."""
    name = new_name()
    root = tmp_path / "root"
    named_root(root, uid=4033, gid=4005)
    run_module("ns_namespace", {"name": name, "kinds": ["mnt"]})
    mounts = [
        {"path": "/mnt", "src": str(root), "opts": "bind"},
        {"path": "/mnt/mnt", "src": "names", "fstype": "tmpfs", "opts": "uid=www-data,gid=tty"},
    ]
    done = converge("ns_mount", {"namespace": name, "mounts": mounts})
    assert {"uid=4033", "gid=4005"} <= {*done["mounts"][1]["opts"]}
    (root / "old").mkdir()
    pivot = {"namespace": name, "new_root": "/mnt", "put_old": "/mnt/old"}
    assert not run_module("ns_pivot_root", pivot).get("failed")
    assert not converge("ns_mount", {"namespace": name, "mounts": mounts})["changed"]
    # A definition keeps the names: another id is another one for the next task.
    (root / "etc/passwd").write_text("www-data:x:4034:4005::/:/bin/sh\n")
    done = converge("ns_mount", {"namespace": name, "mounts": mounts})
    assert "uid=4034" in done["mounts"][1]["opts"]


@pytest.mark.parametrize("kind", ["fifo", "device", "directory", "link out", "proc"])
def test_names_in_a_hostile_root(
    kind: str, run_module: RunModule, target: Unshared, tmp_path: pathlib.Path
) -> None:
    """What is in the place of its lists of users is never opened, and no link leads out of it."""
    target.run("mount", "-t", "tmpfs", "etc", "/etc")
    passwd = "/etc/passwd"
    made = {
        "fifo": ["mkfifo", passwd],
        "device": ["mknod", passwd, "c", "1", "5"],
        "directory": ["mkdir", passwd],
        "link out": ["ln", "-s", "../../../../../../etc/shadow", passwd],
        "proc": ["ln", "-s", "/proc/kmsg", passwd],
    }
    target.run(*made[kind])
    args = {"pid": target.pid, "path": str(tmp_path), "src": "words", "fstype": "tmpfs"}
    for check in (False, True):
        result = run_module("ns_mount", {**args, "opts": "uid=www-data"}, check=check)
        if kind == "link out":
            assert check or "there is no user 'www-data'" in result["reason"]
        else:
            is_failure(result, "is not a file that lists users", "")
            assert "/etc/passwd of the root that the mount lies in" in result["reason"]
    assert not target.mounted_on(str(tmp_path))


# The root of a mount


def root_of(target: Unshared, path: pathlib.Path) -> str:
    return target.run("stat", "-c", "%u %g %a", str(path)).strip()


def test_owner_group_and_mode(
    kernel: dict[str, str], converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path), "fstype": "tmpfs", "src": "words"}
    opts = "mode=755,X-mount.owner=www-data,X-mount.group=5,X-mount.mode=2750"
    converge("ns_mount", {**args, "opts": opts}, env=kernel)
    assert root_of(target, tmp_path) == "33 5 2750"
    # What somebody changed is set again, without a new mount.
    target.run("touch", f"{tmp_path}/kept")
    target.run("chown", "7:7", str(tmp_path))
    done = converge("ns_mount", {**args, "opts": opts}, env=kernel)
    assert done["actions"] == [f"give {tmp_path} owner 33, group 5, mode 2750"]
    assert root_of(target, tmp_path) == "33 5 2750"
    done = converge("ns_mount", {**args, "opts": "X-mount.mode=0700"}, env=kernel)
    assert done["actions"] == [f"give {tmp_path} mode 0700"]
    assert target.run("ls", str(tmp_path)) == "kept\n"


def test_owner_of_a_bind(converge: Converge, target: Unshared, tmp_path: pathlib.Path) -> None:
    """Of what it shows, as for mount(8)."""
    for name in ("src", "mnt"):
        (tmp_path / name).mkdir()
    args = {"pid": target.pid, "path": str(tmp_path / "mnt"), "src": str(tmp_path / "src")}
    converge("ns_mount", {**args, "opts": "bind,X-mount.owner=12,X-mount.mode=0711"})
    assert root_of(target, tmp_path / "src") == "12 0 711"


# A directory in the place of the root


@pytest.fixture
def image(tmp_path: pathlib.Path) -> pathlib.Path:
    """An image of ext4 with directories and a link in it."""
    (tmp_path / "content/in/side").mkdir(parents=True)
    (tmp_path / "content/in/side/file").write_text("from inside")
    (tmp_path / "content/link").symlink_to("in")
    (tmp_path / "mnt").mkdir()
    run("mkfs.ext4", "-q", "-d", str(tmp_path / "content"), str(tmp_path / "image"), "8m")
    return tmp_path / "image"


def test_a_subdirectory(
    kernel: dict[str, str],
    converge: Converge,
    target: Unshared,
    image: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    place = tmp_path / "mnt"
    args = {"pid": target.pid, "path": str(place), "src": str(image), "fstype": "ext4"}
    converge("ns_mount", {**args, "opts": "loop,nosuid,X-mount.subdir=in/side"}, env=kernel)
    assert target.run("cat", f"{place}/file") == "from inside"
    flags, _options = shown(target, place)
    assert "nosuid" in flags
    done = converge("ns_mount", {**args, "opts": "loop,nosuid,X-mount.subdir=/in/"}, env=kernel)
    assert done["actions"] == [f"replace with ext4 on {place} (differs: subdirectory)"]
    assert target.run("ls", str(place)) == "side\n"
    converge("ns_mount", {"pid": target.pid, "path": str(place), "state": "unmounted"}, env=kernel)
    assert not [row for row in target.mountinfo() if "/mnt" in row and str(tmp_path) in row]


@pytest.mark.parametrize(
    ("subdir", "reason"),
    [
        ("missing", "there is no such directory in the file system"),
        ("in/side/file/more", "something above it is no directory"),
        ("link/side", "it is a link, or leads through one"),
    ],
)
def test_subdirectories_that_are_not_there(
    subdir: str,
    reason: str,
    kernel: dict[str, str],
    run_module: RunModule,
    target: Unshared,
    image: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    args = {"pid": target.pid, "path": str(tmp_path / "mnt"), "src": str(image), "fstype": "ext4"}
    opts = f"loop,X-mount.subdir={subdir}"
    is_failure(run_module("ns_mount", {**args, "opts": opts}, env=kernel), reason, "without it")
    assert not target.mounted_on(str(tmp_path / "mnt"))
    assert wait_until(lambda: not run("losetup", "-j", str(image)))


@pytest.mark.parametrize(
    ("args", "reason", "hint"),
    [
        (
            {"src": "words", "fstype": "tmpfs", "opts": "ro,X-mount.mode=0700"},
            "cannot be changed: it can only be read",
            "while the file system is writable",
        ),
        (
            {"src": "{}/src", "opts": "bind,X-mount.mode=0700"},
            "belongs to nobody whom the caller may act for in the user namespace",
            "X-mount.idmap",
        ),
        (
            {"src": "words", "fstype": "tmpfs", "opts": "X-mount.owner=4000000000"},
            "is no id of the user namespace of the target",
            "uid_map",
        ),
    ],
)
def test_roots_that_cannot_be_changed(
    args: dict[str, str],
    reason: str,
    hint: str,
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    tmp_path: pathlib.Path,
) -> None:
    target = unshared_process(["user", "mnt"], options=["--map-root-user"])
    for name in ("src", "mnt"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "src", 12, 12)  # nobody inside
    filled = {key: value.replace("{}", str(tmp_path)) for key, value in args.items()}
    result = run_module("ns_mount", {"pid": target.pid, "path": f"{tmp_path}/mnt", **filled})
    is_failure(result, reason, hint)
    assert not target.mounted_on(f"{tmp_path}/mnt")


def test_names_in_a_user_namespace(
    converge: Converge, run_module: RunModule, new_name: t.Callable[[], str]
) -> None:
    """An id is one of the namespace that the mount is in."""
    name = new_name()
    maps = [{"inside": 0, "outside": 100000, "count": 65536}]
    kinds = {"kinds": ["mnt", "user"], "id_map": {"uid": maps, "gid": maps}}
    assert not run_module("ns_namespace", {"name": name, **kinds}).get("failed")
    args = {"namespace": name, "path": "/mnt", "src": "words", "fstype": "tmpfs"}
    converge("ns_mount", {**args, "opts": "uid=www-data,X-mount.group=tty,mode=755"})
    look = {"namespace": name, "argv": ["stat", "-c", "%u %g %a", "/mnt"]}
    assert run_module("ns_setns_run", look)["stdout"].strip() == "33 5 755"


def test_names_in_a_run(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    """They are those of the root that the program gets."""
    root = tmp_path / "root"
    named_root(root, uid=4033, gid=4005)
    program = "import os; s = os.stat('/mnt'); print(s.st_uid, s.st_gid)"
    mounts = [
        {"path": f"/{each}", "src": f"/{each}", "opts": "bind,X-mount.mkdir"}
        for each in ("usr", "lib", "lib64")
    ]
    mounts.append(
        {"path": "/mnt", "src": "words", "fstype": "tmpfs", "opts": "uid=www-data,gid=tty"}
    )
    for where, ids in ({"root": str(root)}, "4033 4005"), ({}, "33 5"):
        args = {"kinds": ["mnt"], "argv": ["/usr/bin/python3", "-c", program], **where}
        result = run_module("ns_unshare_run", {**args, "mounts": mounts if where else mounts[-1:]})
        assert result["stdout"].strip() == ids, result
