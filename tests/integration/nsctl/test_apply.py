# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl export, apply and diff: what is there as a file, and a file as what is there."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from processes_inside import inside, living, mounts_inside
from results import RunModule
from trees import pack_little

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import (
    mounts,
    namespaces,
)

NewName = t.Callable[[], str]
Task = tuple[str, dict[str, t.Any]]


class File:
    """A file, and what nsctl does with it."""

    def __init__(self, nsctl: Nsctl, path: pathlib.Path) -> None:
        self._nsctl = nsctl
        self.path = path

    def export(self, *names: str) -> str:
        """Have in it what the namespaces are; its text."""
        self.path.write_text(self._nsctl("export", *names).stdout)
        return self.path.read_text()

    def write(self, *entries: dict[str, t.Any], **options: t.Any) -> None:
        """Have these namespaces in it."""
        self.path.write_text(json.dumps({"namespaces": entries, **options}))

    def apply(self, *words: str, code: int = 0) -> str:
        """Apply it; what is said."""
        done = self._nsctl("apply", *words, str(self.path), code=code)
        return done.stdout + done.stderr

    def diff(self, *words: str, code: int = 0) -> str:
        """What nsctl diff says; the host is as before."""
        before = host_state()
        done = self._nsctl("diff", *words, str(self.path), code=code)
        assert host_state() == before
        return done.stdout + done.stderr


@pytest.fixture
def file(nsctl: Nsctl, tmp_path: pathlib.Path) -> File:
    return File(nsctl, tmp_path / "namespaces.json")


@pytest.fixture
def run(run_module: RunModule) -> t.Callable[[t.Sequence[Task]], None]:
    """Run tasks that must succeed."""

    def run_all(tasks: t.Sequence[Task]) -> None:
        for module, args in tasks:
            done = run_module(module, args)
            assert not done.get("failed"), done

    return run_all


def tmpfs(path: str, *opts: str) -> dict[str, t.Any]:
    return {"path": path, "src": "test", "fstype": "tmpfs", "opts": list(opts)}


class Home(t.NamedTuple):
    """Where a case plays: a namespace, another one, and a directory with a root in an archive."""

    name: str
    other: str
    path: pathlib.Path

    def tasks(self, case: str) -> list[Task]:
        """The tasks of a case: a namespace that is made by single ones."""
        inner, root = {"namespace": self.name}, f"{self.path}/root"
        archive = {"archive": f"{self.path}/root.tar"}
        service = {**inner, "name": "idle", "supervisor": "none", "argv": ["/usr/bin/sleep", "1e6"]}
        into_tmpfs: list[Task] = [
            ("ns_namespace", {"name": self.name}),
            ("ns_mount", {**inner, **tmpfs(root, "size=2m")}),
            ("ns_rootfs", {**inner, "path": root, **archive}),
        ]
        id_map = [{"inside": 0, "outside": 100_000, "count": 65_536}]
        cases: dict[str, list[Task]] = {
            "all kinds": [
                (
                    "ns_namespace",
                    {
                        "name": self.name,
                        "kinds": ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"],
                        "hostname": "inner",
                        "domainname": "domain",
                        "loopback": False,
                        "id_map": {"uid": id_map, "gid": id_map},
                        "sysctl": {"net.ipv4.ip_forward": 1},
                        "time_offsets": {"monotonic": 5, "boottime": 7},
                    },
                )
            ],
            "not persistent": [
                ("ns_namespace", {"name": self.name, "persistent": False}),
                ("ns_mount", {**inner, **tmpfs("/mnt")}),
            ],
            "mounts": [
                ("ns_namespace", {"name": self.name, "propagation": "slave"}),
                ("ns_mount", {**inner, **tmpfs("/mnt", "size=1m", "noexec")}),
                (
                    "ns_mount",
                    {
                        **inner,
                        "path": "/mnt/b",
                        "src": f"{self.path}",
                        "opts": ["bind", "ro", "X-mount.mkdir"],
                        "propagation": "shared",
                    },
                ),
                (
                    "ns_mount",
                    {
                        **inner,
                        "path": "/media",
                        "src": "/mnt",
                        "opts": ["bind"],
                        "src_in": "namespace",
                    },
                ),
            ],
            "volatile mounts": [
                ("ns_namespace", {"name": self.name}),
                ("ns_mount", {**inner, **tmpfs("/mnt")}),
                ("ns_mount", {**inner, **tmpfs("/media"), "persistent": False}),
            ],
            "root": into_tmpfs,
            "pivot": [
                *into_tmpfs,
                ("ns_pivot_root", {**inner, "new_root": root, "put_old": f"{root}/old"}),
                ("ns_mount", {**inner, **tmpfs("/srv")}),
            ],
            "root on the host": [
                ("ns_rootfs", {"path": f"{self.path}/tree/root", **archive}),
                ("ns_namespace", {"name": self.name}),
                (
                    "ns_mount",
                    {**inner, "path": root, "src": f"{self.path}/tree/root", "opts": ["bind"]},
                ),
                ("ns_pivot_root", {**inner, "new_root": root}),
            ],
            "service": [
                ("ns_namespace", {"name": self.name}),
                (
                    "ns_service",
                    {
                        **service,
                        "user": "nobody",
                        "environment": {"A": "b c"},
                        "secret_environment": {"TOKEN": "hidden"},
                        "limits": {"nofile": "100:200"},
                        "stop_signal": "QUIT",
                        "stop_timeout": 1.5,
                        "ready": {"file": "/etc/passwd"},
                    },
                ),
            ],
            "stopped service": [
                ("ns_namespace", {"name": self.name}),
                ("ns_service", service),
                ("ns_service", {**service, "state": "stopped"}),
            ],
            "shared": [
                ("ns_namespace", {"name": self.other, "kinds": ["net", "ipc"]}),
                ("ns_namespace", {"name": self.name, "share": {"net": self.other}}),
            ],
        }
        return cases[case]


