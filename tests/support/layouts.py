# SPDX-License-Identifier: GPL-3.0-or-later
"""Layouts of OCI images written by hand, with whatever in the place of their documents."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing as t

from raw_tar import END, header, octal, padded

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
TAG = "tag"
LAYER = header(name=b"version", size=octal(5)) + padded(b"plain") + END

# A document as it is written: as JSON, or of any bytes.
Document = t.Any


def text_of(document: Document) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def described(content: bytes, kind: str) -> dict[str, t.Any]:
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def good_config(layer: bytes = LAYER) -> dict[str, t.Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {
            "User": "www-data:adm",
            "ExposedPorts": {"80/tcp": {}},
            "Env": ["PATH=/bin", "MODE=a=b"],
            "Entrypoint": ["/bin/server"],
            "Cmd": ["--port", "80"],
            "Volumes": {"/data": {}},
            "WorkingDir": "/srv",
            "Labels": {"a": "b"},
            "StopSignal": "SIGQUIT",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        "history": [
            {"created": "2020-01-01T00:00:00Z", "created_by": "hand", "empty_layer": False}
        ],
    }


def good_manifest(config: bytes, layer: bytes) -> dict[str, t.Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": described(config, CONFIG_TYPE),
        "layers": [described(layer, LAYER_TYPE)],
        "annotations": {"a": "b"},
    }


def good_index(manifest: bytes) -> dict[str, t.Any]:
    platform = {"architecture": "amd64", "os": "linux"}
    named = {"org.opencontainers.image.ref.name": TAG}
    one = {**described(manifest, MANIFEST_TYPE), "platform": platform, "annotations": named}
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [one]}


class Layout:
    """A layout in a directory that is made."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.blobs = path / "blobs/sha256"
        self.named: dict[str, bytes] = {}
        self.blobs.mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    @property
    def image(self) -> str:
        """The image as ns_rootfs names it."""
        return f"oci:{self.path}:{TAG}"

    def add(self, content: bytes) -> pathlib.Path:
        """A blob."""
        blob = self.blobs / digest_of(content).partition(":")[2]
        blob.write_bytes(content)
        return blob

    def blob_of(self, name: str) -> pathlib.Path:
        """The blob that is the layer, the config or the manifest of the image."""
        return self.blobs / digest_of(self.named[name]).partition(":")[2]

    def write(
        self,
        config: Document,
        *,
        change: t.Callable[[str, t.Any], Document],
        layer: bytes = LAYER,
    ) -> None:
        """An image with this configuration, each document as ``change(name, document)`` makes it.

        Names are config, manifest and index. Digests are those of what was made of the documents.
        """
        self.add(layer)
        config = text_of(change("config", config))
        manifest = text_of(change("manifest", good_manifest(config, layer)))
        for content in (config, manifest):
            self.add(content)
        self.named = {"layer": layer, "config": config, "manifest": manifest}
        (self.path / "index.json").write_bytes(text_of(change("index", good_index(manifest))))


def unchanged(_name: str, document: t.Any) -> Document:
    return document


def good_layout(path: pathlib.Path, *, layer: bytes = LAYER) -> Layout:
    layout = Layout(path)
    layout.write(good_config(layer), change=unchanged, layer=layer)
    return layout
