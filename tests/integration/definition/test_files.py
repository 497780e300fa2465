# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: files on the host, for a namespace and for the programs that read them."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from results import Converge, RunModule
from waiting import wait_until

Entry = dict[str, t.Any]
# It says whenever it has read its configuration.
PROGRAM = """
read_it() { cat /srv/etc/x.conf >> /srv/log/read; }
trap read_it HUP
read_it
touch /srv/log/ready
while :; do sleep 60 & wait $!; kill $!; done
"""


class Shop(t.NamedTuple):
    """A namespace with a service, and its home."""

    name: str
    home: pathlib.Path

    def entry(self, config: str, *, reload: Entry | None = None, **more: t.Any) -> Entry:
        """What is listed for it, with this in its configuration."""
        service: Entry = {
            "name": "x",
            "argv": ["/bin/sh", "-c", PROGRAM],
            "ready": {"file": "/srv/log/ready"},
            "files": [
                {
                    "dest": f"{self.home}/etc/x.conf",
                    "content": config,
                    "validate": ["/bin/grep", "-q", "^good", "%s"],
                }
            ],
        }
        if reload is not None:
            service["reload"] = reload
        return {
            "name": self.name,
            "mounts": [
                {"path": "/srv", "src": "t", "fstype": "tmpfs"},
                *(
                    {
                        "path": f"/srv/{name}",
                        "src": f"{self.home}/{name}",
                        "opts": ["bind", "X-mount.mkdir"],
                    }
                    for name in ("etc", "log")
                ),
            ],
            "files": [{"dest": f"{self.home}/log", "state": "directory"}],
            "services": [service],
            **more,
        }

    def read(self) -> list[str]:
        """What its program has read, each time."""
        return (self.home / "log/read").read_text().splitlines()


@pytest.fixture
def shop(new_name: NewName, run_module: RunModule) -> t.Iterator[Shop]:
    name = new_name()
    found = Shop(name, pathlib.Path(f"/var/lib/linux-namespaces-{name}"))
    yield found
    gone = run_module(
        "ns_definition", {"namespaces": [{"name": name}], "state": "absent", "force": True}
    )
    assert not gone.get("failed"), gone
    assert not found.home.exists()


def actions_of(result: t.Mapping[str, t.Any]) -> list[str]:
    (found,) = result["namespaces"]
    return list(found["actions"])


def test_a_program_reads_what_has_changed(shop: Shop, converge: Converge) -> None:
    hup = {"signal": "HUP"}
    converge("ns_definition", {"namespaces": [shop.entry("good 1\n", reload=hup)]})
    assert shop.home.stat().st_mode & 0o7777 == 0o700
    assert shop.read() == ["good 1"]
    done = converge("ns_definition", {"namespaces": [shop.entry("good 2\n", reload=hup)]})
    assert actions_of(done) == [f"write {shop.home}/etc/x.conf", "reload service x"]
    assert wait_until(lambda: shop.read() == ["good 1", "good 2"])
    done = converge("ns_definition", {"namespaces": [shop.entry("good 3\n")]})
    assert actions_of(done)[-2:] == ["stop service x", "start service x"]
    assert wait_until(lambda: shop.read()[-1] == "good 3")
    # It starts with what is there, and needs to read nothing once more.
    entry = shop.entry("good 4\n")
    entry["services"][0]["environment"] = {"A": "b"}
    done = converge("ns_definition", {"namespaces": [entry]})
    assert actions_of(done)[-2:] == ["stop service x", "start service x"]


def test_what_a_program_inside_refuses(
    shop: Shop, converge: Converge, run_module: RunModule
) -> None:
    good = {"namespaces": [shop.entry("good\n")]}
    bad = {"namespaces": [shop.entry("bad\n")]}
    refused = run_module("ns_definition", bad)
    assert "/bin/grep ended with 1" in refused["msg"]
    assert not os.path.exists(f"/run/linux-namespaces/{shop.name}")
    converge("ns_definition", good)
    before = os.stat(shop.home / "etc/x.conf")
    refused = run_module("ns_definition", bad)
    assert refused["failed"]
    assert refused["namespaces"][0]["step"] == f"write {shop.home}/etc/x.conf"
    assert os.stat(shop.home / "etc/x.conf").st_ino == before.st_ino
    assert os.listdir(shop.home / "etc") == ["x.conf"]
    assert shop.read() == ["good"]
    assert not run_module("ns_definition", good)["changed"]