CASES = (
    *("all kinds", "not persistent", "mounts", "volatile mounts", "root", "pivot"),
    *("root on the host", "service", "stopped service", "shared"),
)


@pytest.fixture
def home(new_name: NewName, run_module: RunModule, tmp_path: pathlib.Path) -> t.Iterator[Home]:
    run_module("ns_namespace", {"name": new_name()})  # so that nsctl stays
    directory = tmp_path / "home"
    for each in ("root", "tree"):
        (directory / each).mkdir(parents=True)
    pack_little(directory / "root.tar", ["etc", "usr", "srv", "old"])
    found = Home(new_name(), new_name(), directory)
    yield found
    for name in (found.name, found.other):
        service = {"namespace": name, "name": "idle", "supervisor": "none", "state": "absent"}
        assert not run_module("ns_service", service).get("failed")
        gone = run_module("ns_namespace", {"name": name, "state": "absent", "force": True})
        assert not gone.get("failed"), gone


@pytest.mark.parametrize("case", CASES)
def test_what_single_tasks_made(
    case: str, home: Home, run: t.Callable[..., None], file: File, run_module: RunModule
) -> None:
    """What is exported is as it should be; and where it is gone, it is made again."""
    tasks = home.tasks(case)
    run(tasks)
    text = file.export(home.name)
    assert file.diff() == ""
    before = host_state()
    assert file.apply("--check") == f"{home.name}: as it should be\n"
    assert file.apply() == f"{home.name}: as it should be\n"
    assert host_state() == before
    lasting = tasks[-1:] if case == "stopped service" else tasks
    for module, args in lasting:
        assert not run_module(module, args)["changed"], args

    service = {"namespace": home.name, "name": "idle", "supervisor": "none", "state": "absent"}
    run([("ns_service", service), ("ns_namespace", {"name": home.name, "state": "absent"})])
    (predicted,) = json.loads(file.apply("--check", "--json"))
    (made,) = json.loads(file.apply("--json"))
    assert predicted["actions"] == made["actions"] != []
    if case == "stopped service":
        return  # without systemd nobody knows of a service that was never started
    assert file.export(home.name) == text
    assert file.apply() == f"{home.name}: as it should be\n"
    for module, args in lasting:
        assert not run_module(module, args)["changed"], args


def test_several_in_one_file(home: Home, run: t.Callable[..., None], file: File) -> None:
    """Who shares of another stands before it, as it is asked for."""
    run(home.tasks("shared"))
    text = file.export(home.name, home.other)
    assert [each["name"] for each in json.loads(text)["namespaces"]] == [home.name, home.other]
    lines = [f"{name}: as it should be" for name in (home.name, home.other)]
    assert file.apply().splitlines() == lines
    run([("ns_namespace", {"name": name, "state": "absent"}) for name in (home.name, home.other)])
    assert [line.partition(":")[0] for line in file.apply().splitlines()] == [home.name, home.other]
    assert file.export(home.name, home.other) == text


def test_diff(home: Home, file: File) -> None:
    entry = {
        "name": home.name,
        "kinds": ["mnt", "uts"],
        "hostname": "one",
        "mounts": [tmpfs("/mnt")],
    }
    file.write(entry)
    said = file.diff().splitlines()
    assert said[0] == f"{home.name}:"
    assert f"  + hostname of {home.name}: one" in said
    assert f"  + /mnt in {home.name}: " in "\n".join(said)
    assert (
        file.apply()
        == f"{home.name}: create mnt, uts; mount tmpfs on /mnt; record the definition\n"
    )
    file.write(entry, {"name": home.other, "kinds": ["net"]})
    assert file.diff().splitlines()[0] == f"{home.other}:"
    file.write({**entry, "hostname": "two", "mounts": []})
    said = file.diff().splitlines()
    assert said[0] == f"{home.name}:"
    assert f"  - hostname of {home.name}: one" in said
    assert f"  + hostname of {home.name}: two" in said
    (data,) = json.loads(file.diff("--json"))
    assert (data["name"], data["failure"]) == (home.name, None)
    assert data["before"][f"hostname of {home.name}"] == "one"
    assert data["after"][f"hostname of {home.name}"] == "two"
    assert file.apply("--check") == file.apply()
    assert file.diff() == ""


