# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a unit as a named namespace with a service.

Those in the folder properties are what systemd 252 says of a unit that has no more than ExecStart=/bin/true.
"""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt import unit
from ansible_collections.linux.namespaces.plugins.module_utils._core.adopt.adopted import Adopted

HERE = pathlib.Path(__file__).parent / "properties"
PLAIN = json.loads((HERE / "service.json").read_text())
MANAGER = json.loads((HERE / "manager.json").read_text())
ROOT = "/var/lib/linux-namespaces-web/root"
ALL = (1 << 64) - 1
RECURSIVE = 16384


def of(name: str = "web.service", **said: t.Any) -> Adopted:
    found = unit.of_properties("web", name, {**PLAIN, **said}, MANAGER)
    found.check()
    return found


def service(**said: t.Any) -> dict[str, t.Any]:
    """The service, without what a plain unit has."""
    found = of(**said)
    assert found.left == []
    (each,) = found.services
    plain = {"stop_timeout": 90.0, "restart_policy": {"condition": "never"}, "argv": ["/bin/true"]}
    return {key: value for key, value in each.items() if plain.get(key) != value}


def mounts(**said: t.Any) -> dict[str, list[str]]:
    """The words of the mounts by their paths, in their order."""
    found = of(**said)
    assert found.left == []
    return {each["path"]: each["opts"] for each in found.mounts}


def command(*words: str, path: str = "") -> list[t.Any]:
    return [[path or words[0], list(words), False, 0, 0, 0, 0, 0, 0, 0]]


def test_a_plain_unit() -> None:
    found = of()
    assert found.left == []
    assert found.options() == {
        "name": "web",
        "kinds": ["mnt"],
        "services": [
            {
                "name": "web",
                "argv": ["/bin/true"],
                "stop_timeout": 90.0,
                "restart_policy": {"condition": "never"},
            }
        ],
    }


def test_kinds() -> None:
    found = of(PrivateNetwork=True, PrivateIPC=True, ProtectHostname=True)
    assert found.options()["kinds"] == ["ipc", "mnt", "net", "uts"]


def test_a_root_directory() -> None:
    found = of(
        RootDirectory="/srv/root",
        MountAPIVFS=False,
        BindPaths=[["/srv/data", "/data", False, RECURSIVE]],
        ReadOnlyPaths=["/etc"],
    )
    steps = found.options()["steps"]
    assert steps == [
        {"do": "mount", "path": ROOT, "src": "/srv/root", "opts": ["bind", "X-mount.mkdir"]},
        {
            "do": "mount",
            "path": f"{ROOT}/data",
            "src": "/srv/data",
            "opts": ["rbind", "X-mount.mkdir"],
        },
        {
            "do": "mount",
            "path": f"{ROOT}/etc",
            # That of the root, and not the host's.
            "src": f"{ROOT}/etc",
            "src_in": "namespace",
            "opts": ["rbind", "ro=recursive"],
        },
        {"do": "pivot", "new_root": ROOT},
    ]


def test_what_systemd_mounts_on_a_root() -> None:
    bind = ["/run/x", "/run", False, 0]
    found = of(RootDirectory="/srv/root", MountAPIVFS=True, BindPaths=[bind])
    assert [(each["path"], each["src"]) for each in found.mounts] == [
        ("/dev", "/dev"),
        ("/proc", "proc"),
        ("/run", "/run/x"),
        ("/sys", "sysfs"),
    ]
    assert found.left == []


def test_binds_and_file_systems_in_memory() -> None:
    found = mounts(
        BindPaths=[["/srv/b", "/srv/b", True, RECURSIVE], ["/a", "/var/lib/a", False, 0]],
        BindReadOnlyPaths=[["/srv/c", "/c", False, 0]],
        TemporaryFileSystem=[["/var", "size=1m"], ["/opt", ""]],
    )
    # Those above come first, whatever they are.
    assert found == {
        "/c": ["bind", "ro", "X-mount.mkdir"],
        "/opt": ["nodev", "strictatime", "mode=0755", "X-mount.mkdir"],
        "/srv/b": ["rbind", "X-mount.mkdir", "nofail"],
        "/var": ["nodev", "strictatime", "mode=0755", "size=1m", "X-mount.mkdir"],
        "/var/lib/a": ["bind", "X-mount.mkdir"],
    }
    assert list(found) == sorted(found)


def test_a_file_system_that_is_read_only_with_mounts_on_it() -> None:
    found = of(
        TemporaryFileSystem=[["/var", "ro"]], BindReadOnlyPaths=[["/var/lib/a", "/var/a", False, 0]]
    )
    assert "ro" not in found.mounts[0]["opts"]
    assert found.left == ["ro of /var: places have to be made in it for what is mounted there"]


def test_protection() -> None:
    found = mounts(
        ProtectSystem="full", ProtectHome="read-only", ReadOnlyPaths=["-/mnt", "+/usr/", "/etc"]
    )
    hard, soft = ["rbind", "ro=recursive"], ["rbind", "ro=recursive", "nofail"]
    assert found == {
        "/boot": soft,
        "/efi": soft,
        "/etc": hard,
        "/home": hard,
        "/mnt": soft,
        "/root": hard,
        "/run/user": soft,
        "/usr": hard,
    }
    assert list(mounts(PrivateTmp=True, ProtectHome="tmpfs")) == [
        "/home",
        "/root",
        "/run/user",
        "/tmp",
        "/var/tmp",
    ]
    assert mounts(BindPaths=[["/srv/a", "/a", False, 0]], ReadOnlyPaths=["/a"]) == {
        "/a": ["bind", "X-mount.mkdir", "ro"]
    }
    (left,) = of(ProtectSystem="strict").left
    assert left.startswith("ProtectSystem=strict of web.service: ")


def test_who_it_runs_as() -> None:
    assert service(
        User="web",
        Group="www",
        SupplementaryGroups=["ssl"],
        WorkingDirectory="!/srv",
        NoNewPrivileges=True,
        Environment=["A=1", "B=two=words x", "C="],
    ) == {
        "name": "web",
        "user": "web",
        "group": "www",
        "groups": ["ssl"],
        "chdir": "/srv",
        "no_new_privs": True,
        "environment": {"A": "1", "B": "two=words x", "C": ""},
    }
    assert of(WorkingDirectory="~").left == [
        "WorkingDirectory=~ of web.service: name the directory"
    ]


def test_limits_are_those_that_differ_from_the_managers() -> None:
    assert "limits" not in service()
    assert service(LimitNOFILE=200, LimitNOFILESoft=100, LimitCORESoft=ALL, LimitNPROC=7,
                   LimitNPROCSoft=7)["limits"] == {
        "nofile": "100:200",
        "core": "unlimited",
        "nproc": "7",
    }  # fmt: skip


def test_capabilities() -> None:
    assert service(CapabilityBoundingSet=1 << 10 | 1)["capabilities"] == [
        "chown",
        "net_bind_service",
    ]
    assert service(User="web", AmbientCapabilities=1 << 10)["capabilities"] == ["net_bind_service"]
    assert "capabilities" not in service(User="web", CapabilityBoundingSet=1)
    assert "capabilities" not in service(CapabilityBoundingSet=(1 << 41) - 1)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"Type": "notify"}, {"ready": {"notify": True}}),
        ({"Type": "exec"}, {}),
        ({"Restart": "always"}, {"restart_policy": {"condition": "always"}}),
        ({"KillSignal": 3}, {"stop_signal": "QUIT"}),
        ({"TimeoutStopUSec": 500_000}, {"stop_timeout": 0.5}),
        ({"ExecReload": command("/bin/kill", "-HUP", "$MAINPID")}, {"reload": {"signal": "HUP"}}),
        (
            {"ExecReload": command("/bin/kill", "-s", "USR1", "$MAINPID")},
            {"reload": {"signal": "USR1"}},
        ),
        ({"ExecReload": command("/bin/re", "load")}, {"reload": {"argv": ["/bin/re", "load"]}}),
        ({"ExecStart": command("/bin/x", "a b", "$$c")}, {"argv": ["/bin/x", "a b", "$c"]}),
    ],
)
def test_programs(said: dict[str, t.Any], expected: dict[str, t.Any]) -> None:
    assert service(**said) == {"name": "web", **expected}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.service", "a.b"),
        ("getty@tty1.service", "getty-tty1"),
        (r"dev-\x2dx.service", "dev--x2dx"),
        ("@.service", "service"),
        ("x" * 100 + ".service", "x" * 64),
    ],
)
def test_names(name: str, expected: str) -> None:
    (each,) = of(name).services
    assert each["name"] == expected


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({"ExecStart": []}, "ExecStart= of web.service: it has 0 programs"),
        ({"ExecStart": command("/a") + command("/b")}, "it has 2 programs"),
        ({"ExecStart": command("/bin/x", "$A")}, "variables in ExecStart="),
        ({"ExecStart": command("name", path="/bin/x")}, "called by another name"),
        ({"ExecStartEx": [["/bin/true", [], ["privileged"]]]}, "more rights than its user"),
        ({"Type": "forking"}, "Type=forking"),
        ({"Type": "notify", "NotifyAccess": "all"}, "NotifyAccess="),
        ({"Restart": "on-abort"}, "Restart=on-abort"),
        ({"ExecReload": command("/bin/x", "$MAINPID")}, "ExecReload="),
        ({"SystemCallFilter": [True, ["@system-service"]]}, "SystemCallFilter="),
        ({"AppArmorProfile": [False, "x"]}, "AppArmorProfile="),
        ({"EnvironmentFiles": [["/etc/default/x", True]]}, "EnvironmentFiles="),
        ({"InaccessiblePaths": ["/srv"]}, "InaccessiblePaths="),
        ({"JoinsNamespaceOf": ["x.service"]}, "JoinsNamespaceOf="),
        ({"UMask": 0o077}, "UMask="),
        ({"Nice": -5}, "Nice="),
        ({"MemoryMax": 1 << 30}, "MemoryMax="),
        ({"StateDirectory": ["x"]}, "StateDirectory="),
        ({"ProtectProc": "invisible"}, "ProtectProc="),
        ({"BindPaths": [["/a", "/../b", False, 0]]}, "BindPaths=/../b"),
        ({"BindPaths": [["/a", "/", False, 0]]}, "BindPaths=/: the root is another matter"),
        ({"User": "no:such:form"}, "the service of web.service"),
        ({"WorkingDirectory": "/a\0b"}, "the service of web.service"),
    ],
)
def test_what_is_left(said: dict[str, t.Any], left: str) -> None:
    found = of(**said)
    assert any(left in line for line in found.left), found.left
