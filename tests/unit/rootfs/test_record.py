# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition records of a root of every source is read again as the request that it was."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    RootStep,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import record
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.request import (
    RootRequest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.rules import Rules
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import (
    cache,
    table,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.archive import (
    Archive,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.directory import (
    Directory,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.source import (
    Source,
)

DIGEST = "sha256:" + "0" * 64
IMAGE = {"platform": None, "authfile": None, "tls_verify": True, "size_limit": 0}
BOOTSTRAP = {"suite": "x", "packages": [], "mirror": None, "variant": "minbase", "components": []}
# By the option that names a source: the options, and the source that comes back of them.
SOURCES: dict[str, tuple[dict[str, t.Any], Source]] = {
    "archive": ({"archive": "/srv//a.tar"}, Archive("/srv/a.tar")),
    "image": ({"image": "oci:/srv/a:b", **IMAGE}, Archive(cache.path_of(DIGEST), DIGEST)),
    "bootstrap": ({"bootstrap": BOOTSTRAP}, Archive(cache.path_of(DIGEST), DIGEST)),
    "directory": ({"directory": "/srv/a/"}, Directory("/srv/a")),
}


@pytest.fixture(autouse=True)
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of its own."""
    monkeypatch.setattr(definitions, "DIRECTORY", str(tmp_path / "etc"))
    monkeypatch.setattr(host_paths, "BASE", str(tmp_path / "run"))


def test_every_source_is_tried() -> None:
    assert list(SOURCES) == list(table.SOURCES)


@pytest.mark.parametrize("option", list(SOURCES))
@pytest.mark.parametrize("pinned", ["", DIGEST])
@pytest.mark.parametrize("device_nodes", ["keep", "skip"])
def test_it_comes_back(option: str, pinned: str, device_nodes: str) -> None:
    options, source = SOURCES[option]
    request = RootRequest(
        Target(namespace="web"),
        "/mnt",
        source=table.of_options(options),
        digest=pinned,
        rules=Rules(device_nodes=device_nodes),
    )

    def update() -> list[str]:
        definition = definitions.load("web") or Definition("web")
        return record.update(definition, request, DIGEST, persistent=True, check=False)

    assert update() == ["record the root at /mnt"]
    assert update() == []
    (step,) = (definitions.load("web") or Definition("web")).steps
    assert isinstance(step, RootStep)
    again = record.request_of(step, Target(namespace="web"), persistent=None, lock_timeout=1)
    assert (again.path, again.rules, again.source) == ("/mnt", request.rules, source)
    # A directory may be anything by then, unless the task says what it has to be.
    assert again.digest == (pinned if option == "directory" else DIGEST)
    assert again.follow is False


def test_none_of_the_options() -> None:
    with pytest.raises(Refused, match="a root needs a source"):
        table.of_options(dict.fromkeys(table.SOURCES))
