# SPDX-License-Identifier: GPL-3.0-or-later
"""An image with one layer and one with two, and what they hold."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest
from images import make_image, umoci
from trees import make_tree


def second_layer(top: pathlib.Path) -> None:
    """Removes a file and a directory, replaces one of each, adds one."""
    (top / "etc/shadow").unlink()
    shutil.rmtree(top / "usr")
    (top / "version").write_text("second layer")
    (top / "added").write_text("")


class Images(t.NamedTuple):
    """A layout with the images plain (one layer) and layered (two), and what those hold."""

    layout: pathlib.Path
    tree: pathlib.Path
    plain: str
    layered: str


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    top = tmp_path_factory.mktemp("images")
    tree = make_tree(top / "tree")
    # These are not kept by umoci when it packs a layer.
    (tree / "var/holes").unlink()
    (tree / "version").write_text("plain")
    for path in (tree / "version", tree / "var"):
        os.utime(path, (1_500_000_000, 1_500_000_000))  # umoci rounds to seconds
    layout = top / "layout"
    plain = make_image(layout, tree, "plain")
    layered = make_image(layout, tree, "layered", second_layer)
    umoci(
        "config", "--image", f"{layout}:layered",
        "--config.entrypoint", "/bin/server", "--config.cmd", "--port", "--config.cmd", "80",
        "--config.env", "MODE=a=b", "--config.env", "EMPTY=", "--config.user", "www-data:adm",
        "--config.workingdir", "/srv", "--config.stopsignal", "SIGQUIT",
        "--config.exposedports", "80/tcp", "--config.volume", "/data",
    )  # fmt: skip
    return Images(layout, tree, plain, layered)


# What ns_rootfs answers of the configuration of the layered one.
CONFIG = {
    "argv": ["/bin/server", "--port", "80"],
    "entrypoint": ["/bin/server"],
    "cmd": ["--port", "80"],
    "environment": {"MODE": "a=b", "EMPTY": ""},
    "user": "www-data",
    "group": "adm",
    "chdir": "/srv",
    "stop_signal": "QUIT",
    "ports": ["80/tcp"],
    "volumes": ["/data"],
    "labels": {},
    "healthcheck": {},
}


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "roots").mkdir()
    return tmp_path / "roots/root"
