# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made by umoci."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import typing as t


def umoci(*words: str) -> None:
    subprocess.run(["umoci", *words], check=True, capture_output=True)


def make_image(layout: pathlib.Path, tree: pathlib.Path, tag: str, *layers: t.Any) -> str:
    """An image of the tree, with a layer more for each of the changes made to it."""
    if not layout.exists():
        umoci("init", "--layout", str(layout))
    image = f"{layout}:{tag}"
    umoci("new", "--image", image)
    for change in (lambda top: subprocess.run(["cp", "-aT", tree, top], check=True), *layers):
        bundle = layout.parent / "bundle"
        umoci("unpack", "--image", image, str(bundle))
        change(bundle / "rootfs")
        umoci("repack", "--image", image, str(bundle))
        shutil.rmtree(bundle)
    return f"oci:{image}"
