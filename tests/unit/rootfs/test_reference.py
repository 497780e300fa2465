# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of images, and of what they are for."""

from __future__ import annotations

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import reference
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.reference import (
    Platform,
)

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


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


@pytest.mark.parametrize(
    ("image", "directory"),
    [
        ("oci:/a:tag", "/a"),
        ("oci:/a", "/a"),
        ("oci-archive:/a.tar:tag", ""),
        ("docker://a", ""),
    ],
)
def test_the_directory_of_an_image(image: str, directory: str) -> None:
    assert reference.layout_of(image) == directory


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("docker://user:hunter2@host/a", "docker://user:********@host/a"),
        (f"docker://user:hunter2@host/a:1@{DIGEST}", f"docker://user:********@{DIGEST}"),
        (f"docker://a:1@{DIGEST}", f"docker://a:1@{DIGEST}"),
        (f"docker://host:5000/a:1@{DIGEST}", f"docker://host:5000/a:1@{DIGEST}"),
    ],
)
def test_a_tag_is_no_password(image: str, shown: str) -> None:
    assert reference.shown(image) == shown
