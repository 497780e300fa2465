# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's docker-registry on loopback, and a gate before it that counts, asks for credentials and speaks TLS."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import typing as t
import urllib.parse
import urllib.request

import pytest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER, PASSWORD = "reader", "correct horse"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Registry:
    """A registry that keeps what it has below ``directory``. Close it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.port = free_port()
        config = directory / "config.json"
        config.write_text(
            json.dumps(
                {
                    "version": 0.1,
                    "log": {"level": "error", "accesslog": {"disabled": True}},
                    "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
                    "http": {"addr": f"127.0.0.1:{self.port}"},
                }
            )
        )
        # Also when the tests are killed, nothing stays behind.
        argv = ["setpriv", "--pdeathsig=KILL", "docker-registry", "serve", str(config)]
        self._process = subprocess.Popen(argv)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.ask("GET", "/v2/")
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.close()
                    raise
                time.sleep(0.02)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(
        self, method: str, path: str, *, body: bytes | None = None, kind: str = ""
    ) -> http.client.HTTPResponse:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=body, method=method)
        request.add_header("Accept", MANIFEST)
        if kind:
            request.add_header("Content-Type", kind)
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=10)
        return answer

    def push(self, image: str, name: str) -> str:
        """Push an image (as skopeo names it); the digest of its manifest."""
        target = f"docker://127.0.0.1:{self.port}/{name}"
        command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", image, target]
        subprocess.run(command, check=True)
        repository, _colon, tag = name.partition(":")
        answer = self.ask("GET", f"/v2/{repository}/manifests/{tag}")
        return str(answer.headers["Docker-Content-Digest"])

    def push_index(self, name: str, platforms: dict[str, str]) -> str:
        """Push an index of manifests, by platform, that are there already; its digest."""
        repository, _colon, tag = name.partition(":")
        manifests = []
        for platform, digest in platforms.items():
            system, architecture, *variant = platform.split("/")
            answer = self.ask("GET", f"/v2/{repository}/manifests/{digest}")
            described: dict[str, t.Any] = {"os": system, "architecture": architecture}
            if variant:
                described["variant"] = variant[0]
            manifests.append(
                {
                    "mediaType": answer.headers["Content-Type"],
                    "digest": digest,
                    "size": len(answer.read()),
                    "platform": described,
                }
            )
        kind = "application/vnd.oci.image.index.v1+json"
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
        body = json.dumps(index).encode()
        answer = self.ask("PUT", f"/v2/{repository}/manifests/{tag}", body=body, kind=kind)
        return str(answer.headers["Docker-Content-Digest"])


class Gate:
    """Passes requests on to a registry and lists them in ``asked``; also as a proxy. Close it.

    ``needs_password``: without USER and PASSWORD nothing is answered. ``certificate``: the file
    with the certificate and its key.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        needs_password: bool = False,
        certificate: pathlib.Path | None = None,
    ) -> None:
        self.asked: list[str] = []
        gate = self
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if needs_password and self.headers.get("Authorization") != expected:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="gate"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if self.path != "/v2/":
                    gate.asked.append(f"{self.command} {self.path}")
                # To a proxy it is the whole address.
                path = urllib.parse.urlsplit(self.path)._replace(scheme="", netloc="").geturl()
                connection = http.client.HTTPConnection("127.0.0.1", registry.port)
                headers = {"Accept": ", ".join(self.headers.get_all("Accept", []))}
                connection.request(self.command, path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for key in ("Content-Type", "Docker-Content-Digest"):
                    if answer.headers[key]:
                        self.send_header(key, answer.headers[key])
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                connection.close()

            do_HEAD = do_GET

            def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Registry]:
    running = Registry(tmp_path_factory.mktemp("registry"))
    yield running
    running.close()
