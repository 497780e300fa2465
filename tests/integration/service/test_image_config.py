# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image says of how to run it, as ns_rootfs returns it, is what services take."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import typing as t

import pytest
from hostile_archives import member, write
from layered_images import path
from layouts import Layout, good_config, unchanged
from results import RunModule
from stub_systemd import stub_systemd
from units import Systemd, environment_of, systemd
from waiting import wait_until
from web_service import PYTHON, Web, make_web, status_of, web

__all__ = ["make_web", "path", "stub_systemd", "systemd", "web"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Says which signal came, and ends.
TOLD = """
import signal, sys
def heed(number, frame):
    print("got %d" % number, flush=True)
    sys.exit(0)
for number in signal.valid_signals() - {9, 19, 17, 18}:
    signal.signal(number, heed)
print("up", flush=True)
while True:
    signal.pause()
"""
ARGV = [PYTHON, "-I", "-S", "-c", TOLD]
RTMIN, RTMAX = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
# As images have it, and the number.
SIGNALS = {
    "SIGRTMIN+3": RTMIN + 3,
    "RTMIN+3": RTMIN + 3,
    "sigrtmax-2": RTMAX - 2,
    "37": 37,
    "15": 15,
    "quit": 3,
    "SIGWINCH": 28,
}


def config_of(run_module: RunModule, top: pathlib.Path, path: pathlib.Path, **said: t.Any) -> t.Any:
    """What ns_rootfs returns of an image that says this beside what the good one says."""
    layer = pathlib.Path(write(top / "layer.tar", [(member("version"), b"plain")])).read_bytes()
    config = good_config(layer)
    config["config"].update(said)
    layout = Layout(top / "layout")
    layout.write(config, change=unchanged, layer=layer)
    path.parent.chmod(0o700)
    made = run_module("ns_rootfs", {"path": str(path), "image": layout.image})
    assert not made.get("failed"), made
    return made["config"]


@pytest.mark.parametrize("word", SIGNALS)
def test_a_stop_signal(
    word: str, run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path, web: Web
) -> None:
    found = config_of(run_module, tmp_path, path, StopSignal=word)["stop_signal"]
    for given in (word, found):
        web.started(argv=ARGV, stop_signal=given)
        assert wait_until(lambda: "up" in web.log.read_text())
        web.converge(state="stopped")
        assert f"got {SIGNALS[word]}\n" in web.log.read_text()
        web.converge(state="absent")


@pytest.mark.parametrize("word", SIGNALS)
def test_a_stop_signal_of_systemd(word: str, systemd: Systemd) -> None:
    systemd.started(argv=ARGV, stop_signal=word)
    assert wait_until(lambda: "up" in systemd.said())
    systemd.task(state="stopped")
    assert f"got {SIGNALS[word]}\n" in systemd.said()


def test_the_same_signal_in_other_words_is_no_change(web: Web) -> None:
    web.started(argv=ARGV, stop_signal="SIGRTMIN+3")
    for word in ("rtmin+3", str(RTMIN + 3)):
        assert web.check(argv=ARGV, stop_signal=word)["changed"] is False
    web.converge(state="absent")


@pytest.mark.parametrize("word", ["NOPE", "0", "65", "RTMIN+31", "-1", "TERM\nUser=root"])
def test_a_signal_that_is_none(
    word: str, run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path, web: Web
) -> None:
    """An image with it is unpacked without, a task with it is refused."""
    failure = web.task(argv=ARGV, stop_signal=word)
    assert failure["failed"]
    assert "is not a signal" in failure["msg"]
    config = config_of(run_module, tmp_path, path, StopSignal=word)
    assert config["stop_signal"] == ""
    assert config["argv"] == ["/bin/server", "--port", "80"]


def test_a_reload_by_a_real_time_signal(web: Web) -> None:
    web.started(argv=ARGV, reload={"signal": "RTMIN+5"})
    assert wait_until(lambda: "up" in web.log.read_text())
    done = web.task(state="reloaded", reload={"signal": "RTMIN+5"})
    assert not done.get("failed"), done
    assert wait_until(lambda: f"got {RTMIN + 5}\n" in web.log.read_text())
    web.converge(state="absent")


# --- its user


@pytest.fixture
def passwd(tmp_path: pathlib.Path, web: Web, run_module: RunModule) -> None:
    """The users of the namespace."""
    (tmp_path / "passwd").write_text(
        "root:x:0:0::/elsewhere:/bin/sh\ninside:x:1234:1235::/srv/inside:/bin/sh\n"
    )
    mount = {"path": "/etc/passwd", "src": str(tmp_path / "passwd"), "opts": "bind"}
    done = run_module("ns_mount", {"namespace": web.name, **mount})
    assert not done.get("failed"), done


USERS: list[tuple[dict[str, t.Any], dict[str, str]]] = [
    ({"user": "inside"}, {"HOME": "/srv/inside", "USER": "inside", "LOGNAME": "inside"}),
    (
        {"user": "1234", "group": "0"},
        {"HOME": "/srv/inside", "USER": "inside", "LOGNAME": "inside"},
    ),
    ({"user": "0"}, {"HOME": "/elsewhere", "USER": "root", "LOGNAME": "root"}),
    ({"user": "4321"}, {}),
    ({}, {"HOME": "/root", "USER": "root", "LOGNAME": "root"}),
    (
        {"user": "inside", "environment": {"HOME": "/data", "A": "1"}},
        {"HOME": "/data", "USER": "inside", "LOGNAME": "inside", "A": "1"},
    ),
    (
        {"user": "inside", "secret_environment": {"USER": "me"}},
        {"HOME": "/srv/inside", "USER": "me", "LOGNAME": "inside"},
    ),
]


@pytest.mark.usefixtures("passwd")
@pytest.mark.parametrize(("options", "expected"), USERS, ids=json.dumps)
def test_its_user_s_environment(
    options: dict[str, t.Any], expected: dict[str, str], web: Web
) -> None:
    pid = web.started(argv=["sleep", "infinity"], **options)
    assert environment_of(pid) == {"PATH": PATH, **expected}
    web.converge(state="absent")


@pytest.mark.usefixtures("passwd")
def test_its_user_s_environment_under_systemd(systemd: Systemd) -> None:
    for options, expected in USERS:
        pid = systemd.started(argv=["sleep", "infinity"], **options)
        found = environment_of(pid)
        found.pop("INVOCATION_ID")
        assert found == {"PATH": PATH, **expected}
        systemd.task(state="absent")


# --- its working directory


LAYERS: dict[str, tuple[list[t.Any], str, str]] = {
    "missing": ([], "/srv/app", "/srv/app"),
    "there": (
        [(member("srv/app", b"5", mode=0o700, uid=7, gid=8), b"")], "/srv/app", "/srv/app"
    ),
    "by a link": ([(member("srv", b"2", linkname="/data/srv"), b"")], "/srv/app", "/data/srv/app"),
    "by a link out": (
        [(member("srv", b"2", linkname="../../../../run/tests"), b"")],
        "/srv/app",
        "/run/tests/app",
    ),
    "by a link to a process": (
        [(member("srv", b"2", linkname="/proc/self/root/run/tests"), b"")],
        "/srv/app",
        "/proc/self/root/run/tests/app",
    ),
    "up and out": ([], "../../../run/tests/app", "/run/tests/app"),
    "relative": ([], "app", "/app"),
}  # fmt: skip


@pytest.mark.parametrize("what", LAYERS)
def test_a_working_directory_is_made(
    what: str, run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path
) -> None:
    """In the root, whatever is in that, and root's."""
    entries, said, made_at = LAYERS[what]
    layer = pathlib.Path(write(tmp_path / "l.tar", [*entries, (member("version"), b"1")]))
    config = good_config(layer.read_bytes())
    config["config"]["WorkingDir"] = said
    layout = Layout(tmp_path / "layout")
    layout.write(config, change=unchanged, layer=layer.read_bytes())
    path.parent.chmod(0o700)
    outside = sorted(os.listdir("/run/tests")), sorted(os.listdir("/"))
    maps = [{"inside": 0, "outside": 100_000, "count": 65_536}]
    for name, options, shift in (
        ("root", {}, 0),
        ("shifted", {"id_map": {"uid": maps, "gid": maps}}, 100_000),
    ):
        root = path.parent / name
        made = run_module("ns_rootfs", {"path": str(root), "image": layout.image, **options})
        assert not made.get("failed"), made
        assert made.get("warnings", []) == []
        status = (root / made_at.lstrip("/")).lstat()
        mode, owner = (0o40700, 7) if what == "there" else (0o40755, 0)
        assert (oct(status.st_mode), status.st_uid) == (oct(mode), owner + shift)
    assert (sorted(os.listdir("/run/tests")), sorted(os.listdir("/"))) == outside


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (member("srv"), "Not a directory"),
        (member("srv", b"2", linkname="srv"), "Too many levels of symbolic links"),
    ],
)
def test_a_working_directory_that_cannot_be(
    entry: t.Any, why: str, run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path
) -> None:
    layer = pathlib.Path(write(tmp_path / "l.tar", [(entry, b"")])).read_bytes()
    layout = Layout(tmp_path / "layout")
    config = good_config(layer)
    config["config"]["WorkingDir"] = "/srv/app"
    layout.write(config, change=unchanged, layer=layer)
    path.parent.chmod(0o700)
    made = run_module("ns_rootfs", {"path": str(path), "image": layout.image})
    assert not made.get("failed"), made
    (warning,) = made["warnings"]
    assert f"the WorkingDir /srv/app of {layout.image} cannot be made: {why}" in str(warning)


