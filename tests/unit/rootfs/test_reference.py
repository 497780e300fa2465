# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of images, and what their manifests and configurations say."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import reference
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.reference import (
    Platform,
)

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ("docker://nginx", f"docker://nginx@{DIGEST}"),
        ("docker://nginx:1.27", f"docker://nginx@{DIGEST}"),
        ("docker://host:5000/nginx", f"docker://host:5000/nginx@{DIGEST}"),
        ("docker://host:5000/a/b:1", f"docker://host:5000/a/b@{DIGEST}"),
        (f"docker://host/a:1@{OTHER}", f"docker://host/a@{DIGEST}"),
        ("oci:/a:tag", "oci:/a:tag"),
    ],
)
def test_the_name_with_a_digest(image: str, named: str) -> None:
    assert reference.with_digest(image, DIGEST) == named


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        (f"docker://a@{DIGEST}", DIGEST),
        ("docker://a:1", ""),
        (f"oci:/with@{DIGEST}:tag", ""),
    ],
)
def test_the_digest_in_a_name(image: str, digest: str) -> None:
    assert reference.pinned_by_name(image) == digest


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("oci-archive:/a.tar:tag", "/a.tar"),
        ("docker-archive:/a.tar", "/a.tar"),
        ("docker-archive:/a.tar:name:tag", "/a.tar"),
        ("oci:/a:tag", ""),
        ("docker://a", ""),
    ],
)
def test_the_file_of_an_image(image: str, file: str) -> None:
    assert reference.file_of(image) == file


@pytest.mark.parametrize(
    ("text", "platform"),
    [("linux/amd64", Platform("linux", "amd64")), ("linux/arm/v7", Platform("linux", "arm", "v7"))],
)
def test_platforms(text: str, platform: Platform) -> None:
    assert reference.platform_of(text) == platform
    assert str(platform) == text


@pytest.mark.parametrize("text", ["linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/--help"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="platform must be"):
        reference.platform_of(text)


def index(*platforms: dict[str, str], kind: str = INDEX) -> bytes:
    manifests = [
        {"digest": f"sha256:{number}", "platform": platform}
        for number, platform in enumerate(platforms)
    ]
    return json.dumps({"mediaType": kind, "manifests": manifests}).encode()


ARM6 = {"os": "linux", "architecture": "arm", "variant": "v6"}
ARM7 = {"os": "linux", "architecture": "arm", "variant": "v7"}
WINDOWS = {"os": "windows", "architecture": "amd64"}


@pytest.mark.parametrize(
    ("platform", "digest"),
    [("linux/arm", "sha256:1"), ("linux/arm/v7", "sha256:2"), ("windows/amd64", "sha256:0")],
)
def test_the_manifest_for_a_platform(platform: str, digest: str) -> None:
    text = index(WINDOWS, ARM6, ARM7)
    wanted = reference.platform_of(platform)
    assert reference.chosen(text, wanted, image="x") == digest


def test_without_one_for_the_platform_it_is_refused() -> None:
    with pytest.raises(Refused, match="has nothing for linux/amd64") as refused:
        reference.chosen(index(WINDOWS), Platform("linux", "amd64"), image="x")
    assert refused.value.hint == "It is there for: windows/amd64."


def test_a_manifest_that_is_no_index_is_the_image_itself() -> None:
    assert reference.chosen(b'{"layers": []}', Platform("linux", "amd64"), image="x") == ""


@pytest.mark.parametrize("text", [b"", b"[]", b"<html>", b"\xff"])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="damaged"):
        reference.chosen(text, Platform("linux", "amd64"), image="x")


def test_an_image_that_says_nothing() -> None:
    config = reference.config_of(b"{}", image="x")
    assert config["argv"] == []
    assert config["environment"] == {}
    assert config["chdir"] == "/"
    assert config["user"] == config["group"] == config["stop_signal"] == ""


@pytest.mark.parametrize(
    "config",
    [
        {"Entrypoint": "a string"},
        {"Cmd": [1, 2]},
        {"Env": {"A": "b"}},
        {"ExposedPorts": 80},
        "words",
    ],
)
def test_a_configuration_that_is_none_is_refused(config: t.Any) -> None:
    with pytest.raises(Refused, match="configuration of x is damaged"):
        reference.config_of(json.dumps({"config": config}).encode(), image="x")
