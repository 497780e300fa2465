# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode of whatever we make is what we say, whichever umask a run has: no more, and no less."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import stat
import typing as t

from cgroups_seen import without_lot
from host_state import host_state
from layered_images import Images, images
from module_server import Server
from named_namespaces import BASE, KINDS
from results import Result
from stub_systemd import StubSystemd, stub_systemd
from trees import archives

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import cache
from ansible_collections.linux.namespaces.plugins.module_utils._core.startup import LIBRARY

__all__ = ["archives", "images", "stub_systemd"]

NAME = "masked"
UMASKS = (0o022, 0o000, 0o077, 0o777)
# Where our files lie on a host.
OURS = (
    *(host_paths.BASE, host_paths.LOGS, host_paths.UNITS, "/run/netns", "/etc/linux-namespaces"),
    *(LIBRARY, host_paths.COMMAND, cache.DIRECTORY),
)
FORBIDDEN = stat.S_IWGRP | stat.S_IWOTH


class Life:
    """A named namespace with everything in it, made by modules that run with this umask."""

    def __init__(
        self, umask: int, home: pathlib.Path, archive: str, image: str, env: dict[str, str]
    ) -> None:
        self.home, self.archive, self.image, self.env = home, archive, image, env
        self.pid = 0
        before = os.umask(umask)
        try:
            self.server = Server()
        finally:
            os.umask(before)
        self.modes: dict[str, str] = {}

    def run(self, module: str, **args: t.Any) -> Result:
        arguments = {**args, "_ansible_check_mode": False, "_ansible_diff": True}
        done = self.server.run(module, arguments, env=self.env, user=None)
        assert not done.get("failed"), done
        return done

    def note(self, *tops: str) -> None:
        """The modes of everything there, on the host or inside."""
        for top in tops:
            found = [pathlib.Path(top), *sorted(pathlib.Path(top).rglob("*"))]
            for path in found:
                if path.exists() and not path.is_symlink() and path.suffix != ".log":
                    name = str(path).replace(str(self.home), "HOME").replace(self.inside, "INSIDE")
                    self.modes[without_lot(name)] = oct(path.stat().st_mode)

    @property
    def inside(self) -> str:
        """The root of the namespace, which a process of its service shows."""
        return f"/proc/{self.pid}/root"

    def go(self) -> None:
        kinds = [kind for kind in KINDS if kind != "user"]
        self.run("ns_namespace", name=NAME, kinds=kinds, hostname="masked")
        for name in ("upper", "work"):
            (self.home / name).mkdir()
        layers = [f"{name}dir={self.home}/{name}" for name in ("upper", "work")]
        root = "/mnt/a/b"
        self.run("ns_rootfs", path=f"{self.home}/x/rootfs", archive=self.archive)
        self.run("ns_rootfs", path=f"{self.home}/x/copy", directory=f"{self.home}/x/rootfs")
        self.run("ns_rootfs", path=f"{self.home}/x/image", image=self.image)
        self.run("ns_mount", namespace=NAME, path="/mnt", src="tmpfs", fstype="tmpfs")
        overlay = [f"lowerdir={self.home}/x/rootfs", *layers, "X-mount.mkdir"]
        programs = [
            {"path": f"{root}/{name}", "src": f"/{name}", "opts": ["rbind", "ro", "X-mount.mkdir"]}
            for name in ("usr", "bin", "lib", "lib64")
        ]
        mounts = [
            {"path": root, "src": "root", "fstype": "overlay", "opts": overlay},
            *programs,
            {"path": f"{root}/proc", "src": "proc", "fstype": "proc", "opts": ["X-mount.mkdir"]},
            {"path": f"{root}/run/a/b", "src": "t", "fstype": "tmpfs", "opts": ["X-mount.mkdir"]},
            {
                "path": f"{root}/srv/c/d",
                "src": "t",
                "fstype": "tmpfs",
                "opts": ["X-mount.mkdir=0710", "mode=0751"],
            },
            {"path": f"{root}/run/f/null", "src": "/dev/null", "opts": ["bind", "X-mount.mkdir"]},
            {"path": f"{root}/made/here", "src": "t", "fstype": "tmpfs", "opts": "X-mount.mkdir"},
        ]
        self.run("ns_mount", namespace=NAME, mounts=mounts)
        self.run("ns_rootfs", namespace=NAME, path=f"{root}/made/here/x/y", archive=self.archive)
        self.run("ns_rootfs", namespace=NAME, path=f"{root}/run/a/b", image=self.image)
        self.run("ns_pivot_root", namespace=NAME, new_root=root)
        self.run("ns_mount", namespace=NAME, path="/srv/late/x", src="t", fstype="tmpfs",
                 opts="X-mount.mkdir")  # fmt: skip
        self.run("ns_service", namespace=NAME, name="sleeper", supervisor="none",
                 argv=["/bin/sleep", "infinity"])  # fmt: skip
        note = json.loads((BASE / NAME / "services/sleeper.json").read_text())
        self.pid = note["process"]["pid"]
        self.note(
            *OURS, str(self.home), *(f"{self.inside}/{top}" for top in ("run", "srv", "made"))
        )

    def end(self) -> None:
        self.run("ns_namespace", name=NAME, state="absent", force=True)
        self.server.__exit__()


def test_modes_do_not_depend_on_the_umask(
    archives: tuple[str, str], images: Images, tmp_path: pathlib.Path, stub_systemd: StubSystemd
) -> None:
    before = host_state()
    found: dict[int, dict[str, str]] = {}
    for umask in UMASKS:
        home = tmp_path / f"{umask:o}"
        home.mkdir(mode=0o755)
        life = Life(umask, home, archives[0], images.plain, stub_systemd.env)
        try:
            life.go()
        finally:
            life.end()
        assert host_state() == before
        found[umask] = life.modes
        shutil.rmtree(home)
    usual = found[UMASKS[0]]
    for path in (
        *(f"{BASE}/{NAME}/services/sleeper.json", f"{host_paths.BOOT_TEMPLATE}"),
        *(f"{LIBRARY}", "HOME/x/rootfs/etc/shadow", "INSIDE/run/f/null", "INSIDE/srv/c"),
    ):
        assert path in usual, sorted(usual)
    assert usual["INSIDE/srv/c"] == "0o40710"
    for umask, modes in found.items():
        odd = {
            path: (modes.get(path), usual.get(path))
            for path in modes.keys() | usual.keys()
            if modes.get(path) != usual.get(path)
        }
        assert odd == {}, f"with umask {umask:o}"
    open_to_others = {
        path: mode
        for path, mode in usual.items()
        if int(mode, 8) & FORBIDDEN and not path.startswith(("HOME", "INSIDE"))
    }
    assert open_to_others == {}