def test_drift_is_mended(home: Home, file: File) -> None:
    file.write(
        {"name": home.name, "kinds": ["mnt", "uts"], "hostname": "h", "mounts": [tmpfs("/mnt")]}
    )
    file.apply()
    inside(home.name, lambda: mounts.umount("/mnt"), ["mnt"])
    inside(home.name, lambda: namespaces.sethostname("other"), ["uts"])
    assert file.diff().startswith(f"{home.name}:\n")
    assert file.apply() == f"{home.name}: set hostname h; mount tmpfs on /mnt\n"


def test_recreate_and_force(home: Home, file: File) -> None:
    file.write({"name": home.name})
    file.apply()
    file.write({"name": home.name, "propagation": "slave"}, {"name": home.other, "kinds": ["net"]})
    said = file.apply("--check", code=1)
    assert "propagation is 'private', not 'slave'" in said
    assert "recreate" in said
    assert "propagation is" in file.diff(code=1)
    assert f"remove namespace {home.name}" in str(json.loads(file.diff("--recreate", "--json")))
    # The other one is made all the same.
    failed, made = json.loads(file.apply("--json", code=1).partition("\nnsctl")[0])
    assert failed["failure"]["recreate"] is True
    assert made["actions"]
    with living(home.name) as pid:
        assert f"{pid} (" in file.apply("--recreate", code=1)
        done = file.apply("--recreate", "--force")
        assert f"{home.name}: kill 1 processes; " in done
    assert file.apply() == f"{home.name}: as it should be\n{home.other}: as it should be\n"


def test_exclusive(home: Home, file: File, nsctl: Nsctl) -> None:
    (kept,) = [each["name"] for each in nsctl.data("list")]
    file.write({"name": home.name}, {"name": home.other})
    file.apply()
    file.write({"name": kept}, {"name": home.other}, exclusive=True)
    for words in (["--check"], []):
        said = file.apply(*words).splitlines()
        assert said[-1].startswith(f"{home.name}: forget the definition of {home.name}; ")
    assert sorted(each["name"] for each in nsctl.data("list")) == sorted([kept, home.other])


def test_standard_input(home: Home, nsctl: Nsctl) -> None:
    text = json.dumps({"namespaces": [{"name": home.name}]})
    assert nsctl("diff", "-", input=text).stdout.startswith(f"{home.name}:\n")
    assert nsctl("apply", "-", input=text).stdout.startswith(f"{home.name}: create mnt; ")
    assert nsctl("apply", "-", input=text).stdout == f"{home.name}: as it should be\n"
    exported = nsctl("export", home.name).stdout
    assert json.loads(exported) == json.loads(text)
    assert nsctl("diff", "-", input=exported).stdout == ""


def test_wrong_usage(nsctl: Nsctl) -> None:
    for words in ((), ("a", "b")):
        assert "name one file" in nsctl("apply", *words, code=2).stderr
    assert "name namespaces, or one file" in nsctl("diff", "./a", "b", code=2).stderr
    assert "are for a file" in nsctl("diff", "--recreate", "a", code=2).stderr
    assert "There is no namespace 'nosuch'" in nsctl("diff", "nosuch", code=1).stderr
    for verb in ("apply", "diff"):
        assert "no option --nosuch" in nsctl(verb, "--nosuch", "a", code=2).stderr
    assert "no option --check" in nsctl("diff", "--check", "a", code=2).stderr
    assert "name namespaces" in nsctl("export", code=2).stderr
    assert "There is no namespace 'nosuch'" in nsctl("export", "nosuch", code=1).stderr
    assert "'../x' cannot be a name" in nsctl("export", "../x", code=1).stderr


def test_a_service_runs_again(home: Home, run: t.Callable[..., None], file: File) -> None:
    """And has its secrets, which the file holds."""
    run(home.tasks("service"))
    assert json.loads(file.export(home.name))["namespaces"][0]["services"][0][
        "secret_environment"
    ] == {"TOKEN": "hidden"}
    file.write({"name": home.name})
    assert "hidden" not in file.diff()
    assert f"{home.name}: stop service idle; remove service idle\n" in file.apply()
    assert [each.path for each in mounts_inside(home.name) if each.src == "test"] == []
    assert pins.pinned(home.name)
    assert not pathlib.Path(host_paths.LOGS, home.name, "idle.log").exists()


def test_its_output_ends(home: Home, nsctl: Nsctl, file: File) -> None:
    """Somebody has read enough."""
    file.write(*({"name": f"{home.name}.{number}"} for number in range(300)))
    script = f'{nsctl.path} diff "{file.path}" | head -n 1'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == f"{home.name}.0:\n"
    assert done.stderr == ""