@pytest.mark.parametrize(
    ("said", "is_made"),
    [("/a" * 2047, True), ("/a" * 2048, False), ("/a" * 9000, False), ("/" + "a" * 256, False)],
)
def test_a_working_directory_of_any_length(
    said: str, is_made: bool, run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path
) -> None:
    layer = pathlib.Path(write(tmp_path / "l.tar", [(member("version"), b"1")])).read_bytes()
    layout = Layout(tmp_path / "layout")
    config = good_config(layer)
    config["config"]["WorkingDir"] = said
    layout.write(config, change=unchanged, layer=layer)
    path.parent.chmod(0o700)
    made = run_module("ns_rootfs", {"path": str(path), "image": layout.image})
    try:
        assert not made.get("failed"), made
        assert (path / "a").exists() == is_made
        assert ("File name too long" in str(made.get("warnings"))) != is_made
        assert len(str(made.get("warnings"))) < 400
    finally:  # it is too deep for what removes the directories of old runs of the tests
        subprocess.run(["rm", "-rf", str(path)], check=True)


def test_labels_healthcheck_and_volumes(
    run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path
) -> None:
    """They are those of the image as it was given, and not of what is made of it on the way."""
    layer = pathlib.Path(write(tmp_path / "l.tar", [(member("version"), b"1")])).read_bytes()
    config = good_config(layer)
    config["config"].update(
        Labels={"a": "{{ lookup('pipe', 'touch /run/tests/ran') }}", "b c\n": "$HOME"},
        Healthcheck={"Test": ["CMD-SHELL", "probe"], "Interval": 30_000_000_000, "Retries": 3},
        Volumes={"/../../etc": {}, "data": {}, "/": {}},
    )
    layout = Layout(tmp_path / "layout")
    layout.write(config, change=unchanged, layer=layer)
    target = f"docker-archive:{tmp_path}/image.tar:name:tag"
    subprocess.run(["skopeo", "copy", "--quiet", layout.image, target], check=True)
    path.parent.chmod(0o700)
    for image in (layout.image, target):
        args = {"path": str(path), "image": image}
        made = run_module("ns_rootfs", args)
        assert not made.get("failed"), made
        found = made["config"]
        assert found["labels"] == config["config"]["Labels"]
        assert found["healthcheck"]["argv"] == ["/bin/sh", "-c", "probe"]
        assert (found["healthcheck"]["interval"], found["healthcheck"]["retries"]) == (30.0, 3)
        assert found["volumes"] == ["/data", "/etc"]
        again = run_module("ns_rootfs", args)
        assert (again["changed"], again["config"]) == (False, found)
    assert not os.path.exists("/run/tests/ran")


