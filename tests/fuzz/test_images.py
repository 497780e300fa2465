# SPDX-License-Identifier: GPL-3.0-or-later
"""Images whose index, manifest or configuration is of another form: read, and unpacked."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import typing as t

from fuzzing import bounded, changed_documents, damaged, fuzz, no_defect
from hypothesis import strategies as st
from layouts import Layout, good_config, good_index, good_manifest, text_of, unchanged
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import image_config
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import (
    held,
    manifest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import (
    layout as layouts,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.reference import (
    Platform,
)

HERE = Platform("linux", "amd64")
CONFIG = text_of(good_config())
MANIFEST = text_of(good_manifest(CONFIG, b"layer"))
GOOD = {
    "config": good_config(),
    "manifest": good_manifest(CONFIG, b"layer"),
    "index": good_index(MANIFEST),
}
GOOD["config"]["config"]["Healthcheck"] = {
    "Test": ["CMD", "/bin/probe"], "Interval": 30_000_000_000, "Retries": 3,
}  # fmt: skip
# The list that docker save writes.
SAVED = [{"Config": "c.json", "RepoTags": ["one:1", "uno:1"], "Layers": ["l.tar"]}] * 2


@st.composite
def documents(draw: st.DrawFn, name: str) -> bytes:
    """A document with other values in it, or with other bytes."""
    if draw(st.booleans()):
        return draw(damaged(text_of(GOOD[name])))
    return json.dumps(draw(changed_documents(GOOD[name]))).encode("utf-8", "surrogatepass")


@fuzz(300, text=documents("index"))
def test_an_index(text: bytes) -> None:
    with bounded(Refused):
        found = manifest.chosen(text, HERE, image="x")
        assert found == "" or manifest.is_digest(found)
    with bounded(Refused):
        assert manifest.is_digest(manifest.only_manifest(text, image="x"))
    with bounded():
        assert all(map(manifest.is_digest, manifest.referred(text)))


@fuzz(150, text=documents("index"), saved=changed_documents(SAVED))
def test_the_images_in_an_archive(text: bytes, saved: t.Any) -> None:
    found = {held.OCI: text, held.DOCKER: json.dumps(saved).encode("utf-8", "surrogatepass")}
    for transport in ("docker-archive", "oci-archive"):
        for name in ("", ":one:1"):
            image = f"{transport}:/image.tar{name}"
            with bounded(Refused):
                hint = held.in_archive(found, image=image).hint(image)
                assert len(hint) < 30_000


@fuzz(250, text=documents("manifest"))
def test_a_manifest(text: bytes) -> None:
    with bounded(Refused):
        found = manifest.manifest_of(text, image="x")
        assert all(map(manifest.is_digest, [found.config, *found.layers]))
    with bounded(Refused):
        manifest.chosen(text, HERE, image="x")
    with bounded():
        assert all(map(manifest.is_digest, manifest.referred(text)))


@fuzz(400, text=documents("config"))
def test_a_configuration(text: bytes) -> None:
    with bounded(Refused):
        found = manifest.config_of(text, image="x")
        # As the marker of the root keeps it, and the module returns it.
        assert image_config.checked(json.loads(json.dumps(found))) == found
        assert "\0" not in json.dumps(found, ensure_ascii=False).encode().decode()


@fuzz(60, name=st.sampled_from(sorted(GOOD)), data=st.data())
def test_a_layout_is_looked_at(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as top:
        layout = Layout(pathlib.Path(top, "layout"))
        layout.write(good_config(), change=changing(name, data.draw(documents(name))))
        with bounded(Refused):
            layouts.check_directory(str(layout.path), image=layout.image)
        with bounded(Refused):
            layouts.documents(str(layout.path), image=layout.image)


@fuzz(10, name=st.sampled_from(sorted(GOOD)), data=st.data())
def test_a_root_of_it(name: str, data: st.DataObject, run_module: RunModule) -> None:
    """What neither we nor skopeo nor umoci mind is unpacked; of the rest nothing is left."""
    text = data.draw(documents(name))
    with tempfile.TemporaryDirectory(dir="/run") as top, contextlib.ExitStack() as stack:
        layout = Layout(pathlib.Path(top, "layout"))
        layout.write(good_config(), change=changing(name, text))
        roots = pathlib.Path(top, "roots")
        roots.mkdir()
        stack.callback(shutil.rmtree, roots)
        result = run_module("ns_rootfs", {"path": f"{roots}/root", "image": layout.image})
        no_defect(result)
        if result.get("failed"):
            assert str(layout.path) in result["msg"]
            assert os.listdir(roots) == []
        else:
            assert image_config.checked(result["config"]) == result["config"]


def changing(name: str, text: bytes) -> t.Callable[[str, t.Any], t.Any]:
    """What puts the text in the place of that document."""
    return lambda called, document: text if called == name else unchanged(called, document)
