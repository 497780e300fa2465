# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx, redis and PostgreSQL from images of a registry, each answering a real client.

Takes minutes, so it is not named as a test that is run with the others: `make test-images`.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t
import urllib.request

import pytest
from images import umoci
from plays import apply, play
from registry import Registry, free_port, registry

__all__ = ["registry"]

PACKAGES = "nginx-light,redis-server,postgresql"
BIN = "/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# As the well-known image does: begins as root, makes the data, and goes on as the user postgres.
START_POSTGRES = """#!/bin/bash
set -eu
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown postgres: "$PGDATA" /run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
[ -s "$PGDATA/PG_VERSION" ] ||
  initdb --username=postgres --pwfile=<(printf '%s\\n' "$POSTGRES_PASSWORD") --auth-host=scram-sha-256
exec "$@"
"""
CONFIGURATIONS = {
    "nginx": ["cmd=nginx", "cmd=-g", "cmd=daemon off;", "stopsignal=SIGQUIT"],
    "redis": ["user=redis:redis", "workingdir=/var/lib/redis", "entrypoint=redis-server"],
    "postgres": [
        *("entrypoint=start-postgres", "cmd=postgres", "stopsignal=SIGINT"),
        *("env=PGDATA=/var/lib/postgresql/data", "volume=/var/lib/postgresql"),
    ],
}
# As a user has it in ten lines, but for the ports that are free here.
PLAY = """---
- hosts: localhost
  roles:
    - role: linux.namespaces.service
      vars:
        service_name: redis
        service_rootfs: {image: "docker://REGISTRY/redis:1", tls_verify: false}
        service_argv: [redis-server, --port, "{{ redis_port }}"]
        service_ready: {port: "{{ redis_port }}"}
    - role: linux.namespaces.service
      vars:
        service_name: postgres
        service_rootfs: {image: "docker://REGISTRY/postgres:1", tls_verify: false}
        service_argv: [start-postgres, postgres, -p, "{{ postgres_port }}"]
        service_secret_environment: {POSTGRES_PASSWORD: correct horse}
        service_ready: {port: "{{ postgres_port }}"}
"""


class Published(t.NamedTuple):
    """The images of the layout in ``top``, as a registry has them."""

    top: pathlib.Path
    registry: Registry

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.registry.port}"

    def image(self, name: str) -> dict[str, t.Any]:
        return {"image": f"docker://{self.address}/{name}:1", "tls_verify": False}

    def push(self, name: str, *changes: str) -> None:
        """Move the tag of the image to one with these changes of its configuration."""
        tag = ["--image", f"{self.top}/layout:{name}"]
        umoci("config", *tag, *(f"--config.{change}" for change in changes))
        self.registry.push(f"oci:{self.top}/layout:{name}", f"{name}:1")

    def client(self, *argv: str, **environment: str) -> str:
        """What a client of the images prints, that runs in another root and the host's network."""
        command = ["chroot", str(self.top / "tree"), *argv]
        environ = {"PATH": BIN, **environment}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
        return done.stdout.strip()


@pytest.fixture(scope="session")
def published(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Published:
    top = tmp_path_factory.mktemp("published")
    root, layout = top / "root.tar", top / "layout"
    debian = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
    debian += ['--aptopt=Acquire::Languages "none"', '--aptopt=Acquire::Check-Valid-Until "false"']
    subprocess.run([*debian, "bookworm", root], check=True, stdin=subprocess.DEVNULL)
    (top / "tree").mkdir()
    subprocess.run(["tar", "-xf", root, "-C", top / "tree"], check=True)
    start = top / "start-postgres"
    start.write_text(START_POSTGRES)
    start.chmod(0o755)
    umoci("init", "--layout", str(layout))
    umoci("new", "--image", f"{layout}:nginx")
    umoci("raw", "add-layer", "--image", f"{layout}:nginx", str(root))
    for name in ("redis", "postgres"):
        umoci("tag", "--image", f"{layout}:nginx", name)
    postgres = f"{layout}:postgres"
    umoci("insert", "--image", postgres, str(start), "/usr/local/bin/start-postgres")
    found = Published(top, registry)
    for name, configuration in CONFIGURATIONS.items():
        found.push(name, f"env=PATH={BIN}", "env=LANG=C.UTF-8", *configuration)
    return found


@pytest.mark.parametrize("root", ["overlay", "bind", "tmpfs"])
def test_nginx(root: str, published: Published, tmp_path: pathlib.Path) -> None:
    port, home = free_port(), tmp_path / "home"
    variables: dict[str, t.Any] = {
        "nginx_namespace": "web-from-image",
        "nginx_home": str(home),
        "nginx_port": port,
        "nginx_root": root,
        "nginx_rootfs": published.image("nginx"),
    }

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return str(answer.read().decode())

    try:
        assert apply(tmp_path, "nginx", variables) > 0
        assert "namespace web-from-image" in page()
        assert apply(tmp_path, "nginx", variables) == 0
        published.push("nginx", f"env=MOVED={root}")
        assert apply(tmp_path, "nginx", variables) > 0
        assert "namespace web-from-image" in page()
        assert apply(tmp_path, "nginx", variables) == 0
        assert [name for name in os.listdir(home) if name.startswith(".")] == [
            ".linux-namespaces.home"
        ]
    finally:
        gone = {**variables, "nginx_state": "absent"}
        assert apply(tmp_path, "nginx", gone) > 0
    assert apply(tmp_path, "nginx", gone) == 0
    assert not home.exists()


def test_redis_and_postgresql(published: Published, tmp_path: pathlib.Path) -> None:
    redis, postgres = free_port(), free_port()
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAY.replace("REGISTRY", published.address))
    variables = {"redis_port": redis, "postgres_port": postgres}

    def ask_redis(*words: str) -> str:
        return published.client("redis-cli", "-h", "127.0.0.1", "-p", str(redis), *words)

    def ask_postgres(query: str) -> str:
        client = ["psql", "-h", "127.0.0.1", "-p", str(postgres), "-U", "postgres", "-Atc", query]
        return published.client(*client, PGPASSWORD="correct horse")

    try:
        assert play(playbook, **variables) > 0
        assert ask_redis("set", "kept", "in redis") == "OK"
        ask_postgres("create table kept as select 'in postgres' as place")
        assert play(playbook, **variables) == 0
        published.push("redis", "env=MOVED=yes")
        published.push("postgres", "env=MOVED=yes")
        assert play(playbook, **variables) > 0
        assert ask_redis("get", "kept") == "in redis"
        assert ask_postgres("select * from kept") == "in postgres"
        assert play(playbook, **variables) == 0
    finally:
        assert play(playbook, **variables, service_state="absent") > 0
    assert play(playbook, **variables, service_state="absent") == 0
    for name in ("redis", "postgres"):
        assert not os.path.exists(f"/var/lib/linux-namespaces-{name}")
