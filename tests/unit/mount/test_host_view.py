# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of the host: links are the host's own until they lead into a root of others."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import host_view
from ansible_collections.linux.namespaces.plugins.module_utils._core.storage import root_mark


def opened(path: pathlib.Path | str) -> str:
    """The path of what was found."""
    before = set(os.listdir("/proc/self/fd"))
    with host_view.opened(str(path)) as fd:
        found = os.readlink(f"/proc/self/fd/{fd}")
    assert set(os.listdir("/proc/self/fd")) == before
    return found


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    """A host with a directory, and a root that was unpacked beside it."""
    for name in ("host/deep", "root/deep", "root/etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / root_mark.FILE).touch()
    return tmp_path.resolve()


def test_the_hosts_own(here: pathlib.Path) -> None:
    (here / "link").symlink_to("host")
    (here / "host/absolute").symlink_to(here / "link/deep")
    (here / "host/up").symlink_to("../link")
    (here / "host/self").symlink_to("/proc/self/root")
    for name in ("host/deep", "link/deep", "host/absolute", "host/up/up/deep", "link/../host/deep"):
        assert opened(here / name) == str(here / "host/deep")
        assert not host_view.leads_into_root(str(here / name))
    assert opened("/") == "/"
    assert opened("/proc/self/exe").startswith("/")
    assert opened(f"/proc/{os.getpid()}/ns/net").startswith("net:[")
    assert opened("/proc/self/ns/net").startswith("net:[")


@pytest.mark.parametrize("way", ["root", "to root", "to into/back"])
def test_below_a_root(way: str, here: pathlib.Path) -> None:
    (here / "to root").symlink_to(here / "root")
    (here / "to into").symlink_to("root/etc")
    (here / "root/absolute").symlink_to("/etc")
    (here / "root/up").symlink_to("../../../../etc")
    (here / "root/out").symlink_to(here / "host")
    (here / "root/magic").symlink_to("/proc/self/root/etc")
    (here / "root/etc/back").symlink_to("/")
    for name in ("absolute", "up", "etc"):
        assert opened(here / way / name) == str(here / "root/etc")
        assert host_view.leads_into_root(str(here / way / name))
    for name in ("out", "magic", "out/deep"):
        with pytest.raises(OSError):
            host_view.open_path(str(here / way / name))


def test_the_root_itself_is_the_hosts(here: pathlib.Path) -> None:
    assert opened(here / "root") == str(here / "root")
    assert not host_view.leads_into_root(str(here / "root"))
    assert host_view.leads_into_root(str(here / "root/etc"))


def test_below_the_root_of_a_process(here: pathlib.Path) -> None:
    (here / "host/link").symlink_to("/deep")
    old = os.getcwd()
    os.chdir(here / "host")
    try:
        assert opened("/proc/self/cwd/deep") == str(here / "host/deep")
        assert opened("/proc/self/cwd/link") == str(here / "host/deep")
    finally:
        os.chdir(old)


def test_links_that_lead_round_and_nowhere(here: pathlib.Path) -> None:
    (here / "a").symlink_to("b")
    (here / "b").symlink_to("a/x")
    (here / "dangling").symlink_to("none")
    (here / "file").touch()
    (here / "to file").symlink_to("file")
    for name, error in (
        ("a", "Too many"),
        ("dangling", "No such file"),
        ("none/x", "No such file"),
        ("to file/x", "Not a directory"),
    ):
        with pytest.raises(OSError) as caught:
            host_view.open_path(str(here / name))
        assert error in (caught.value.strerror or "")
    assert opened(here / "to file") == str(here / "file")
