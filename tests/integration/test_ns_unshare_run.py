# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run: new namespaces, what is arranged in them, and that nothing of it is left."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
import typing as t

import pytest
from conftest import Result, RunModule, RunTasks, examples_of, wait_until
from programs import in_child, status_of

from ansible_collections.linux.namespaces.plugins.module_utils._core import (
    kinds,
    mount_table,
    nsfs,
)

NOBODY = 65534
MODULE = "ns_unshare_run"
ALL_KINDS = list(kinds.NAMES)
OLDER = {"LINUX_NAMESPACES_ABSENT_CALLS": "mount_setattr clone3 close_range"}
Run = t.Callable[..., Result]


@pytest.fixture
def run(run_module: RunModule) -> Run:
    """Run the module: keywords are its options, ``argv`` first; it must succeed."""

    def unshare_run(
        *argv: str,
        check: bool = False,
        env: dict[str, str] | None = None,
        as_user: int | None = None,
        **options: t.Any,
    ) -> Result:
        args = {**({"argv": list(argv)} if argv else {}), **options}
        result = run_module(MODULE, args, check=check, env=env, user=as_user)
        assert not result.get("failed"), result["msg"]
        result["stdout_lines"] = result["stdout"].splitlines()  # as Ansible adds it
        return result

    return unshare_run


@pytest.fixture
def failure(run_module: RunModule) -> Run:
    """Run the module, which must fail."""

    def unshare_fail(
        *argv: str,
        env: dict[str, str] | None = None,
        as_user: int | None = None,
        **options: t.Any,
    ) -> Result:
        args = {**({"argv": list(argv)} if argv else {}), **options}
        result = run_module(MODULE, args, env=env, user=as_user)
        assert result.get("failed"), result
        return result

    return unshare_fail


