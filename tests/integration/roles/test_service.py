# SPDX-License-Identifier: GPL-3.0-or-later
"""The role service with an image of a registry; `make test-images` has the services of users."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import typing as t

import pytest
from command import Nsctl
from images import make_image, umoci
from module_server import CHECKOUT
from plays import apply, play_of
from registry import Registry, free_port, registry
from waiting import wait_until

# A server that says what it was started with. Perl is on every Debian, and small.
SERVER = """
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ENV{PORT}", Listen => 5, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
  my $key = "";
  if (open(my $file, "<", "$ENV{CREDENTIALS_DIRECTORY}/key")) { $key = <$file>; }
  my @said = ($ENV{GREETING}, "$>:" . (0 + $)), -e "/version" ? "own" : "host", @ARGV);
  print $client join(" ", @said, grep { $_ } ($ENV{TOKEN}, $key));
  close $client;
}
"""
ENVIRONMENT = "PATH=/usr/bin", "GREETING=hello"

__all__ = ["registry"]


def tree_with_perl(top: pathlib.Path) -> pathlib.Path:
    """A root file system with perl, what it needs, and the server."""
    top.mkdir()
    perl = str(pathlib.Path(shutil.which("perl") or "perl").resolve())
    needed = subprocess.run(["ldd", perl], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in needed.split() if word.startswith("/")]
    modules = subprocess.run(
        ["perl", "-e", "print join ' ', grep { m(/perl-base$) } @INC"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    # The names of libraries may be links, and lead through some.
    subprocess.run(["cp", "-rL", "--parents", perl, *libraries, *modules, top], check=True)
    (top / "version").touch()
    (top / "server").write_text(SERVER)
    return top


@pytest.fixture
def image(tmp_path: pathlib.Path, registry: Registry) -> str:
    """An image that says how it is run, as the registry has it."""
    made = make_image(tmp_path / "layout", tree_with_perl(tmp_path / "tree"), "tag")
    words = ["--config.user=33:34", "--config.stopsignal=SIGINT"]
    words += [f"--config.env={variable}" for variable in ENVIRONMENT]
    words += ["--config.entrypoint=perl", "--config.cmd=/server", "--config.cmd=there"]
    umoci("config", "--image", made.partition(":")[2], *words)
    registry.push(made, "server:1")
    return f"docker://127.0.0.1:{registry.port}/server:1"


def answer(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.makefile().read()


def test_an_image_runs_in_a_namespace_of_its_own(image: str, tmp_path: pathlib.Path) -> None:
    """What is unpacked and written lies where only root can go, be it from a version before."""
    port, home = free_port(), pathlib.Path("/run/tests/home")
    variables: dict[str, t.Any] = {
        "service_name": "server",
        "service_home": str(home),
        "service_rootfs": {"image": image, "tls_verify": False},
        "service_environment": {"PORT": str(port)},
        "service_ready": {"port": port},
    }
    try:
        assert apply(tmp_path, "service", variables) > 0
        assert answer(port) == "hello 33:34 own there"
        assert apply(tmp_path, "service", variables) == 0
        assert home.stat().st_mode & 0o7777 == 0o700
        home.chmod(0o755)
        assert apply(tmp_path, "service", variables, check=True) == 1
        assert apply(tmp_path, "service", variables) == 1
        assert home.stat().st_mode & 0o7777 == 0o700
    finally:
        assert apply(tmp_path, "service", {**variables, "service_state": "absent"}) > 0
    assert wait_until(lambda: not home.exists())
    assert not os.path.exists("/etc/linux-namespaces/server.json")


EVIL = "{{ lookup('ansible.builtin.pipe', 'touch /run/tests/ran') }}"
# What an image says, and what is said of it.
ODD = {
    "user": ("{{ 7 * 7 }}", "{{ 7 * 7 }}' is neither the name nor the id of a user"),
    "workingdir": ("/server/{{ 7 * 7 }}", "/server/{{ 7 * 7 }} is no directory"),
}


@pytest.fixture
def hostile_image(tmp_path: pathlib.Path, registry: Registry) -> t.Callable[..., dict[str, t.Any]]:
    """The variables for an image whose configuration has these words."""
    made = make_image(tmp_path / "layout", tree_with_perl(tmp_path / "tree"), "tag")

    def variables(*words: str) -> dict[str, t.Any]:
        options = [f"--config.{word}" for word in words]
        umoci("config", "--image", made.partition(":")[2], *options)
        registry.push(made, "hostile:1")
        image = f"docker://127.0.0.1:{registry.port}/hostile:1"
        return {
            "service_name": "server",
            "service_home": str(tmp_path / "home"),
            "service_rootfs": {"image": image, "tls_verify": False},
        }

    return variables


def run_role(top: pathlib.Path, variables: dict[str, t.Any]) -> subprocess.CompletedProcess[str]:
    """Apply the role, with all that Ansible says of it."""
    (top / "play.yml").write_text(json.dumps([play_of("service", variables)]))
    argv = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-vvv", "--diff"]
    return subprocess.run(
        [*argv, str(top / "play.yml")], check=False, capture_output=True, text=True, cwd=CHECKOUT
    )


def test_what_an_image_says_is_data(
    hostile_image: t.Callable[..., dict[str, t.Any]], tmp_path: pathlib.Path
) -> None:
    port = free_port()
    variables = hostile_image(
        *("env=PATH=/usr/bin", f"env=GREETING={EVIL} $HOME %n", f"env={EVIL}=x", "user=33:34"),
        *("entrypoint=perl", "cmd=/server", f"cmd={EVIL}", "cmd={{ omit }}", "cmd={'a': 1}"),
    )
    variables["service_environment"] = {"PORT": str(port)}
    variables["service_secret_environment"] = {"TOKEN": "correct-horse"}
    variables["service_credentials"] = {"key": "of-iron"}
    variables["service_ready"] = {"port": port}
    try:
        for _run in range(2):
            done = run_role(tmp_path, variables)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "secret_environment" in done.stdout
            for secret in ("correct-horse", "of-iron"):
                assert secret not in done.stdout.replace(str(tmp_path / "play.yml"), "")
        said = f"{EVIL} $HOME %n 33:34 own {EVIL} {{{{ omit }}}} {{'a': 1}} correct-horse of-iron"
        assert answer(port) == said
    finally:
        assert apply(tmp_path, "service", {**variables, "service_state": "absent"}) > 0
    assert not os.path.exists("/run/tests/ran")


@pytest.mark.parametrize("field", ODD)
def test_what_makes_no_sense_in_an_image_is_refused(
    hostile_image: t.Callable[..., dict[str, t.Any]], tmp_path: pathlib.Path, field: str
) -> None:
    said, answered = ODD[field]
    variables = hostile_image("env=PATH=/usr/bin", "entrypoint=perl", f"{field}={said}")
    try:
        done = run_role(tmp_path, variables)
        assert done.returncode == 2
        failed = " ".join(done.stdout.partition(": Have the service in its namespace")[2].split())
        assert answered in failed.replace("''", "'")
        assert "defect of linux.namespaces" not in failed
    finally:
        # It was new, and was taken back.
        assert apply(tmp_path, "service", {**variables, "service_state": "absent"}) == 0


def test_a_directory_is_copied_into_memory(tmp_path: pathlib.Path, nsctl: Nsctl) -> None:
    port, home, tree = free_port(), tmp_path / "home", tree_with_perl(tmp_path / "tree")
    variables: dict[str, t.Any] = {
        "service_name": "server",
        "service_home": str(home),
        "service_rootfs": {"directory": str(tree)},
        "service_root": "tmpfs",
        "service_argv": ["perl", "/server", "there"],
        "service_environment": {"PORT": str(port), "GREETING": "hello", "PATH": "/usr/bin"},
        "service_ready": {"port": port},
    }
    try:
        assert apply(tmp_path, "service", variables) > 0
        assert answer(port) == "hello 0:0 own there"
        assert apply(tmp_path, "service", variables) == 0
        (tree / "version").unlink()
        # Only the role follows it while it runs.
        assert nsctl("up", "server").stdout == "server: up already\n"
        assert nsctl.data("show", "server")["changes"] == []
        assert answer(port) == "hello 0:0 own there"
        assert apply(tmp_path, "service", variables) > 0
        assert answer(port) == "hello 0:0 host there"
        assert apply(tmp_path, "service", variables) == 0
    finally:
        assert apply(tmp_path, "service", {**variables, "service_state": "absent"}) > 0
    assert wait_until(lambda: not home.exists())
    assert not os.path.exists("/etc/linux-namespaces/server.json")
    assert tree.exists()


EVIL_VOLUME = "/{{ 7 * 7 }} 'a\" $HOME"


def test_the_volumes_of_an_image_are_kept(tmp_path: pathlib.Path, registry: Registry) -> None:
    """They begin with what the image has there, in the root alone, and outlive image and service."""
    tree = tree_with_perl(tmp_path / "tree")
    (tree / "data/deep").mkdir(parents=True)
    (tree / "data/deep/begun").write_text("of the image")
    os.chown(tree / "data", 33, 34)
    (tree / "data").chmod(0o750)
    outside = pathlib.Path("/run/tests/outside")
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    (tree / "link").symlink_to(outside)
    names = ["/data", "/link", "/var/lib-x/made", "/data/deep", "/../../own", "/{{ 7 * 7 }}"]
    words = ["env=PATH=/usr/bin", "entrypoint=perl", "cmd=/server", "user=33:34"]
    words += ["workingdir=/data/in/it", *(f"volume={name}" for name in [*names, EVIL_VOLUME])]
    port, volumes = free_port(), tmp_path / "volumes"

    def push() -> str:
        made = make_image(tmp_path / "layout", tree, "tag")
        umoci("config", "--image", made.partition(":")[2], *(f"--config.{word}" for word in words))
        registry.push(made, "volumes:1")
        return f"docker://127.0.0.1:{registry.port}/volumes:1"

    variables: dict[str, t.Any] = {
        "service_name": "server",
        "service_home": str(tmp_path / "home"),
        "service_rootfs": {"image": push(), "tls_verify": False},
        "service_environment": {"PORT": str(port)},
        "service_ready": {"port": port},
        "service_volumes": str(volumes),
        "service_mounts": [
            {"path": "/own", "src": "own", "fstype": "tmpfs", "opts": ["X-mount.mkdir"]}
        ],
    }
    kept = ["data", "data-deep", "link", "var-lib--x-made", "{{ 7 * 7 }}", EVIL_VOLUME[1:]]
    try:
        assert apply(tmp_path, "service", variables) > 0
        assert apply(tmp_path, "service", variables) == 0
        assert sorted(os.listdir(volumes)) == kept
        assert volumes.stat().st_mode & 0o7777 == 0o700
        status = (volumes / "data").stat()
        assert (oct(status.st_mode), status.st_uid, status.st_gid) == ("0o40750", 33, 34)
        assert (volumes / "data/deep/begun").read_text() == "of the image"
        # The link leads nowhere inside, where a directory was made.
        assert os.listdir(volumes / "link") == []
        assert os.listdir(outside) == ["secret"]
        pid = pid_of_server(port)
        root = pathlib.Path(f"/proc/{pid}/root")
        assert os.readlink(f"/proc/{pid}/cwd") == "/data/in/it"
        assert (root / "data/deep/begun").read_text() == "of the image"
        (root / "data/written").write_text("by the program")
        (tree / "data/deep/begun").write_text("of the next image")
        shutil.rmtree(tmp_path / "layout")
        push()
        assert apply(tmp_path, "service", variables) > 0
        assert (volumes / "data/written").read_text() == "by the program"
        assert (volumes / "data/deep/begun").read_text() == "of the image"
    finally:
        assert apply(tmp_path, "service", {**variables, "service_state": "absent"}) > 0
    assert (volumes / "data/written").read_text() == "by the program"
    assert sorted(os.listdir(volumes)) == kept


def pid_of_server(port: int) -> int:
    """The process that listens there."""
    inode = next(
        line.split()[9]
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    )
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            return int(pid)
    raise LookupError(port)
