# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run as tests call it, and a small root for it."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from results import RunModule
from run_modules import Run, failing, succeeding

NOBODY = 65534
MODULE = "ns_unshare_run"


@pytest.fixture
def run(run_module: RunModule) -> Run:
    """Run the module, which must succeed."""
    return succeeding(run_module, MODULE)


@pytest.fixture
def failure(run_module: RunModule) -> Run:
    """Run the module, which must fail."""
    return failing(run_module, MODULE)


@pytest.fixture
def small_root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A root file system with nothing but links, to which /usr is still to be mounted."""
    root = pathlib.Path("/run/tests") / tmp_path.name  # where a plain user can look
    for name in ("usr", "etc", "proc", "tmp", "data"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(os.readlink(f"/{name}"))
    (root / "etc/passwd").write_text("inside:x:1234:1235::/:/bin/sh\n")
    (root / "etc/group").write_text("insiders:x:1235:\nothers:x:1300:inside\n")
    return root


USR: dict[str, t.Any] = {"path": "/usr", "src": "/usr", "opts": ["rbind", "ro"]}