@pytest.fixture
def small_root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A root file system with nothing but links, to which /usr is still to be mounted."""
    root = pathlib.Path("/run/tests") / tmp_path.name  # where a plain user can look
    for name in ("usr", "etc", "proc", "tmp", "data"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(os.readlink(f"/{name}"))
    (root / "etc/passwd").write_text("inside:x:1234:1235::/:/bin/sh\n")
    (root / "etc/group").write_text("insiders:x:1235:\nothers:x:1300:inside\n")
    return root


USR: dict[str, t.Any] = {"path": "/usr", "src": "/usr", "opts": ["rbind", "ro"]}


def living(marker: str) -> list[int]:
    """The processes in whose command line the marker stands."""
    found = []
    for pid in nsfs.all_pids():
        facts = nsfs.process_facts(pid)
        if facts is not None and marker in facts.command and facts.state != "Z":
            found.append(pid)
    return found


def test_tutorial_row_5_a_tmpfs_that_the_host_does_not_see(run: Run) -> None:
    result = run(
        "sh",
        "-c",
        "echo secret >/mnt/file; cat /mnt/file; grep ' /mnt ' /proc/mounts",
        mounts=[{"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs", "opts": "size=10m"}],
    )
    assert result["stdout"].splitlines()[0] == "secret"
    assert "size=10240k" in result["stdout"]
    assert not os.path.exists("/mnt/file")
    assert " /mnt " not in pathlib.Path("/proc/mounts").read_text()
    assert result["changed"] is True
    assert result["actions"] == ["mount tmpfs on /mnt", "run sh"]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_each_kind_alone_is_new_for_the_program_and_the_others_are_the_host_s(
    run: Run, kind: str
) -> None:
    result = run("readlink", *(f"/proc/self/ns/{name}" for name in ALL_KINDS), kinds=[kind])
    seen = dict(zip(ALL_KINDS, map(nsfs.parse_link, result["stdout_lines"])))
    assert result["namespaces"] == seen
    own = nsfs.ids_of_process("self")
    assert [name for name in ALL_KINDS if own[name] != seen[name]] == [kind]


@pytest.mark.parametrize("env", [{}, OLDER], ids=["newest", "older"])
def test_all_kinds_together(run: Run, env: dict[str, str]) -> None:
    script = "echo $$; hostname; cat /sys/class/net/lo/operstate; ps ax --no-headers | wc -l"
    result = run("sh", "-c", script, kinds=ALL_KINDS, hostname="inside", env=env)
    assert result["stdout_lines"][0:2] == ["1", "inside"]
    assert int(result["stdout_lines"][3]) <= 4
    own = nsfs.ids_of_process("self")
    assert all(result["namespaces"][kind] != own[kind] for kind in ALL_KINDS)


def test_without_kinds_the_mount_namespace_is_new(run: Run) -> None:
    own = nsfs.ids_of_process("self")
    seen = run("true")["namespaces"]
    assert [kind for kind in ALL_KINDS if own[kind] != seen[kind]] == ["mnt"]


def test_the_pid_namespace_ends_with_the_program(run: Run) -> None:
    marker = f"sleep 98{os.getpid()}"
    started = time.monotonic()
    run("sh", "-c", f"{marker} & setsid {marker} & true", kinds=["pid"])
    assert time.monotonic() - started < 30
    assert living(marker) == []


@pytest.mark.parametrize("wanted", [None, True, False])
def test_loopback(run: Run, wanted: bool | None) -> None:
    result = run("ip", "-o", "link", "show", "lo", kinds=["net"], loopback=wanted)
    assert ("LOOPBACK,UP" in result["stdout"]) == (wanted is not False)


def test_hostname_is_the_host_s_still(run: Run) -> None:
    before = os.uname().nodename
    assert run("hostname", kinds=["uts"], hostname="other")["stdout"] == "other"
    assert os.uname().nodename == before


def test_time_offsets(run: Run) -> None:
    offsets = {"monotonic": 1000000, "boottime": 2000000}
    result = run("cat", "/proc/uptime", kinds=["time"], time_offsets=offsets)
    assert float(result["stdout"].split()[0]) > 2000000
    shown = run("cat", "/proc/self/timens_offsets", kinds=["time", "user"], time_offsets=offsets)
    words = [line.split() for line in shown["stdout_lines"]]
    assert words == [["monotonic", "1000000", "0"], ["boottime", "2000000", "0"]]


def test_a_time_offset_that_is_impossible_is_explained(failure: Run) -> None:
    result = failure("true", kinds=["time"], time_offsets={"monotonic": -(1 << 40)})
    assert result["errno"] == "ERANGE"
    assert "below zero" in result["msg"]


def test_cgroup_root_is_shown_as_slash(run: Run) -> None:
    result = run("cat", "/proc/self/cgroup", kinds=["cgroup"])
    assert {line.split(":")[2] for line in result["stdout_lines"]} == {"/"}


def test_ipc_sees_no_queue_of_the_host(run: Run) -> None:
    queue = subprocess.run(["ipcmk", "-Q"], check=True, capture_output=True, text=True).stdout
    number = queue.split()[-1]
    try:
        assert number in run("ipcs", "-q", kinds=["uts"])["stdout"]
        assert number not in run("ipcs", "-q", kinds=["ipc"])["stdout"].split()
    finally:
        subprocess.run(["ipcrm", "-q", number], check=True)


# A root of its own.


@pytest.mark.parametrize("env", [{}, OLDER], ids=["newest", "older"])
def test_the_old_root_is_gone(
    run: Run, small_root: pathlib.Path, tmp_path: pathlib.Path, env: dict[str, str]
) -> None:
    (tmp_path / "host-file").touch()
    script = f"cat /proc/self/mountinfo; ls -d {tmp_path}/host-file /old_root /proc/1/root/etc/*"
    argv = ("sh", "-c", f"{script} 2>/tmp/missing; true")
    result = run(*argv, kinds=["mnt", "pid"], root=str(small_root), mounts=[USR], env=env)
    lines = result["stdout_lines"]
    table = mount_table.parse("\n".join(line for line in lines if " - " in line))
    roots = {mount.path: mount.root for mount in table}
    assert sorted(roots) == ["/", "/proc", "/usr", "/usr/local"]
    assert roots["/"] == str(small_root)[len("/run") :]
    rest = [line for line in lines if " - " not in line]
    assert rest == ["/proc/1/root/etc/group", "/proc/1/root/etc/passwd"]
    assert result["actions"] == [
        f"pivot into {small_root}",
        "mount proc on /proc",
        "mount rbind of /usr on /usr",
        "run sh",
    ]


def test_the_root_has_its_own_users_and_starts_in_slash(
    run: Run, failure: Run, small_root: pathlib.Path
) -> None:
    options = {"kinds": ["mnt"], "root": str(small_root), "mounts": [USR]}
    result = run("sh", "-c", "pwd; id", user="inside", **options)
    assert result["stdout_lines"] == [
        "/",
        "uid=1234(inside) gid=1235(insiders) groups=1235(insiders),1300(others)",
    ]
    refused = failure("true", user="daemon", **options)
    assert "no user 'daemon' in /etc/passwd" in refused["msg"]


def test_mounts_below_the_root_come_along(run: Run, small_root: pathlib.Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small_root / "data")], check=True)
    try:
        (small_root / "data/file").write_text("below")
        options = {"root": str(small_root), "mounts": [USR]}
        assert run("cat", "/data/file", **options)["stdout"] == "below"
    finally:
        subprocess.run(["umount", str(small_root / "data")], check=True)


@pytest.mark.parametrize("mount_proc", [None, True, False])
def test_mount_proc(run: Run, small_root: pathlib.Path, mount_proc: bool | None) -> None:
    options = {"kinds": ["mnt", "pid"], "root": str(small_root), "mounts": [USR]}
    result = run("sh", "-c", "cat /proc/1/comm || true", mount_proc=mount_proc, **options)
    assert result["stdout"] == ("" if mount_proc is False else "sh")


def test_a_root_without_proc(run: Run, failure: Run, small_root: pathlib.Path) -> None:
    (small_root / "proc").rmdir()
    options = {"kinds": ["mnt", "pid"], "root": str(small_root), "mounts": [USR]}
    assert "mount proc on /proc" not in run("true", **options)["actions"]
    assert (
        "/proc of the program's root is missing"
        in failure("true", mount_proc=True, **options)["msg"]
    )


def test_a_proc_that_is_a_link_is_refused(failure: Run, small_root: pathlib.Path) -> None:
    # CVE-2019-19921: what was meant for /proc went elsewhere.
    (small_root / "proc").rmdir()
    (small_root / "elsewhere").mkdir()
    (small_root / "proc").symlink_to("elsewhere")
    options = {"kinds": ["mnt", "pid"], "root": str(small_root), "mounts": [USR]}
    assert "is no directory" in failure("true", **options)["msg"]
    assert list((small_root / "elsewhere").iterdir()) == []


def test_links_in_the_root_lead_nowhere_outside(
    run: Run, small_root: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (small_root / "srv").symlink_to(canary)
    (small_root / str(canary)[1:]).mkdir(parents=True)
    mounts = [
        USR,
        {"path": "/srv/new", "src": "tmpfs", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
    ]
    run("touch", "/srv/new/file", root=str(small_root), mounts=mounts)
    assert list(canary.iterdir()) == []
    assert [path.name for path in (small_root / str(canary)[1:]).iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("relative", "absolute path"),
        ("/no/such/root", "cannot be opened"),
        ("/etc/passwd", "cannot"),
    ],
)
def test_a_root_that_is_none(failure: Run, root: str, reason: str) -> None:
    result = failure("true", root=root)
    assert reason in result["msg"]
    assert "syscall" not in result


# Mounts.


def test_mounts_of_many_kinds(run: Run, small_root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    host_file = tmp_path / "file"
    host_file.write_text("of the host")
    (small_root / "etc/inside").mkdir()
    mounts = [
        USR,
        {"path": "/tmp", "src": "tmpfs", "fstype": "tmpfs", "opts": "mode=1777,nosuid"},
        {"path": "/tmp/file", "src": str(host_file), "opts": "bind,ro,X-mount.mkdir"},
        {"path": "/tmp/etc", "src": "/etc", "src_in": "namespace", "opts": "bind,X-mount.mkdir"},
        {"path": "/tmp/sys", "src": "sysfs", "fstype": "sysfs", "opts": "X-mount.mkdir"},
        {"path": "/tmp/mq", "src": "mqueue", "fstype": "mqueue", "opts": "X-mount.mkdir"},
    ]
    script = "cat /tmp/file; echo; ls /tmp/etc; ls /tmp/sys/class/net; (echo x >/tmp/file) 2>&1"
    result = run(
        "sh",
        "-c",
        f"{script}; true",
        kinds=["mnt", "pid", "net", "ipc"],
        root=str(small_root),
        mounts=mounts,
    )
    lines = result["stdout_lines"]
    assert lines[:-1] == ["of the host", "group", "inside", "passwd", "lo"]
    assert "Read-only file system" in lines[-1]
    assert host_file.read_text() == "of the host"


def test_what_the_host_has_mounted_can_be_changed_for_the_program_alone(run: Run) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "host", "/mnt"], check=True)
    try:
        pathlib.Path("/mnt/host").touch()
        read_only = {"path": "/mnt", "state": "remounted", "opts": "ro"}
        gone = {"path": "/mnt", "state": "unmounted"}
        own = {"path": "/mnt", "src": "own", "fstype": "tmpfs"}
        script = "ls /mnt; touch /mnt/new 2>/dev/null || echo read-only"
        shown = run("sh", "-c", script, mounts=[read_only])["stdout_lines"]
        assert shown == ["host", "read-only"]
        assert "host" not in run("ls", "/mnt", mounts=[gone])["stdout_lines"]
        assert run("ls", "/mnt", mounts=[own])["stdout_lines"] == []
        assert os.listdir("/mnt") == ["host"]
        pathlib.Path("/mnt/still-writable").touch()
    finally:
        subprocess.run(["umount", "/mnt"], check=True)


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ({"path": "/mnt", "fstype": "tmpfs", "opts": "bogus=1"}, "bogus"),
        ({"path": "/mnt/none", "fstype": "tmpfs"}, "/mnt/none does not exist"),
        ({"path": "mnt", "fstype": "tmpfs"}, "absolute path"),
        ({"path": "/mnt", "src": "/no/such", "opts": "bind"}, "/no/such cannot be opened"),
        ({"path": "/mnt", "fstype": "nofs"}, "no file-system type 'nofs'"),
    ],
)
def test_a_mount_that_cannot_be_made(
    failure: Run, mount: dict[str, t.Any], reason: str, tmp_path: pathlib.Path
) -> None:
    result = failure("touch", str(tmp_path / "ran"), mounts=[mount])
    assert reason in result["msg"]
    assert not (tmp_path / "ran").exists()


def test_a_bind_that_the_kernel_refuses_is_explained(failure: Run) -> None:
    bind = {"path": "/mnt", "src": "/usr", "opts": "bind"}
    result = failure("true", kinds=["user", "mnt"], mounts=[bind])
    assert (result["syscall"], result["errno"]) == ("open_tree", "EINVAL")
    assert "cannot be left out in a user namespace: /usr/local" in result["reason"]
    assert result["hint"] == "Use rbind."
    mounts = [
        {"path": "/mnt", "src": "x", "fstype": "tmpfs", "propagation": "unbindable"},
        {"path": "/media", "src": "/mnt", "src_in": "namespace", "opts": "bind"},
    ]
    result = failure("true", mounts=mounts)
    assert (result["syscall"], result["errno"]) == ("open_tree", "EINVAL")
    assert result["reason"] == "/mnt lies on a mount that is unbindable: /mnt"


def test_many_mounts_leave_the_limit_of_open_files_as_it_was(run: Run) -> None:
    mounts = [{"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}] + [
        {"path": f"/mnt/{number}", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
        for number in range(300)
    ]
    result = run("sh", "-c", "grep -c '^none /mnt/' /proc/mounts; ulimit -n", mounts=mounts)
    plain = run("sh", "-c", "ulimit -n")
    assert result["stdout_lines"] == ["300", plain["stdout"]]


PROPAGATIONS = {"private": [], "slave": ["master"], "shared": ["shared"], "unchanged": ["shared"]}


@pytest.mark.parametrize("propagation", list(PROPAGATIONS))
def test_propagation(run: Run, propagation: str) -> None:
    result = run("cat", "/proc/self/mountinfo", propagation=propagation)
    (root,) = (each for each in mount_table.parse(result["stdout"]) if each.path == "/")
    assert [peer.partition(":")[0] for peer in root.peers] == PROPAGATIONS[propagation]


def test_with_slave_mounts_of_the_host_arrive_and_none_goes_back(
    run: Run, tmp_path: pathlib.Path
) -> None:
    late, own = tmp_path / "late", tmp_path / "own"
    late.mkdir()
    own.mkdir()
    script = (
        f"mount -t tmpfs own {own}; touch {tmp_path}/ready;"
        f"for try in $(seq 500); do grep -q ' {late} ' /proc/mounts && echo seen && break;"
        "sleep 0.01; done"
    )
    mounter = subprocess.Popen(
        ["sh", "-c", f"until [ -e {tmp_path}/ready ]; do sleep 0.01; done; mount -t tmpfs x {late}"]
    )
    try:
        assert run("sh", "-c", script, propagation="slave")["stdout"] == "seen"
        assert f" {own} " not in pathlib.Path("/proc/mounts").read_text()
    finally:
        mounter.wait()
        subprocess.run(["umount", str(late)], check=True)


def test_pins_of_named_namespaces_are_not_kept_alive(run: Run, run_module: RunModule) -> None:
    assert run_module("ns_namespace", {"name": "kept"})["changed"]
    try:
        for propagation in PROPAGATIONS:
            shown = run("cat", "/proc/self/mountinfo", propagation=propagation)["stdout"]
            assert "/run/linux-namespaces/kept" not in shown
        assert "/run/linux-namespaces/kept" in pathlib.Path("/proc/self/mountinfo").read_text()
    finally:
        assert run_module("ns_namespace", {"name": "kept", "state": "absent"})["changed"]


# Users, capabilities, no_new_privs: more in test_launch.py.


def test_user_and_rights(run: Run) -> None:
    result = run(
        "cat",
        "/proc/self/status",
        user="daemon",
        group="mail",
        groups=["adm", "1000"],
        capabilities=["CAP_NET_RAW"],
        no_new_privs=True,
    )
    status = status_of(result["stdout"])
    assert status["Uid"].split() == ["1"] * 4
    assert status["Gid"].split() == ["8"] * 4
    assert status["Groups"] == "4 1000"
    sets = {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert sets == {f"{1 << 13:016x}"}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"user": ""}, "neither the name nor the id"),
        ({"user": "no-such-user"}, "no user 'no-such-user' in the users and groups of this host"),
        ({"group": "no-such-group"}, "no group"),
        ({"capabilities": ["net_brew"]}, "not a capability"),
        ({"kinds": []}, "kinds is empty"),
        ({"kinds": ["mount"]}, "must be one or more of"),
        ({"kinds": ["pid"], "mounts": [{"path": "/mnt", "fstype": "tmpfs"}]}, "needs the kind mnt"),
        ({"kinds": ["pid"], "root": "/"}, "needs the kind mnt"),
        ({"mount_proc": True}, "needs the kind pid"),
        ({"hostname": "x"}, "needs the kind uts"),
        ({"loopback": True}, "needs the kind net"),
        ({"id_map": "root"}, "needs the kind user"),
        ({"time_offsets": {"monotonic": 1}}, "needs the kind time"),
        ({"kinds": ["uts"], "hostname": "x" * 65}, "more than 64 bytes"),
        ({"root": "/", "propagation": "shared"}, "exclude each other"),
        ({"timeout": 0}, "above zero"),
        ({"environment": {"A": None}}, "must be a text"),
        ({"cmd": "true"}, "mutually exclusive"),
    ],
)
def test_bad_options_are_refused_before_anything_is_done(
    failure: Run, tmp_path: pathlib.Path, options: dict[str, t.Any], reason: str
) -> None:
    result = failure("touch", str(tmp_path / "ran"), **options)
    assert reason.lower() in result["msg"].lower()
    assert "exception" not in result
    assert not (tmp_path / "ran").exists()


def test_without_a_command_it_is_refused(failure: Run) -> None:
    assert "one of the following is required: argv, cmd" in failure()["msg"]
    assert "No command given" in failure(argv=[])["msg"]
    assert "No closing quotation" in failure(cmd="echo 'x")["msg"]


# A user namespace.


def explicit(outside: int, count: int) -> dict[str, t.Any]:
    return {which: [{"inside": 0, "outside": outside, "count": count}] for which in ("uid", "gid")}


MAPS = ("cat", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups")


def test_id_map_root_and_current(run: Run) -> None:
    shown = run(*MAPS, kinds=["user"])["stdout_lines"]
    assert [line.split() for line in shown] == [["0", "0", "1"], ["0", "0", "1"], ["allow"]]
    shown = run(*MAPS, kinds=["user"], id_map="current", as_user=NOBODY)["stdout_lines"]
    own = ["65534", "65534", "1"]
    assert [line.split() for line in shown] == [own, own, ["deny"]]


def test_an_explicit_map_makes_root_inside_somebody_else_outside(run: Run) -> None:
    tmp_path = pathlib.Path("/run/tests/mapped")
    tmp_path.mkdir()
    tmp_path.chmod(0o777)
    options = {"kinds": ["user", "mnt"], "id_map": explicit(100000, 65536)}
    result = run("sh", "-c", f"id -u; touch {tmp_path}/root", **options)
    assert result["stdout"] == "0"
    run("touch", f"{tmp_path}/daemon", user="daemon", **options)
    owners = {path.name: path.stat().st_uid for path in tmp_path.iterdir()}
    assert owners == {"root": 100000, "daemon": 100001}


def test_id_map_auto_of_root_and_of_a_plain_user(run: Run) -> None:
    for name in ("subuid", "subgid"):
        pathlib.Path(f"/etc/{name}").write_text("root:500000:1000\nnobody:600000:2000\n")
    shown = run(*MAPS, kinds=["user"], id_map="auto")["stdout_lines"]
    own = ["0", "500000", "1000"]
    assert [line.split() for line in shown] == [own, own, ["allow"]]
    shown = run(*MAPS, kinds=["user"], id_map="auto", as_user=NOBODY)["stdout_lines"]
    own, others = ["0", "65534", "1"], ["1", "600000", "2000"]
    assert [line.split() for line in shown] == [own, others, own, others, ["allow"]]
    # Users and groups work as on a host of its own.
    result = run(
        "id", kinds=["user", "mnt"], id_map="auto", as_user=NOBODY, user="daemon", groups=["adm"]
    )
    assert result["stdout"] == "uid=1(daemon) gid=1(daemon) groups=1(daemon),4(adm)"


def test_id_map_auto_without_a_range_says_how_to_get_one(failure: Run) -> None:
    pathlib.Path("/etc/subuid").write_text("somebody:1:1\n")
    result = failure("true", kinds=["user"], id_map="auto", as_user=NOBODY)
    assert result["reason"] == "/etc/subuid has no range for nobody"
    assert "usermod --add-subuids" in result["hint"]


def test_ids_that_a_plain_user_may_not_map(failure: Run) -> None:
    result = failure("true", kinds=["user"], id_map=explicit(0, 10), as_user=NOBODY)
    assert "ewgidmap refused the map inside 0-9 = outside 0-9" in result["msg"]
    assert "/etc/subgid" in result["hint"]


def test_overlapping_ranges_are_refused_with_both_named(failure: Run) -> None:
    ranges = [{"inside": 0, "outside": 5, "count": 10}, {"inside": 20, "outside": 14, "count": 2}]
    result = failure("true", kinds=["user"], id_map={"uid": ranges, "gid": ranges})
    assert "5-14 and 14-15 outside overlap" in result["msg"]


def test_a_user_that_is_not_mapped_is_explained(failure: Run) -> None:
    result = failure("true", kinds=["user"], user="5")
    assert result["syscall"] == "setgroups"
    assert "no counterpart in the map" in result["reason"]


def test_groups_where_the_namespace_denies_them(run: Run, failure: Run) -> None:
    result = failure("true", kinds=["user"], groups=["0"], user="0", as_user=1000)
    assert result["syscall"] == "setgroups"
    assert "the user namespace denies it" in result["reason"]
    assert run("id", "-u", kinds=["user"], user="root", as_user=1000)["stdout"] == "0"


# A plain user: row 8 of the tutorials.


def test_tutorial_row_8_a_plain_user_has_an_environment_of_its_own(
    run: Run, small_root: pathlib.Path
) -> None:
    (small_root / "home").mkdir()
    os.chown(small_root / "home", NOBODY, NOBODY)
    script = (
        "id -u; hostname; mount -t tmpfs own /tmp && touch /tmp/x && ls /tmp; echo $$;"
        "ls -d /proc/[0-9]* | wc -l; touch /home/file; cat /proc/net/dev | wc -l;"
        "grep -c . /proc/self/mountinfo; touch /usr/x 2>/tmp/error || echo read-only;"
        "grep CapEff /proc/self/status; exec 3<>/dev/tcp/127.0.0.1/1 2>&1"
    )
    result = run(
        "bash",
        "-c",
        f"{script}; true",
        kinds=ALL_KINDS,
        root=str(small_root),
        mounts=[USR],
        hostname="mine",
        as_user=NOBODY,
    )
    lines = result["stdout_lines"]
    assert lines[:4] == ["0", "mine", "x", "1"]
    assert int(lines[4]) <= 3
    assert lines[6] == "5"  # /, /proc, /usr, /usr/local, /tmp
    assert lines[7] == "read-only"
    assert lines[8].endswith("f" * 8)
    # lo is up: somebody refuses, instead of there being no network.
    assert "Connection refused" in result["stderr"]
    status = (small_root / "home/file").stat()
    assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY)


def test_a_plain_user_without_a_user_namespace_is_told_what_to_do(failure: Run) -> None:
    result = failure("true", kinds=["mnt", "net"], as_user=NOBODY)
    assert (result["syscall"], result["errno"]) == ("unshare", "EPERM")
    assert (
        result["reason"] == "only root may create mnt, net without a user namespace (CAP_SYS_ADMIN)"
    )
    assert result["hint"] == "Run the task as root (become: true), or add user to kinds."


def test_the_timeout_of_a_plain_user_kills_as_well(run_module: RunModule) -> None:
    marker = f"sleep 97{os.getpid()}"
    argv = ["sh", "-c", f"{marker} & setsid {marker} & wait"]
    for wanted in (["user"], ["user", "pid"]):
        args = {"argv": argv, "kinds": wanted, "timeout": 2}
        result = run_module(MODULE, args, user=NOBODY)
        assert result["timed_out"] is True
        assert living(marker) == []


# Timeouts.


def test_a_timeout_returns_what_was_written_until_then(failure: Run) -> None:
    begun = time.monotonic()
    result = failure("sh", "-c", "echo before; echo err >&2; sleep 60; echo after", timeout=2.5)
    assert time.monotonic() - begun < 20
    assert result["timed_out"] is True
    assert (result["rc"], result["signal"]) == (-9, "SIGKILL")
    assert (result["stdout"], result["stderr"]) == ("before", "err")
    assert result["msg"] == "timed out after 2.5 seconds; everything it started was killed"
    assert result["changed"] is True


def test_a_timeout_that_is_not_reached(run: Run) -> None:
    result = run("echo", "in time", timeout=60)
    assert result["stdout"] == "in time"
    assert "timed_out" not in result


OUTRUN = """
import os, sys
os.setsid()
while True:
    if os.fork():
        os._exit(0)
