# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told of a definition: units whose names no path of it can leave."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import boot
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
    Step,
)

NETWORK = [
    "Wants=network-online.target",
    "After=network-online.target remote-fs-pre.target",
]
BIND = ("bind",)


def told(*steps: Step, **more: object) -> list[str]:
    return boot.drop_in(Definition("web", steps=steps, **more)).splitlines()[2:]  # type: ignore[arg-type]


def units(*steps: Step) -> list[str]:
    lines = told(*steps)
    wanted = [line[6:] for line in lines if line.startswith("Wants=")]
    assert [line[6:] for line in lines if line.startswith("After=")] == wanted
    return wanted


def test_nothing_is_needed() -> None:
    assert boot.drop_in(Definition("web")) == ""
    assert told(PivotStep("/"), MountStep("/data", "none", "tmpfs")) == []
    late = MountStep("/data", "/srv/late", words=BIND)
    assert told(volatile=(late,)) == []  # it is not made at boot


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # A directory may lie on a mount, or be one; and so may the place, which is the host's.
        (
            [MountStep("/mnt", "/srv/a", words=BIND)],
            ["mnt.mount", "srv-a.mount", "srv.mount"],
        ),
        ([PivotStep("/x"), MountStep("/mnt", "/srv", words=BIND)], ["srv.mount"]),
        ([PivotStep("/x"), MountStep("/mnt", "/srv", words=BIND, src_in="namespace")], []),
        (
            [MountStep("/mnt", "/srv", words=BIND, src_in="namespace")],
            ["mnt.mount", "srv.mount"],
        ),
        (
            [PivotStep("/x"), RootStep("/r", archive="/var/cache/a.tar")],
            ["var-cache-a.tar.mount", "var-cache.mount", "var.mount"],
        ),
        ([PivotStep("/x"), RootStep("/r", directory="/srv/r")], ["srv-r.mount", "srv.mount"]),
        (
            [
                PivotStep("/x"),
                MountStep("/o", "none", "overlay", ("lowerdir=/a:/b", "upperdir=/c", "workdir=d")),
            ],
            ["a.mount", "a:-b.mount", "a:.mount", "b.mount", "c.mount"],
        ),
        ([PivotStep("/x"), MountStep("/i", "/srv/i.img", "ext4", ("loop",))], ["srv-i.img.mount", "srv.mount"]),
        ([PivotStep("/x"), MountStep("/i", "/dev/vdb", "ext4")], ["dev-vdb.device"]),
        (
            [PivotStep("/x"), MountStep("/i", "UUID=3e6b-1", "ext4")],
            [r"dev-disk-by\x2duuid-3e6b\x2d1.device"],
        ),
        (
            [PivotStep("/x"), MountStep("/i", 'LABEL="my disk"', "auto")],
            [r"dev-disk-by\x2dlabel-my\x5cx20disk.device"],
        ),
        # Nobody waits for what is not mounted then.
        ([MountStep("/i", "UUID=3e6b-1", "ext4", ("noauto", "_netdev"))], []),
        ([PivotStep("/x"), MountStep("/i", "/dev/vdb", "ext4", ("noauto", "auto"))], ["dev-vdb.device"]),
        ([PivotStep("/x"), MountStep("/i", 'UUID="', "ext4")], []),  # which is damaged
        ([PivotStep("/x"), MountStep("/n", "/dev/null", words=BIND)], []),
        ([PivotStep("/x"), MountStep("/n", "/proc/1/x", words=BIND)], []),
        ([PivotStep("/x"), MountStep("/n", "/procs", words=BIND)], ["procs.mount"]),
        ([PivotStep("/x"), MountStep("/n", "//a/../b/./c", words=BIND)], ["b-c.mount", "b.mount"]),
    ],
)  # fmt: skip
def test_what_has_to_be_there_first(steps: list[Step], expected: list[str]) -> None:
    assert units(*steps) == expected


def test_nobody_waits_for_what_need_not_be_there() -> None:
    may_be = MountStep("/i", "LABEL=x", "ext4", ("nofail",))
    device = r"dev-disk-by\x2dlabel-x.device"
    assert told(PivotStep("/x"), may_be) == [f"After={device}"]
    needed = may_be.replace(path="/j", words=())
    assert told(PivotStep("/x"), may_be, needed) == [f"Wants={device}", f"After={device}"]


@pytest.mark.parametrize(
    "step",
    [
        MountStep("/n", "server:/export", "nfs4"),
        MountStep("/n", "//server/share", "cifs"),
        MountStep("/n", "user@server:", "fuse.sshfs"),
        MountStep("/n", "tag", "9p"),
        MountStep("/n", "none", "tmpfs", ("_netdev",)),
    ],
)
def test_what_comes_from_the_network(step: MountStep) -> None:
    assert told(PivotStep("/x"), step) == NETWORK


PATHS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).map(lambda text: f"/{text}")


@given(PATHS, st.lists(st.text(max_size=20), max_size=3), st.text(max_size=10))
def test_no_text_of_a_definition_gets_out_of_a_name(
    path: str, words: list[str], fstype: str
) -> None:
    step = MountStep(path, path, fstype, (*words, f"option={path}"))
    root = RootStep(path, archive=path)
    for line in told(step, root):
        assert line in NETWORK or re.fullmatch(
            r"(Wants|After)=([A-Za-z0-9:_.-]|\\x[0-9a-f]{2})+\.(mount|device)", line
        ), line
        assert len(line) <= len("Wants=") + 255


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="systemd-escape is not there")
@pytest.mark.parametrize(
    "path", ["/srv/a b", "/srv/.hidden", "/.first", "/a-b/c_d:e", "/é/%n", "/a\\b", "/a\nb", "/x.d"]
)
def test_systemd_calls_it_the_same(path: str) -> None:
    argv = ["systemd-escape", "--path", "--suffix=mount", path]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert done.stdout.rstrip("\n") in units(PivotStep("/x"), MountStep("/m", path, words=BIND))


def test_a_mount_that_is_configured_and_not_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = Definition("web", steps=(MountStep("/mnt", "/srv/a/b", words=BIND),))
    monkeypatch.setattr(boot, "_CONFIGURED", (str(tmp_path),))
    monkeypatch.setattr(boot.host_paths, "SYSTEMD", str(tmp_path))
    assert boot.absent_mounts(definition, ()) == []
    (tmp_path / "srv-a.mount").touch()
    (tmp_path / "mnt.mount").symlink_to("/dev/null")  # masked
    assert boot.absent_mounts(definition, {"/"}) == [("/srv/a", "srv-a.mount")]
    assert boot.absent_mounts(definition, {"/srv/a"}) == []
    for word in ("nofail", "noauto"):
        step = MountStep("/mnt", "/srv/a/b", words=(*BIND, word))
        assert boot.absent_mounts(definition.replace(steps=(step,)), {"/"}) == []
    monkeypatch.setattr(boot.host_paths, "SYSTEMD", str(tmp_path / "nowhere"))
    assert boot.absent_mounts(definition, ()) == []
