# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the generations of a namespace."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from full_definition import full

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import generations
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.generations import (
    Generation,
    Generations,
    KeptService,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.root import OwnRoot
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program

SPEC = ServiceSpec("web", "nginx", Program(("/usr/sbin/nginx",)), secret_environment={"KEY": "x"})


def generation(number: int) -> Generation:
    root = OwnRoot(
        {"image": "docker://web"}, "/var/lib/web", generation=number, verify=("/bin/ok",)
    )
    definition = full("web").replace(own_root=root, pivoted=(), missing=())
    service = KeptService(SPEC, "systemd", enabled=True, runs=number == 1)
    return Generation(definition, (service,), {"/var/lib/web/conf": "a\udc80"}, "image x", 5.5)


EVERY = Generations((generation(1), generation(2)), generation(3), 2, "it did not serve")


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    monkeypatch.setattr(generations, "DIRECTORY", str(tmp_path / "generations"))
    monkeypatch.setattr(generations.host_paths, "DEFINITIONS", str(tmp_path))
    return tmp_path


def test_what_is_kept_is_read(directory: pathlib.Path) -> None:
    assert generations.load("web") == Generations()
    generations.save("web", EVERY)
    file = directory / "generations/web.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert generations.load("web") == EVERY
    generations.save("web", Generations())
    assert not file.exists()
    assert not generations.is_there("web")


def test_numbers() -> None:
    assert (
        generations.number_of(None)
        == generations.number_of(full("web").replace(own_root=None))
        == 0
    )
    assert EVERY.of(2) == generation(2)
    assert EVERY.of(9) is None
    assert [each.number for each in EVERY.but(1)] == [2]


def damaged(change: t.Callable[[dict[str, t.Any]], t.Any]) -> str:
    generations.save("web", EVERY)
    path = pathlib.Path(generations.path_of("web"))
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(Refused) as caught:
        generations.load("web")
    assert str(path) in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.pop("version"), "has no version"),
        (lambda data: data.update(version=2), "has version 2"),
        (lambda data: data.update(version=0), "of no version"),
        (lambda data: data.update(more=1), "has more, which is unknown"),
        (lambda data: data.update(switching_from=7), "is not among those before"),
        (lambda data: data["next"].pop("definition"), "has no definition"),
        (lambda data: data["next"]["definition"].pop("own_root"), "has no root of its own"),
        (lambda data: data["next"]["definition"].pop("persistent"), "whether the namespace is"),
        (lambda data: data["next"]["definition"].update(name="shop"), "of namespace 'shop'"),
        (lambda data: data["next"]["services"][0].update(runs=1), "is not true or false"),
        (lambda data: data["next"]["services"][0].update(supervisor="x"), "which is unknown"),
        (lambda data: data["next"]["services"][0]["spec"].update(name="a b"), "cannot be a name"),
        (lambda data: data["before"].append(1), "is no object"),
        (lambda data: data["before"][0].update(contents={"x": 1}), "is not a text"),
    ],
)
def test_what_is_damaged_is_told(
    change: t.Callable[[dict[str, t.Any]], t.Any], reason: str
) -> None:
    assert reason in damaged(change)
