# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_definition: runs that were killed before one of their actions, whichever it is."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from command import Nsctl
from named_namespaces import NewName
from processes_inside import mounts_inside
from results import RunModule
from trees import tree_with_sleep

KILL = "LINUX_NAMESPACES_KILL_BEFORE"
Entry = dict[str, t.Any]


class Two(t.NamedTuple):
    """Two namespaces, one with a root and a program of its own, and the other sharing its network."""

    names: tuple[str, str]
    tree: pathlib.Path
    run_module: RunModule

    def listed(self, *, state: str = "present", text: str = "one", **more: t.Any) -> Entry:
        """The options for both."""
        one, other = self.names
        home = f"/run/tests/{one}"
        return {
            "namespaces": [
                {
                    "name": other,
                    "share": {"net": one},
                    "mounts": [{"path": "/mnt", "src": "t", "fstype": "tmpfs", **more}],
                },
                {
                    "name": one,
                    "kinds": ["mnt", "net", "uts"],
                    "hostname": text,
                    "rootfs": {"directory": str(self.tree), "home": home},
                    "mounts": [
                        {"path": "/etc/x", "src": f"{home}/etc", "opts": ["bind", "X-mount.mkdir"]}
                    ],
                    "services": [
                        {
                            "name": "x",
                            "argv": ["/bin/sleep", "infinity"],
                            "files": [{"dest": f"{home}/etc/x.conf", "content": text}],
                        }
                    ],
                },
            ],
            "state": state,
        }

    def killed_everywhere(self, args: Entry, back: t.Callable[[], None], *, stride: int = 1) -> int:
        """Kill it before every ``stride``-th of its actions, have it run to its end, and go ``back``.

        Answers how many there are.
        """
        for number in range(1, 200, stride):
            try:
                done = self.run_module("ns_definition", args, env={KILL: str(number)})
            except AssertionError as error:
                assert "ended with status -9" in str(error)
            else:
                if not done.get("failed"):  # otherwise it was a child that was killed
                    return number
            done = self.run_module("ns_definition", args)
            assert not done.get("failed"), (number, done["msg"])
            again = self.run_module("ns_definition", args)
            assert again["actions"] == [], (number, again["actions"])
            back()
        raise AssertionError("it never came to its end")

    def absent(self) -> None:
        """Remove both."""
        done = self.run_module("ns_definition", self.listed(state="absent"))
        assert not done.get("failed"), done["msg"]

    def present(self) -> None:
        """Have both."""
        done = self.run_module("ns_definition", self.listed())
        assert not done.get("failed"), done["msg"]


@pytest.fixture
def two(new_name: NewName, run_module: RunModule, tmp_path: pathlib.Path) -> t.Iterator[Two]:
    found = Two((new_name(), new_name()), tree_with_sleep(tmp_path / "tree"), run_module)
    yield found
    found.absent()
    for name in found.names:
        assert not os.path.exists(f"/run/linux-namespaces/{name}")
    assert not os.path.exists(f"/run/tests/{found.names[0]}")


def test_while_they_are_made(two: Two, nsctl: Nsctl) -> None:
    assert two.killed_everywhere(two.listed(), two.absent, stride=9) > 15
    assert [each["state"] for each in nsctl.data("list", *two.names)] == ["up", "up"]
    assert [each.fstype for each in mounts_inside(two.names[0]) if each.path == "/"] == ["overlay"]


def test_while_they_change(two: Two) -> None:
    two.present()
    after = two.listed(text="two", opts="size=1m")
    assert two.killed_everywhere(after, two.present, stride=2) > 4


def test_while_they_go(two: Two, nsctl: Nsctl) -> None:
    two.present()
    assert two.killed_everywhere(two.listed(state="absent"), two.present, stride=2) > 6
    assert not {*two.names} & {each["name"] for each in nsctl.data("list")}


def test_while_they_go_down(two: Two, nsctl: Nsctl) -> None:
    two.present()
    assert two.killed_everywhere(two.listed(state="down"), two.present) > 2
    assert [each["state"] for each in nsctl.data("list", *two.names)] == ["down", "down"]
