# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal knows what it removes: what somebody has put in its place stays."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

import pytest
from named_namespaces import NewName
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts


@contextlib.contextmanager
def own_mount(path: str, source: pathlib.Path) -> t.Iterator[None]:
    """What is the user's own, mounted on the path."""
    mounts.mount(str(source), path, flags=mounts.MS_BIND)
    try:
        yield
    finally:
        mounts.umount(path)


@pytest.fixture
def precious(tmp_path: pathlib.Path) -> pathlib.Path:
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "precious").write_text("precious")
    return directory


@pytest.mark.parametrize("where", ["logs", "below the logs", "the services", "a pin"])
def test_what_is_mounted_there_stays_and_is_said(
    where: str, precious: pathlib.Path, run_module: RunModule, new_name: NewName
) -> None:
    name = new_name()
    assert run_module("ns_namespace", {"name": name})["changed"]
    logs = f"{host_paths.LOGS}/{name}"
    os.makedirs(f"{logs}/old")
    path = {
        "logs": logs,
        "below the logs": f"{logs}/old",
        "the services": host_paths.services(name),
        "a pin": f"{host_paths.directory(name)}/mnt",
    }[where]
    absent = {"name": name, "state": "absent"}
    with contextlib.ExitStack() as stack:
        source = precious / "precious" if where == "a pin" else precious
        if where in ("logs", "below the logs"):
            stack.enter_context(own_mount(path, source))
        else:  # goes with the directory, which is closed first
            mounts.mount(str(source), path, flags=mounts.MS_BIND)
        failed = run_module("ns_namespace", absent)
        assert failed["failed"], failed
        assert "mounted" in failed["reason"]
        assert (precious / "precious").read_text() == "precious"
        if where not in ("logs", "below the logs"):
            mounts.umount(path.replace(host_paths.directory(name), host_paths.kept_in(name)))
    assert run_module("ns_namespace", absent)["changed"]
    assert not os.path.exists(logs)
    assert run_module("ns_namespace", absent)["actions"] == []
    assert (precious / "precious").read_text() == "precious"
