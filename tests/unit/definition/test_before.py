# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions that earlier versions have written."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.layout import (
    PivotNote,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
)


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A host of its own: etc/ for definitions, run/ for what ends with a reboot."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(definitions, "DIRECTORY", str(tmp_path / "etc/namespaces"))
    monkeypatch.setattr(host_paths, "BASE", str(tmp_path / "run"))
    return tmp_path


WRITTEN_BY_0_1_0 = pathlib.Path(__file__).with_name("written_by_0_1_0")


def test_what_version_0_1_0_has_written(here: pathlib.Path) -> None:
    """The files of a namespace that was made before steps and properties had types."""
    places = {"etc/namespaces/web.json": "web.json", "run/web/state.json": "state.json"}
    for place, name in places.items():
        (here / place).parent.mkdir(parents=True)
        (here / place).write_bytes((WRITTEN_BY_0_1_0 / name).read_bytes())
        (here / place).chmod(0o600)
    ids = [{"inside": 0, "outside": 100000, "count": 65536}]
    found = definitions.load("web")
    assert found == Definition(
        "web",
        Properties(
            kinds=("mnt", "net", "time", "user", "uts"),
            propagation="slave",
            hostname="wéb",
            domainname="example.org",
            id_map={"uid": ids, "gid": ids},
            loopback=False,
            sysctl={"net.ipv4.ip_forward": "1"},
            time_offsets={"monotonic": 7},
        ),
        steps=(
            MountStep("/srv/web", "web", "tmpfs", ("size=10m", "mode=755")),
            RootStep(
                "/srv/web",
                archive="/var/cache/linux-namespaces/0123.tar",
                digest="sha256:0123",
                device_nodes="skip",
            ),
            MountStep("/srv/web/data", "/srv/data", "", ("bind", "nosuid"), "rslave"),
            MountStep("/srv/web/here", "/srv/web/data", "", ("rbind",), src_in="namespace"),
            PivotStep("/srv/web", "/srv/web/old"),
        ),
        volatile=(MountStep("/run", "run", "tmpfs"),),
        pivoted=(PivotNote("/srv/web", 4294967400, 77),),
    )
    # And it is written as it was: nothing changes on a host that is upgraded.
    definitions.save(found)
    for place, name in places.items():
        assert (here / place).read_bytes() == (WRITTEN_BY_0_1_0 / name).read_bytes()
