# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_rootfs with images of a registry: what is asked for and when, tags, certificates, proxies."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import platform
import subprocess
import typing as t

import pytest
from layered_images import CONFIG, Images, images, path
from registry import PASSWORD, USER, Gate, Registry, registry
from results import Converge, Result, RunModule
from trees import failed

__all__ = ["images", "path", "registry"]

HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@pytest.fixture
def gate(registry: Registry) -> t.Iterator[Gate]:
    passing = Gate(registry)
    yield passing
    passing.close()


def test_a_registry_is_asked_for_the_manifest_alone_when_nothing_changed(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, run_module: RunModule
) -> None:
    digest = registry.push(images.layered, "alone:1")
    args = {"path": str(path), "image": f"docker://{gate.address}/alone:1", "tls_verify": False}
    done = run_module("ns_rootfs", args)
    assert done["changed"], done
    assert done["digest"] == digest
    assert any("/blobs/" in each for each in gate.asked)
    gate.asked.clear()
    for check in (True, False):
        again = run_module("ns_rootfs", args, check=check)
        assert again["changed"] is False
        assert again["config"] == CONFIG
    assert gate.asked == ["GET /v2/alone/manifests/1"] * 2


def test_a_moved_tag_is_a_change(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, converge: Converge
) -> None:
    args = {"path": str(path), "image": f"docker://{gate.address}/moved:1", "tls_verify": False}
    first = registry.push(images.plain, "moved:1")
    assert converge("ns_rootfs", args)["digest"] == first
    assert (path / "version").read_text() == "plain"
    second = registry.push(images.layered, "moved:1")
    done = converge("ns_rootfs", args)
    assert done["digest"] == second != first
    assert first in done["diff"]["before"]
    assert second in done["diff"]["after"]
    assert (path / "version").read_text() == "second layer"


def test_what_is_pinned_is_not_asked_for(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, run_module: RunModule
) -> None:
    """By the option, or by the name: also a registry that is gone changes nothing."""
    first = registry.push(images.plain, "pinned:1")
    second = registry.push(images.layered, "pinned:2")
    name = f"docker://{gate.address}/pinned"
    args: Result = {"path": str(path), "tls_verify": False}
    for pinned in ({"image": f"{name}:1", "digest": first}, {"image": f"{name}@{first}"}):
        assert run_module("ns_rootfs", {**args, **pinned})["digest"] == first
        gate.asked.clear()
        assert run_module("ns_rootfs", {**args, **pinned})["changed"] is False
        assert gate.asked == []
    wrong = run_module("ns_rootfs", {**args, "image": f"{name}:2", "digest": first})
    failed(wrong, second, first)
    assert not any("/blobs/" in each for each in gate.asked)
    assert (path / "version").read_text() == "plain"


def test_the_platform_is_chosen(
    images: Images, registry: Registry, gate: Gate, tmp_path: pathlib.Path, converge: Converge,
    run_module: RunModule,
) -> None:  # fmt: skip
    mine = registry.push(images.plain, "many:mine")
    other = registry.push(images.layered, "many:other")
    platforms = {"linux/s390x": other, "linux/arm/v6": other, f"linux/{HERE}": mine}
    index = registry.push_index("many:1", {**platforms, "linux/arm/v7": mine})
    args: Result = {"image": f"docker://{gate.address}/many:1", "tls_verify": False}
    done = converge("ns_rootfs", {**args, "path": str(tmp_path / "mine")})
    assert done["digest"] == mine
    s390x = {**args, "path": str(tmp_path / "s390x"), "platform": "linux/s390x"}
    assert converge("ns_rootfs", s390x)["digest"] == other
    assert (tmp_path / "s390x/version").read_text() == "second layer"
    v7 = {**args, "path": str(tmp_path / "v7"), "platform": "linux/arm/v7"}
    assert converge("ns_rootfs", v7)["digest"] == mine
    wrong = run_module("ns_rootfs", {**s390x, "platform": "linux/mips"})
    failed(wrong, "has nothing for linux/mips", "linux/s390x")
    # The digest that registries show of an image for many platforms is that of the index.
    converge("ns_rootfs", {**args, "path": str(tmp_path / "pinned"), "digest": index})
    by_name = {**args, "image": f"docker://{gate.address}/many@{index}"}
    converge("ns_rootfs", {**by_name, "path": str(tmp_path / "named")})


def test_a_proxy_of_the_environment_is_used(
    images: Images, registry: Registry, gate: Gate, path: pathlib.Path, run_module: RunModule
) -> None:
    """For a host that has no address here."""
    registry.push(images.plain, "proxied:1")
    image = "docker://registry.invalid/proxied:1"
    args: Result = {"path": str(path), "image": image, "tls_verify": False}
    failed(run_module("ns_rootfs", args), "cannot be read")
    proxy = {"HTTP_PROXY": f"http://{gate.address}", "HTTPS_PROXY": f"http://{gate.address}"}
    result = run_module("ns_rootfs", args, env=proxy)
    assert result["changed"], result
    assert "GET http://registry.invalid/v2/proxied/manifests/1" in gate.asked
    assert run_module("ns_rootfs", args, env=proxy)["changed"] is False


@pytest.fixture
def certificate(tmp_path: pathlib.Path) -> pathlib.Path:
    both = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", both, "-out", tmp_path / "public"], check=True,
                   capture_output=True)  # fmt: skip
    with both.open("ab") as file:
        file.write((tmp_path / "public").read_bytes())
    return both


def test_certificates_and_credentials(
    images: Images, registry: Registry, certificate: pathlib.Path, path: pathlib.Path,
    tmp_path: pathlib.Path, run_module: RunModule,
) -> None:  # fmt: skip
    registry.push(images.plain, "closed:1")
    with contextlib.closing(Gate(registry, needs_password=True, certificate=certificate)) as gate:
        args: Result = {"path": str(path), "image": f"docker://{gate.address}/closed:1"}
        failed(run_module("ns_rootfs", args), "x509")
        args["tls_verify"] = False
        failed(run_module("ns_rootfs", args), "cannot be read", "authfile")
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        authfile = tmp_path / "auth.json"
        authfile.write_text(json.dumps({"auths": {gate.address: {"auth": secret}}}))
        result = run_module("ns_rootfs", {**args, "authfile": str(authfile)})
        assert result["changed"], result
        assert secret not in str(result)
        assert PASSWORD not in str(result)


def test_a_tag_that_is_missing_is_named(
    images: Images, path: pathlib.Path, run_module: RunModule
) -> None:
    layout = images.plain.rpartition(":")[0]
    result = run_module("ns_rootfs", {"path": str(path), "image": f"{layout}:missing"})
    failed(result, f"{layout}:missing cannot be read", "for reference 'missing'.")
    assert os.listdir(path.parent) == []
