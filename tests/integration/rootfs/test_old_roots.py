# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots that were replaced or removed, and are still beside: what is only named like one stays."""

from __future__ import annotations

import contextlib

import pytest
from results import RunModule
from trees import Roots, archives, roots

__all__ = ["archives", "roots"]


@pytest.mark.parametrize("step", ["absent", "replaced"])
def test_what_is_named_like_an_old_root_and_is_not_ours_stays(
    step: str, roots: Roots, run_module: RunModule
) -> None:
    own = roots.top / ".root.old-1"
    own.mkdir()
    (own / "precious").touch()
    roots.path.mkdir()
    (roots.path / "foreign").touch()
    args = {"path": str(roots.path), "archive": roots.first}
    replaced = run_module("ns_rootfs", {**args, "force": True})
    assert replaced["actions"][-1] == f"remove the old root of {roots.path}"  # what was in the way
    if step == "absent":
        assert run_module("ns_rootfs", {"path": str(roots.path), "state": "absent"})["changed"]
    else:
        assert run_module("ns_rootfs", {**args, "archive": roots.second})["changed"]
    assert roots.beside() == [".root.old-1", *(["root"] if step == "replaced" else [])]
    assert (own / "precious").exists()


def test_killed_before_the_old_one_goes_and_the_users_own_has_the_name_since(
    roots: Roots, run_module: RunModule
) -> None:
    assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
    absent = {"path": str(roots.path), "state": "absent"}
    env = {"LINUX_NAMESPACES_KILL_BEFORE": "remove the old root"}
    with contextlib.suppress(AssertionError):
        run_module("ns_rootfs", absent, env=env)
    assert roots.beside() == [".root.old-1"]
    roots.path.mkdir()
    (roots.path / "precious").touch()
    assert "not made by" in run_module("ns_rootfs", absent)["reason"]
    assert (roots.path / "precious").exists()
    (roots.path / "precious").unlink()
    assert run_module("ns_rootfs", absent)["changed"]
    assert roots.beside() == []