def test_drift_of_a_file_is_mended(shop: Shop, converge: Converge) -> None:
    converge("ns_definition", {"namespaces": [shop.entry("good\n")]})
    file = shop.home / "etc/x.conf"
    for spoil in (
        lambda: file.write_text("worse\n"),
        lambda: file.chmod(0o600),
        lambda: os.chown(file, 7, 8),
        file.unlink,
        lambda: (file.unlink(), file.symlink_to("/etc/passwd")),
        lambda: shutil.rmtree(shop.home / "log"),
    ):
        spoil()
        done = converge("ns_definition", {"namespaces": [shop.entry("good\n")]})
        assert done["changed"]
        assert file.read_text() == "good\n"
        assert not file.is_symlink()
        assert (file.stat().st_mode & 0o7777, file.stat().st_uid) == (0o644, 0)
    assert (shop.home / "log").is_dir()


def test_what_is_not_listed_any_more_goes(shop: Shop, converge: Converge) -> None:
    entry = shop.entry("good\n")
    more = {"dest": f"{shop.home}/conf.d/more.conf", "content": "more"}
    empty = {"dest": f"{shop.home}/empty", "state": "directory"}
    converge("ns_definition", {"namespaces": [{**entry, "files": [*entry["files"], more, empty]}]})
    assert (shop.home / "conf.d/more.conf").read_text() == "more"
    done = converge("ns_definition", {"namespaces": [entry]})
    assert actions_of(done)[:2] == [f"remove {shop.home}/empty", f"remove {more['dest']}"]
    assert sorted(os.listdir(shop.home)) == [".linux-namespaces.home", "conf.d", "etc", "log"]


def test_a_link_that_a_program_inside_made_is_not_followed(
    shop: Shop, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    """It may write to a directory that is mounted inside."""
    entry = shop.entry("good\n")
    more = {"dest": f"{shop.home}/log/below/x", "content": "of ours"}
    assert not run_module("ns_definition", {"namespaces": [entry]}).get("failed")
    (shop.home / "log/below").symlink_to(tmp_path)
    listed = {"namespaces": [{**entry, "files": [*entry["files"], more]}]}
    refused = run_module("ns_definition", listed)
    assert refused["failed"]
    assert os.listdir(tmp_path) == []
    (shop.home / "log/below").unlink()
    (shop.home / "log/below").mkdir()
    (shop.home / "log/below/x").symlink_to(tmp_path / "made")
    (shop.home / "log/below/x.new").symlink_to(tmp_path / "made")
    assert not run_module("ns_definition", listed).get("failed")
    assert os.listdir(tmp_path) == []
    assert (shop.home / "log/below/x").read_text() == "of ours"


def test_a_secret_is_shown_nowhere(shop: Shop, run_module: RunModule) -> None:
    secret = "correct-horse"
    entry = shop.entry(
        "good\n", files=[{"dest": f"{shop.home}/key", "content": secret, "mode": "0600"}]
    )
    entry["mounts"], entry["services"] = entry["mounts"][:1], []
    for check in (True, False):
        done = run_module("ns_definition", {"namespaces": [entry]}, check=check)
        assert not done.get("failed"), done["msg"]
        assert secret not in json.dumps(done)
    assert (shop.home / "key").read_text() == secret
    entry["files"][0]["content"] = "battery"
    done = run_module("ns_definition", {"namespaces": [entry]})
    assert "battery" not in json.dumps(done)
    assert "7 bytes, sha256:" in done["diff"]["after"]


def test_export_and_apply(shop: Shop, converge: Converge, nsctl: Nsctl) -> None:
    converge("ns_definition", {"namespaces": [shop.entry("good\n", reload={"signal": "HUP"})]})
    exported = nsctl("export", shop.name).stdout
    assert nsctl("diff", "-", input=exported).stdout == ""
    assert nsctl("apply", "-", input=exported).stdout == f"{shop.name}: as it should be\n"
    assert nsctl("export", shop.name).stdout == exported


@pytest.mark.parametrize("step", ["write", "reload service x", "record what was read"])
def test_a_run_that_was_killed_is_made_up_for(
    shop: Shop, converge: Converge, run_module: RunModule, step: str
) -> None:
    """The program may have read the new configuration or not: the next run sees to it."""
    hup = {"signal": "HUP"}
    converge("ns_definition", {"namespaces": [shop.entry("good 1\n", reload=hup)]})
    if step == "write":
        step = f"write {shop.home}/etc/x.conf"
    after = {"namespaces": [shop.entry("good 2\n", reload=hup)]}
    with pytest.raises(AssertionError, match="status -9"):
        run_module("ns_definition", after, env={"LINUX_NAMESPACES_KILL_BEFORE": step})
    converge("ns_definition", after)
    assert wait_until(lambda: shop.read()[-1] == "good 2")
