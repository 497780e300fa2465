# SPDX-License-Identifier: GPL-3.0-or-later
"""Named namespaces with a root file system of their own, made in a moment."""

from __future__ import annotations

import pathlib
import typing as t

from results import RunModule

NEW_ROOT = "/mnt"


def with_root_of_host(
    run_module: RunModule, name: str, *, kinds: t.Sequence[str], hostname: str | None = None
) -> None:
    """Make the namespace ``name``, whose root is the host's: with other /proc, /tmp and changes.

    It is not persistent, so that the host gets no nsctl with it.
    """
    layers = pathlib.Path(f"/run/tests/{name}")
    for directory in ("upper", "work"):
        (layers / directory).mkdir(parents=True)
    overlay = ["lowerdir=/", f"upperdir={layers}/upper", f"workdir={layers}/work"]
    root = {"path": NEW_ROOT, "src": "root", "fstype": "overlay", "opts": overlay}
    _make(run_module, name, root, kinds, hostname=hostname)


def with_root(
    run_module: RunModule, name: str, root: pathlib.Path, *, kinds: t.Sequence[str] = ("mnt",)
) -> None:
    """Make the namespace ``name`` with the directory ``root`` for its root, without other mounts."""
    bind = {"path": NEW_ROOT, "src": str(root), "opts": "bind"}
    _make(run_module, name, bind, kinds, bare=True)


def _make(
    run_module: RunModule,
    name: str,
    root: dict[str, t.Any],
    kinds: t.Sequence[str],
    *,
    bare: bool = False,
    hostname: str | None = None,
) -> None:
    args: dict[str, t.Any] = {"name": name, "kinds": list(kinds), "persistent": False}
    if hostname is not None:
        args["hostname"] = hostname
    mounts = [root]
    if not bare:
        mounts += [
            {"path": f"{NEW_ROOT}/proc", "src": "proc", "fstype": "proc"},
            {"path": f"{NEW_ROOT}/dev", "src": "/dev", "opts": "rbind"},
            {"path": f"{NEW_ROOT}/tmp", "src": "tmp", "fstype": "tmpfs", "opts": "mode=1777"},
        ]
    pivot = {"namespace": name, "new_root": NEW_ROOT}
    for module, arguments in (
        ("ns_namespace", args),
        ("ns_mount", {"namespace": name, "mounts": mounts}),
        ("ns_pivot_root", pivot),
    ):
        done = run_module(module, arguments)
        assert not done.get("failed"), done
