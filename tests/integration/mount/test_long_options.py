# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount: options of any length, with the calls of this kernel and with those of older ones."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from mounted import words_on
from results import Converge, RunModule, is_failure
from unshared_process import Unshared, UnsharedProcess

ABSENT = "LINUX_NAMESPACES_ABSENT_CALLS"
KERNELS = {
    "newest": {},
    "no descriptors": {ABSENT: "fsconfig_set_fd"},
    "all in one": {ABSENT: "fsconfig_set_fd fsconfig_lowerdir+ fsconfig_datadir+"},
}


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> dict[str, str]:
    return KERNELS[request.param]


@pytest.fixture(params=[("mnt",), ("mnt", "user")], ids=["root", "userns"])
def target(request: pytest.FixtureRequest, unshared_process: UnsharedProcess) -> Unshared:
    options = ["--map-root-user"] if "user" in request.param else []
    return unshared_process(request.param, options=options)


def layers_below(top: pathlib.Path, number: int, length: int) -> list[pathlib.Path]:
    """Directories with names of this length, each with a file of its number."""
    made = [top / f"{each:03}{'x' * (length - 3)}" for each in range(number)]
    for each, directory in enumerate(made):
        directory.mkdir(parents=True)
        (directory / str(each)).touch()
    return made


def overlay_of(
    layers: list[pathlib.Path], top: pathlib.Path, **more: pathlib.Path
) -> dict[str, t.Any]:
    (top / "mnt").mkdir(exist_ok=True)
    escaped = [str(each).replace("\\", "\\\\").replace(":", "\\:") for each in layers]
    deeper = {key: str(path).replace("\\", "\\\\") for key, path in more.items()}
    opts = [f"lowerdir={':'.join(escaped)}", *(f"{key}={path}" for key, path in deeper.items())]
    # A comma in a value is quoted.
    opts = [f'{word.partition("=")[0]}="{word.partition("=")[2]}"' for word in opts]
    return {"path": f"{top}/mnt", "src": "overlay", "fstype": "overlay", "opts": opts}


@pytest.mark.parametrize(("number", "length"), [(5, 100), (2, 255), (30, 40)])
def test_layers(
    number: int,
    length: int,
    kernel: dict[str, str],
    converge: Converge,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    layers = layers_below(tmp_path, number, length)
    wanted = {"pid": target.pid, **overlay_of(layers, tmp_path)}
    converge("ns_mount", wanted, env=kernel)
    names = target.run("ls", f"{tmp_path}/mnt").split()
    assert sorted(names, key=int) == [str(each) for each in range(number)]
    changed = overlay_of(layers[::-1] or layers, tmp_path)
    assert converge("ns_mount", {**wanted, **changed}, env=kernel)["changed"] == (number > 1)


def test_many_layers(
    kernel: dict[str, str],
    converge: Converge,
    run_module: RunModule,
    target: Unshared,
    tmp_path: pathlib.Path,
) -> None:
    layers = layers_below(tmp_path, 120, 20)
    wanted = {"pid": target.pid, **overlay_of(layers, tmp_path)}
    if "lowerdir+" not in str(kernel):
        converge("ns_mount", wanted, env=kernel)
        assert len(target.run("ls", f"{tmp_path}/mnt").split()) == 120
        return
    before = target.mountinfo()
    result = run_module("ns_mount", wanted, env=kernel)
    size = sum(len(f":{layer}") for layer in layers) + len("lowerdir")
    reason = f"the options of the mount on {tmp_path}/mnt are {size} bytes long, and this kernel"
    is_failure(
        result, f"{reason} takes no more than {os.sysconf('SC_PAGE_SIZE') - 1}", "shorter paths"
    )
    assert target.mountinfo() == before


@pytest.mark.parametrize("odd", ["plain", "a,b", "a:b", "a\\b", "a b", "\u00e4\u20ac"])
def test_deep_paths_with_odd_names(
    odd: str, kernel: dict[str, str], converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    deep = tmp_path / ("d" * 200) / odd / ("e" * 200)
    for name in ("lower", "upper", "work", "lower/from-below"):
        (deep / name).mkdir(parents=True)
    wanted = overlay_of([deep / "lower"], tmp_path, upperdir=deep / "upper", workdir=deep / "work")
    converge("ns_mount", {"pid": target.pid, **wanted}, env=kernel)
    target.run("mkdir", f"{tmp_path}/mnt/from-above")
    assert sorted(target.run("ls", f"{tmp_path}/mnt").split()) == ["from-above", "from-below"]
    assert (deep / "upper/from-above").is_dir()
    assert not (deep / "lower/from-above").exists()


@pytest.mark.parametrize("opts", ["size=1m,mode=0700", "ro,nosuid,noatime", "nodev,noexec,size=2m"])
def test_a_long_source(
    opts: str, converge: Converge, target: Unshared, tmp_path: pathlib.Path
) -> None:
    """The one string that any file system may have."""
    (tmp_path / "mnt").mkdir()
    args = {"pid": target.pid, "path": f"{tmp_path}/mnt", "fstype": "tmpfs", "opts": opts}
    made = converge("ns_mount", {**args, "src": "s" * 3000})
    assert made["mounts"][0]["src"] == "s" * 3000
    long = words_on(target, tmp_path / "mnt")
    converge("ns_mount", {**args, "src": "short"})
    assert words_on(target, tmp_path / "mnt") == long
