# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin `local`: links where files go, and a shell that lies."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest
from ansible.errors import AnsibleError
from connected import Connected, quoted, way, web
from executables_seen import NEARLY_ALL, watching
from host_state import host_state
from processes_inside import inside, living
from results import RunModule
from roots import with_root
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.plugin_utils import _entering

__all__ = ["way", "web"]

NewName = t.Callable[[], str]


class TestHostileRoots:
    """Links where files go, and a shell that lies."""

    def test_files_stay_inside(self, web: str, tmp_path: pathlib.Path) -> None:
        """Ansible CVE-2015-6240: what is copied passes through who is inside already."""
        canary = tmp_path / "canary"
        canary.mkdir()
        upper = pathlib.Path(f"/run/tests/{web}/upper")
        connected = Connected(namespace=web)
        connected(
            f"ln -s {canary} /canary; ln -s /canary /var/tmp/dir; ln -s {canary}/f /var/tmp/f"
        )
        assert (upper / "canary").is_symlink()
        connected(f"rmdir {canary}; mkdir -p {canary}")
        before = host_state()
        connected.plugin.put_file("/etc/hostname", "/var/tmp/dir/x")
        connected.plugin.put_file("/etc/hostname", "/var/tmp/f")
        assert list(canary.iterdir()) == []
        assert host_state() == before
        assert sorted(connected.said(f"ls {canary}").split()) == ["f", "x"]
        connected.plugin.fetch_file("/var/tmp/f", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == pathlib.Path("/etc/hostname").read_bytes()

    def test_a_shell_that_lies_gets_nothing_of_the_host(
        self, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lying = (
            "#!/bin/bash -p\n"
            "ls -l /proc/self/fd /proc/$PPID/fd 2>&1; readlink /proc/$PPID/exe; echo parent $PPID\n"
            "cat /proc/self/environ | tr '\\0' '\\n'; readlink /proc/self/cwd; exit 0\n"
        )
        monkeypatch.setenv("OF_THE_HOST", "1")
        connected = Connected(namespace=web)
        inside(web, lambda: pathlib.Path("/bin/sh.new").write_text(lying))
        connected("chmod 755 /bin/sh.new; mv /bin/sh.new /bin/sh")
        said = connected.said("true")
        assert "parent 0" in said  # who entered is not to be seen
        assert "OF_THE_HOST" not in said

    @pytest.mark.parametrize("kinds", [None, ("mnt", "pid")])
    @pytest.mark.parametrize(
        "shell",
        ["/proc/self/exe", "#!/proc/self/exe --uts=/fifo\n", "#!/bin/who-enters --uts=/fifo\n"],
    )
    def test_a_shell_that_is_who_enters(
        self, web: str, way: str, shell: str, kinds: tuple[str, ...] | None
    ) -> None:
        """CVE-2019-5736: nsenter is run inside then, and its file is not to be written to there.

        As a script it waits for a fifo, so that the other process has all the time to try.
        """
        nsenter = str(pathlib.Path("/usr/bin/nsenter").stat().st_ino)
        connected = Connected(namespace=web)
        connected(
            "mkfifo /fifo; ln -s /proc/self/exe /bin/who-enters;"
            f"printf %s {quoted(shell)} >/s; chmod +x /s; mv /s /bin/sh"
            if shell.startswith("#")
            else f"ln -sf {shell} /bin/sh"
        )
        command = _entering.Way(namespace=web, kinds=kinds).around("true")
        # Whom nsenter lets open it has all rights of who is run by it.
        rights = NEARLY_ALL if way == "nsctl" else None
        with living(web) as pid, watching(pid, capabilities=rights) as seen:
            for _round in range(1 if shell.startswith("#") else 30):
                entering = subprocess.Popen(
                    command, shell=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
                if way == "nsenter" and shell.startswith("#"):
                    assert wait_until(lambda: any(line.endswith(nsenter) for line in seen()))
                    inside(web, lambda: os.close(os.open("/fifo", os.O_WRONLY)), ["mnt"])
                _out, err = entering.communicate(timeout=30)
                assert entering.returncode
                assert ("a link of /proc" in err) == (way == "nsctl")
            if way == "nsenter":
                assert wait_until(lambda: f"EROFS {nsenter}" in seen())
            assert f"writable {nsenter}" not in seen()
            assert way == "nsenter" or not [line for line in seen() if "python" in line]

    def test_proc_and_tmp_that_are_links(
        self, run_module: RunModule, new_name: NewName, way: str, tmp_path: pathlib.Path
    ) -> None:
        """Nothing of ours is read from there."""
        root, canary = tmp_path / "root", tmp_path / "canary"
        canary.mkdir()
        for directory in ("usr", "lib", "lib64", "bin"):
            (root / directory).mkdir(parents=True)
        for name in ("proc", "tmp", "dev", "root"):
            (root / name).symlink_to(canary)
        name = new_name()
        assert way
        with_root(run_module, name, root)
        for directory in ("usr", "lib", "lib64", "bin"):
            bind = {"path": f"/{directory}", "src": f"/{directory}", "opts": "bind,ro"}
            assert run_module("ns_mount", {"namespace": name, **bind})["changed"]
        connected = Connected(namespace=name)
        assert connected.said("echo $HOME; pwd") == "/root\n/\n"
        with pytest.raises(AnsibleError):
            connected.plugin.put_file("/etc/hostname", "/tmp/x")
        assert list(canary.iterdir()) == []