"""


@pytest.mark.parametrize("wanted", [["mnt"], ["pid"], ["mnt", "pid", "time"]])
@pytest.mark.parametrize(
    "script",
    [
        "{marker} & {marker} & wait",
        "setsid {marker} & trap '' TERM HUP INT; {marker}",
        "(setsid sh -c '{marker} & {marker} &' &) ; {marker}",
        "kill -STOP $$; {marker}",
        "setsid /usr/bin/python3 -c '{outrun}' {marker} & {marker}",
    ],
    ids=["children", "sessions", "daemons", "stopped", "outrunning"],
)
def test_a_timeout_kills_everything_that_was_started(
    failure: Run, script: str, wanted: list[str]
) -> None:
    marker = f"sleep 96{os.getpid()}"
    text = script.format(marker=marker, outrun=OUTRUN)
    result = failure("sh", "-c", f"echo begun; {text}", kinds=wanted, timeout=2.5)
    assert result["timed_out"] is True, result
    assert result["stdout"] == "begun"
    assert living(marker) == []


def test_what_is_left_running_without_a_timeout_is_left_alone(run: Run) -> None:
    marker = f"sleep 95{os.getpid()}"
    run("sh", "-c", f"{marker} >/dev/null 2>&1 & true")
    (left,) = living(marker)
    os.kill(left, 9)
    assert wait_until(lambda: living(marker) == [])


# Killed runs.


def test_a_run_that_is_killed_before_any_step_leaves_nothing(
    run_module: RunModule, small_root: pathlib.Path
) -> None:
    marker = f"0.94{os.getpid()}"
    args = {
        "argv": ["sleep", marker],
        "kinds": ["mnt", "pid", "uts", "net"],
        "root": str(small_root),
        "mounts": [USR],
        "hostname": "killed",
    }
    for number in range(1, 100):
        try:
            env = {"LINUX_NAMESPACES_KILL_BEFORE": str(number)}
            result = run_module(MODULE, args, env=env)
        except AssertionError:
            result = {"failed": True}  # it had no time to answer
        if not result.get("failed"):
            break
        assert living(marker) == []
    assert number > 8
    assert wait_until(lambda: living(marker) == [])


# Where the system forbids namespaces, the switch is named.


@pytest.mark.parametrize("kind", ["user", "net", "mnt", "pid", "uts", "ipc", "cgroup", "time"])
def test_the_limit_that_forbids_a_kind_is_named(kind: str) -> None:
    def in_a_namespace_that_forbids_it() -> Result:
        from ansible_collections.linux.namespaces.plugins.module_utils._core import (
            errors,
            launch,
            running,
        )
        from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
            namespaces,
        )

        namespaces.unshare(kinds.KINDS["user"].flag)
        for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
            pathlib.Path(f"/proc/self/{name}").write_text(text)
        # It holds in this user namespace and below, not for the host.
        pathlib.Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
        program = launch.Program(("true",), environment=dict(os.environ))
        around = launch.NOTHING_AROUND
        try:
            running.run(running.Request(program, creates=(kind,), surroundings=around), check=False)
        except errors.StepFailed as failed:
            return {"step": failed.step, "reason": failed.reason, "hint": failed.hint}
        return {}

    limit = pathlib.Path(f"/proc/sys/user/max_{kind}_namespaces")
    before = limit.read_text()
    failed = in_child(in_a_namespace_that_forbids_it)
    assert limit.read_text() == before
    switch = f"user.max_{kind}_namespaces"
    assert failed["step"] == f"create {kind}"
    assert failed["reason"] == f"this system allows no {kind} namespaces: {switch} is 0"
    assert f"sysctl -w {switch}=" in failed["hint"]


def test_the_examples_run(run_tasks: RunTasks) -> None:
    run_tasks(examples_of(MODULE), cleanup=[])
