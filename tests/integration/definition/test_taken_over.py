# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: what the roles had made by single tasks, before there was this module."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from results import Converge, RunModule
from trees import tree_with_sleep

Entry = dict[str, t.Any]
SERVICE = "sleeper"
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
# What only the program of the service mounts.
OWN = {"path": "/opt", "src": "own", "fstype": "tmpfs", "opts": ["size=1m", "X-mount.mkdir"]}


class Made(t.NamedTuple):
    """A service in a root of its own, as the role `service` had it."""

    name: str
    manner: str
    home: pathlib.Path
    tree: pathlib.Path
    run_module: RunModule

    @property
    def root(self) -> str:
        return f"{self.home}/root"

    def task(self, module: str, **args: t.Any) -> Entry:
        result = self.run_module(module, args)
        assert not result.get("failed"), result
        return result

    def make_home(self) -> None:
        self.home.mkdir(mode=0o700)
        for name in ("dev", "upper", "work"):
            (self.home / name).mkdir(mode=0o755)
        for name, target in LINKS.items():
            (self.home / "dev" / name).symlink_to(target)

    def root_mount(self, digest: str) -> Entry:
        """The root was labelled by the service, and one in memory by nothing else."""
        mkdir, rootfs = "X-mount.mkdir", f"{self.home}/rootfs"
        if self.manner == "overlay":
            layers = [f"lowerdir={rootfs}", f"upperdir={self.home}/upper"]
            layers += [f"workdir={self.home}/work", mkdir]
            return {"src": f"{SERVICE}-{digest[-12:]}", "fstype": "overlay", "opts": layers}
        if self.manner == "bind":
            return {"src": rootfs, "opts": ["bind", mkdir]}
        return {"src": SERVICE, "fstype": "tmpfs", "opts": ["mode=755", mkdir]}

    def usual_mounts(self) -> list[Entry]:
        flags, mkdir = ["nosuid", "nodev"], "X-mount.mkdir"
        found: list[Entry] = [
            {"path": "proc", "src": "proc", "fstype": "proc", "opts": [*flags, "noexec", mkdir]},
            {"path": "dev", "src": f"{self.home}/dev", "opts": ["bind", *flags, "noexec", mkdir]},
        ]
        for name in DEVICES:
            found.append({"path": f"dev/{name}", "src": f"/dev/{name}", "opts": ["bind", mkdir]})
        found += [
            {"path": "dev/shm", "src": "shm", "fstype": "tmpfs", "opts": [*flags, "noexec", mkdir]},
            {"path": "run", "src": "run", "fstype": "tmpfs", "opts": [*flags, "mode=755", mkdir]},
            {"path": "tmp", "src": "tmp", "fstype": "tmpfs", "opts": [*flags, mkdir]},
        ]
        return [{**each, "path": f"{self.root}/{each['path']}"} for each in found]

    def make(self) -> None:
        """Have it, by the tasks that the role had."""
        self.make_home()
        name, source = {"namespace": self.name}, {"directory": str(self.tree)}
        digest = ""
        if self.manner != "tmpfs":
            digest = self.task("ns_rootfs", path=f"{self.home}/rootfs", **source)["digest"]
        self.task("ns_namespace", name=self.name, kinds=["mnt", "uts"])
        mount = {"path": self.root, **self.root_mount(digest)}
        self.task("ns_mount", mounts=[mount], **name)
        if self.manner == "tmpfs":
            self.task("ns_rootfs", path=self.root, **source, **name)
        self.task("ns_mount", mounts=self.usual_mounts(), **name)
        self.task("ns_pivot_root", new_root=self.root, **name)
        self.task("ns_mount", mounts=[OWN], **name)
        self.task("ns_service", **self.service(), image_config={}, **name)

    def service(self) -> Entry:
        return {
            "name": SERVICE,
            "argv": ["/bin/sleep", "infinity"],
            "environment": {"COLOUR": "red"},
            "secret_environment": {"TOKEN": "hush"},
            "reload": {"signal": "USR1"},
        }

    def listed(self, **more: t.Any) -> Entry:
        """The options of the one task that the role has now."""
        root = {"directory": str(self.tree), "home": str(self.home), "root": self.manner}
        entry = {"name": self.name, "kinds": ["mnt", "uts"], "rootfs": root}
        entry.update(mounts=[OWN], services=[self.service()])
        return {"namespaces": [entry], "recreate": True, **more}


@pytest.fixture(params=["overlay", "bind", "tmpfs"])
def made(
    request: pytest.FixtureRequest,
    new_name: NewName,
    run_module: RunModule,
    tmp_path: pathlib.Path,
) -> t.Iterator[Made]:
    name = new_name()
    tree = tree_with_sleep(tmp_path / "tree")
    found = Made(name, request.param, pathlib.Path(f"/run/tests/{name}"), tree, run_module)
    found.make()
    yield found
    found.task("ns_definition", **found.listed(state="absent"))
    assert not found.home.exists()


def test_it_is_taken_over_as_it_lives(made: Made, converge: Converge, nsctl: Nsctl) -> None:
    before = nsctl.data("show", made.name)
    done = converge("ns_definition", made.listed())
    assert done["namespaces"][0]["actions"] == ["record the definition"]
    after = nsctl.data("show", made.name)
    assert after["kinds"] == before["kinds"]
    assert after["services"] == before["services"]
    assert after["mounts"] == before["mounts"]