# --- as an option


def test_a_service_is_run_as_an_image_says(
    run_module: RunModule, tmp_path: pathlib.Path, path: pathlib.Path, web: Web
) -> None:
    """What the task says wins, and a group of the image goes with its user."""
    said = {
        "Entrypoint": ARGV[:-1],
        "Cmd": ARGV[-1:],
        "User": "1234:5678",
        "Env": ["PATH=/usr/bin", "MODE=of the image", "{{ 7 * 7 }}=$HOME %n"],
        "WorkingDir": "/usr/lib",
        "StopSignal": "SIGRTMIN+3",
    }
    config = config_of(run_module, tmp_path, path, **said)
    pid = web.started(image_config=config)
    found = status_of(pid)
    assert (found["Uid"].split()[0], found["Gid"].split()[0]) == ("1234", "5678")
    assert os.readlink(f"/proc/{pid}/cwd") == "/usr/lib"
    variables = {"PATH": "/usr/bin", "MODE": "of the image", "{{ 7 * 7 }}": "$HOME %n"}
    assert environment_of(pid) == variables
    assert wait_until(lambda: "up" in web.log.read_text())
    web.converge(state="stopped")
    assert f"got {RTMIN + 3}\n" in web.log.read_text()
    given = {
        "user": "4321",
        "environment": {"MODE": "of the task"},
        "chdir": "/",
        "stop_signal": "INT",
    }
    pid = web.started(image_config=config, **given)
    found = status_of(pid)
    assert (found["Uid"].split()[0], found["Gid"].split()[0]) == ("4321", "4321")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert environment_of(pid) == {**variables, "MODE": "of the task"}
    # The same by hand is the same.
    by_hand = {"argv": config["argv"], **given}
    by_hand["environment"] = {**config["environment"], **given["environment"]}
    assert web.check(**by_hand)["changed"] is False
    web.converge(state="absent")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"argv": "words"}, "argv of the configuration is not a list"),
        ({"environment": {"__ansible_unsafe": "x"}}, "a name that Ansible keeps"),
        ({"user": "{{ 7 * 7 }}"}, "neither the name nor the id of a user"),
        ({"argv": []}, "argv"),
        ({"more": 1}, "more, which is unknown"),
    ],
)
def test_a_configuration_that_is_none(
    change: dict[str, t.Any],
    words: str,
    run_module: RunModule,
    tmp_path: pathlib.Path,
    path: pathlib.Path,
    web: Web,
) -> None:
    config = config_of(run_module, tmp_path, path)
    failure = web.task(image_config={**config, "user": "", "group": "", **change})
    assert failure["failed"]
    assert words in failure["msg"]
    assert "defect" not in failure["msg"]


def test_what_comes_of_another_source_says_nothing(web: Web) -> None:
    pid = web.started(argv=["sleep", "infinity"], image_config={})
    assert environment_of(pid)["HOME"] == "/root"
    web.converge(state="absent")
