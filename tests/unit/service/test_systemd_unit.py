# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of systemd units: nothing of a program is in it but checked names, numbers and words."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import resource
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    Reload,
    RestartPolicy,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service_socket import (
    Socket,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import systemd_unit

LITTLE = ServiceSpec("web", "idle", Program(("/usr/bin/idle", "a b", "$HOME", "50%")))
ALL = ServiceSpec(
    "web",
    "idle",
    Program(
        ("/usr/bin/idle",),
        environment={"B": "two words", "LD_PRELOAD": "/evil.so"},
        chdir="/srv/my data",
        user="www-data",
        group="adm",
        groups=("a", "b"),
        capabilities=("net_bind_service", "chown"),
        no_new_privs=True,
        limits={
            "nofile": (1024, 4096),
            "RLIMIT_CORE": (0, 0),
            "memlock": (5, resource.RLIM_INFINITY),
        },
        umask=0o27,
    ),
    kinds=("net",),
    reload=Reload(signal="hup"),
    stop_signal="SIGQUIT",
    stop_timeout=2.5,
    ready=Ready(notify=True),
    secret_environment={"PASSWORD": "correct horse"},
    credentials={"tls.key": "of iron"},
)


def test_a_unit_that_says_little() -> None:
    assert systemd_unit.text(LITTLE, is_child=False, persistent=True) == (
        "# Written by linux.namespaces.ns_service; what is changed here is lost.\n"
        "# What it runs is in /etc/linux-namespaces/services/web:idle.json.\n"
        "[Unit]\n"
        "Description=idle in namespace web\n"
        "Requires=linux-namespaces@web.service\n"
        "After=linux-namespaces@web.service network.target\n"
        "StartLimitIntervalSec=0\n"
        "\n"
        "[Service]\n"
        "Type=exec\n"
        "ExecStart=/usr/local/sbin/nsctl service web idle\n"
        "ExecStopPost=-/usr/local/sbin/nsctl service --clear web idle\n"
        "SyslogIdentifier=idle\n"
        "Restart=on-failure\n"
        "RestartForceExitStatus=SIGHUP SIGINT SIGTERM SIGPIPE\n"
        "RestartSec=0.25\n"
        "RestartPreventExitStatus=250\n"
        "KillSignal=SIGTERM\n"
        "TimeoutStopSec=10\n"
        "KillMode=mixed\n"
        "\n"
        "[Install]\n"
        "WantedBy=linux-namespaces@web.service\n"
    )
    assert host_paths.unit_name("web", "idle") == "linux-namespaces:web:idle.service"


def test_a_unit_that_says_all() -> None:
    text = systemd_unit.text(ALL, is_child=True, persistent=True)
    assert text.partition("[Service]\n")[2] == (
        "Type=notify\n"
        "TimeoutStartSec=30\n"
        "NotifyAccess=main\n"
        "ExecStart=/usr/local/sbin/nsctl service web idle\n"
        "ExecReload=/usr/local/sbin/nsctl service --reload web idle\n"
        "ExecStopPost=-/usr/local/sbin/nsctl service --clear web idle\n"
        "LimitCORE=0\n"
        "LimitMEMLOCK=5:infinity\n"
        "LimitNOFILE=1024:4096\n"
        "UMask=0027\n"
        "SyslogIdentifier=idle\n"
        "Restart=on-failure\n"
        "RestartForceExitStatus=SIGHUP SIGINT SIGTERM SIGPIPE\n"
        "RestartSec=0.25\n"
        "RestartPreventExitStatus=250\n"
        "KillSignal=SIGQUIT\n"
        "TimeoutStopSec=2.5\n"
        "KillMode=mixed\n"
        "\n"
        "[Install]\n"
        "WantedBy=linux-namespaces@web.service\n"
    )
    assert systemd_unit.is_child(text)
    assert not systemd_unit.is_child(systemd_unit.text(ALL, is_child=False, persistent=True))


SOCKETS = dataclasses.replace(
    LITTLE,
    sockets=(
        Socket("127.0.0.1:80", name="web"),
        Socket("[::1]:53", "datagram"),
        Socket("/run/a b/%n.sock", mode=0o600, owner="nobody"),
    ),
)


def test_the_unit_of_sockets() -> None:
    assert systemd_unit.socket_text(SOCKETS, net="net", persistent=True) == (
        "# Written by linux.namespaces.ns_service; what is changed here is lost.\n"
        "[Unit]\n"
        "Description=Sockets of idle in namespace web\n"
        "DefaultDependencies=no\n"
        "Conflicts=shutdown.target\n"
        "Before=shutdown.target\n"
        "Requires=linux-namespaces@web.service\n"
        "After=linux-namespaces@web.service\n"
        "StartLimitIntervalSec=0\n"
        "\n"
        "[Socket]\n"
        "NetworkNamespacePath=/run/linux-namespaces/web/net\n"
        "ListenStream=127.0.0.1:80\n"
        "ListenDatagram=[::1]:53\n"
        # Nothing of the path: systemd would expand it.
        "ListenStream=/run/linux-namespaces.sockets/web/idle/f68fa0bf\n"
        "BindIPv6Only=ipv6-only\n"
        "FreeBind=yes\n"
        "Backlog=4096\n"
        "SocketMode=0600\n"
        "DirectoryMode=0700\n"
        "RemoveOnStop=yes\n"
        "TriggerLimitIntervalSec=0\n"
    )
    assert systemd_unit.socket_text(LITTLE) == ""
    of_host = systemd_unit.socket_text(SOCKETS).splitlines()
    assert not [line for line in of_host if line.startswith(("Network", "Requires", "After"))]
    assert systemd_unit.socket_unit_name("web", "idle") == "linux-namespaces:web:idle.socket"


def test_a_service_comes_after_its_sockets() -> None:
    with_sockets = systemd_unit.text(SOCKETS, is_child=False, persistent=True).splitlines()
    without = systemd_unit.text(LITTLE, is_child=False, persistent=True).splitlines()
    assert [line for line in with_sockets if line not in without] == [
        "Requires=linux-namespaces:web:idle.socket",
        "After=linux-namespaces:web:idle.socket",
    ]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (RestartPolicy(), ["RestartSec=0.25", "RestartSteps=40", "RestartMaxDelaySec=10"]),
        (RestartPolicy(max_delay=0.25), ["RestartSec=0.25"]),
        (RestartPolicy(delay=20), ["RestartSec=20"]),
        (RestartPolicy("never"), []),
        (
            RestartPolicy("always", delay=1e-6, max_delay=1e9),
            ["RestartSec=0.000001", "RestartSteps=40", "RestartMaxDelaySec=1000000000"],
        ),
    ],
)
def test_delays_grow_where_systemd_can(policy: RestartPolicy, expected: list[str]) -> None:
    spec = dataclasses.replace(LITTLE, restart_policy=policy)
    for can_grow in (True, False):
        lines = systemd_unit.text(spec, is_child=False, can_grow=can_grow).splitlines()
        words = ("RestartSec=", "RestartSteps=", "RestartMaxDelaySec=")
        assert [line for line in lines if line.startswith(words)] == expected[
            : 3 if can_grow else 1
        ]
    word = {"on-failure": "on-failure", "always": "always", "never": "no"}[policy.condition]
    assert f"Restart={word}" in lines
    assert ("RestartForceExitStatus=SIGHUP SIGINT SIGTERM SIGPIPE" in lines) == (
        policy.condition == "on-failure"
    )


