# SPDX-License-Identifier: GPL-3.0-or-later
"""A named namespace with a service that says which root it was started in, and gets another one."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from results import RunModule
from trees import pack, tree_of_host
from waiting import wait_until

Entry = dict[str, t.Any]
# It tells which root it was started in, and ends where that is a bad one.
PROGRAM = (
    "grep -q bad /etc/release && { echo gone wrong; exit 3; };"
    " echo $(cat /etc/release) $MODE $(cat /etc/x/conf) > /out/tmp; mv /out/tmp /out/runs;"
    " exec sleep infinity"
)


class Site(t.NamedTuple):
    """A namespace with a service, the directory that its root is a copy of, and what the service writes to."""

    name: str
    tree: pathlib.Path
    out: pathlib.Path
    home: pathlib.Path
    run_module: RunModule

    def release(self, text: str) -> None:
        """Have another root."""
        (self.tree / "etc/release").write_text(text)

    def source(self, manner: str = "overlay") -> Entry:
        """Where its root comes from. One in memory is made of it again: so each has an archive of its own."""
        if manner != "tmpfs":
            return {"root": manner, "directory": str(self.tree)}
        release = (self.tree / "etc/release").read_text()
        archive = pack(self.tree, self.tree.with_name(f"{release}.tar"))
        return {"root": manner, "archive": archive}

    def listed(self, text: str = "a", state: str = "present", **more: t.Any) -> Entry:
        """The options for it; ``text`` is its configuration and in its environment."""
        rootfs = more.pop("rootfs", {})
        root = {"home": str(self.home), **self.source(rootfs.get("root", "overlay")), **rootfs}
        kinds = more.pop("kinds", ["mnt", "net", "uts"])
        mounts = [
            {"path": "/usr", "src": "/usr", "opts": ["bind", "ro"]},
            {"path": "/out", "src": str(self.out), "opts": ["bind"]},
            {"path": "/etc/x", "src": f"{self.home}/x", "opts": ["bind"]},
        ]
        service = {
            "name": "x",
            "argv": ["/bin/sh", "-c", PROGRAM],
            "environment": {"MODE": text},
            "ready": {"file": "/out/runs", "timeout": 10},
            "stop_timeout": 2,
            "files": [{"dest": f"{self.home}/x/conf", "content": text}],
        }
        entry = {"name": self.name, "kinds": kinds, "rootfs": root, "mounts": mounts}
        entry.update(services=more.pop("services", [service]))
        return {"namespaces": [entry], "state": state, **more}

    def runs(self, wanted: str) -> bool:
        """Whether the service was started with this last: its root, its environment, its file."""
        return wait_until(lambda: (self.out / "runs").read_text() == f"{wanted}\n")

    def pid(self, nsctl: Nsctl) -> int:
        """Its process."""
        (found,) = nsctl.data("show", self.name)["services"]
        assert found["state"] == "started"
        pid: int = found["pid"]
        return pid

    def ids(self) -> dict[str, int]:
        """The ids of its namespaces by kind."""
        return {
            kind: os.stat(f"/run/linux-namespaces/{self.name}/{kind}").st_ino
            for kind in ("mnt", "net", "uts")
        }

    def tries(self, args: Entry, **how: t.Any) -> Entry:
        """Run it; its service is not ready before it has written what it runs as."""
        self.out.joinpath("runs").unlink(missing_ok=True)
        done: Entry = self.run_module("ns_definition", args, **how)
        return done

    def has(self, args: Entry) -> Entry:
        """Run it to its end."""
        done = self.tries(args)
        assert not done.get("failed"), done["msg"]
        return done


@pytest.fixture
def site(new_name: NewName, run_module: RunModule, tmp_path: pathlib.Path) -> t.Iterator[Site]:
    name, out = new_name(), tmp_path / "out"
    out.mkdir()
    tree = tree_of_host(tmp_path / "tree")
    found = Site(name, tree, out, pathlib.Path(f"/run/tests/{name}"), run_module)
    found.release("one")
    yield found
    gone = run_module("ns_definition", found.listed(state="absent", force=True))
    assert not gone.get("failed"), gone["msg"]
    assert not found.home.exists()
