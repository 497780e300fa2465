# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_unshare_run as tests call it, and a small root for it."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from conftest import Result, RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import (
    kinds,
    nsfs,
)

NOBODY = 65534
MODULE = "ns_unshare_run"
ALL_KINDS = list(kinds.NAMES)
OLDER = {"LINUX_NAMESPACES_ABSENT_CALLS": "mount_setattr clone3 close_range"}
Run = t.Callable[..., Result]


@pytest.fixture
def run(run_module: RunModule) -> Run:
    """Run the module: keywords are its options, ``argv`` first; it must succeed."""

    def unshare_run(
        *argv: str,
        check: bool = False,
        env: dict[str, str] | None = None,
        as_user: int | None = None,
        **options: t.Any,
    ) -> Result:
        args = {**({"argv": list(argv)} if argv else {}), **options}
        result = run_module(MODULE, args, check=check, env=env, user=as_user)
        assert not result.get("failed"), result["msg"]
        result["stdout_lines"] = result["stdout"].splitlines()  # as Ansible adds it
        return result

    return unshare_run


@pytest.fixture
def failure(run_module: RunModule) -> Run:
    """Run the module, which must fail."""

    def unshare_fail(
        *argv: str,
        env: dict[str, str] | None = None,
        as_user: int | None = None,
        **options: t.Any,
    ) -> Result:
        args = {**({"argv": list(argv)} if argv else {}), **options}
        result = run_module(MODULE, args, env=env, user=as_user)
        assert result.get("failed"), result
        return result

    return unshare_fail


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


def living(marker: str) -> list[int]:
    """The processes in whose command line the marker stands."""
    found = []
    for pid in nsfs.all_pids():
        facts = nsfs.process_facts(pid)
        if facts is not None and marker in facts.command and facts.state != "Z":
            found.append(pid)
    return found