def test_a_limit_of_starts() -> None:
    spec = dataclasses.replace(LITTLE, restart_policy=RestartPolicy(limit=3, interval=7.5))
    head = systemd_unit.text(spec, is_child=False).partition("[Service]")[0]
    assert head.endswith("\nStartLimitIntervalSec=7.5\nStartLimitBurst=3\n\n")


TEXTS = st.text(max_size=20)


@given(
    st.builds(
        Program,
        st.lists(TEXTS, min_size=1, max_size=3),
        environment=st.dictionaries(TEXTS, TEXTS, max_size=3),
        chdir=TEXTS,
        user=TEXTS,
        group=TEXTS,
        groups=st.lists(TEXTS, max_size=2),
        capabilities=st.lists(TEXTS, max_size=2),
        no_new_privs=st.booleans(),
    ),
    st.lists(TEXTS, min_size=1, max_size=3),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
)
def test_a_unit_knows_nothing_of_the_program(
    program: Program, reload: list[str], secrets: dict[str, str]
) -> None:
    spec = dataclasses.replace(LITTLE, reload=Reload(argv=("/bin/true",)))
    other = dataclasses.replace(
        spec, program=program, reload=Reload(argv=tuple(reload)), secret_environment=secrets
    )
    assert systemd_unit.text(other, is_child=False, persistent=True) == systemd_unit.text(
        spec, is_child=False, persistent=True
    )


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "web\nExecStart=/bin/evil"},
        {"name": "idle\n"},
        {"name": "%n"},
        {"name": "a b"},
        {"stop_signal": "TERM\nUser=root"},
        {"stop_timeout": float("inf")},
        {"stop_timeout": float("nan")},
        {"stop_timeout": -1.0},
        {"ready": Ready(notify=True, timeout=float("inf"))},
        {"restart_policy": RestartPolicy("on-failure\nUser=root")},
        {"restart_policy": RestartPolicy(delay=0.0)},
        {"restart_policy": RestartPolicy(delay=float("nan"))},
        {"restart_policy": RestartPolicy(max_delay=float("inf"))},
        {"restart_policy": RestartPolicy(interval=-1.0)},
        {"restart_policy": RestartPolicy(interval=0.0)},
        {"restart_policy": RestartPolicy(limit=-1)},
        {"restart_policy": RestartPolicy(limit=1 << 32)},
        {"program": Program(("x",), limits={"nofile\nExecStart": (1, 1)})},
        {"program": Program(("x",), limits={"_infinity": (1, 1)})},
    ],
)
def test_what_could_be_more_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Refused):
        spec = dataclasses.replace(LITTLE, **change)  # type: ignore[arg-type]
        spec.checked()
        spec.program.checked()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (1e9, "1000000000"), (1234567.5, "1234567.5"), (1e-7, "0")]
)
def test_a_time_has_no_exponent(seconds: float, text: str) -> None:
    spec = dataclasses.replace(LITTLE, stop_timeout=seconds).checked()
    assert f"TimeoutStopSec={text}\n" in systemd_unit.text(spec, is_child=False, persistent=True)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")
def test_systemd_has_nothing_to_say_against_it(tmp_path: pathlib.Path) -> None:
    for spec in (LITTLE, ALL):
        text = systemd_unit.text(spec, is_child=True, persistent=True).replace(
            host_paths.COMMAND, "/bin/true"
        )
        unit = tmp_path / "idle.service"  # a colon would part it from an alias
        unit.write_text(text)
        argv = ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", str(unit)]
        environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "debug"}
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)
        said = done.stdout + done.stderr
        assert re.findall(rf"{unit.name}:\d+:.*", said) == []
        assert "Command Line: /bin/true service web idle\n" in said
        assert "Environment:" not in said


def test_a_unit_of_0_1_0_in_a_diff() -> None:
    old = 'ExecStart=/usr/local/sbin/nsctl exec web -- x\nEnvironment=A=$x\nEnvironment="B=two words"\n'
    shown = systemd_unit.without_values(old)
    assert shown == (
        "ExecStart=/usr/local/sbin/nsctl exec web -- x\n"
        'Environment=A=(not shown)\nEnvironment="B=(not shown)\n'
    )
    new = systemd_unit.text(ALL, is_child=False, persistent=True)
    assert systemd_unit.without_values(new) == new
