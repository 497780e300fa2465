# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount beside another process that mounts and unmounts in the same namespace without a pause."""

from __future__ import annotations

import os
import pathlib
import time
import typing as t

import pytest
from raced import mounting
from results import Result, RunModule
from unshared_process import Unshared, UnsharedProcess
from waiting import wait_until

from ansible_collections.linux.namespaces.plugins.module_utils._core import patience
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import StepFailed
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import mount
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.mount import (
    MountRequest,
)

Kernel = dict[str, str]
LOOKS = int(os.environ.get("STORM_LOOKS", "150"))
ROUNDS = int(os.environ.get("STORM_CALLS", "12"))
# In seconds. What looks again does so for 10; the rest is for a machine with more to do.
LONGEST = 60.0


@pytest.fixture
def target(unshared_process: UnsharedProcess) -> Unshared:
    found = unshared_process()
    found.run("sh", "-euc", """
        mount -t tmpfs srv /srv; mkdir /srv/a /srv/b /srv/keep
        mount -t tmpfs a /srv/a; mkdir /srv/a/deep
    """)  # fmt: skip
    return found


def is_done(result: Result, began: float) -> bool:
    """Whether it was done; it may give up, with the reason."""
    assert time.monotonic() - began < LONGEST, result
    if result.get("failed"):
        assert "kept changing for 10 seconds: another process mounts" in result["msg"], result
        return False
    return True


@pytest.mark.parametrize("racing", [["/srv/b"], ["/srv/a", "/srv/a/deep"], ["/srv/keep"] * 3])
def test_exclusive_below(
    racing: list[str], kernel: Kernel, run_module: RunModule, target: Unshared
) -> None:
    keep = {"path": "/srv/keep", "src": "keep", "fstype": "tmpfs"}
    args = {"pid": target.pid, "exclusive_below": "/srv", "mounts": [keep]}
    done = 0
    with mounting(target.pid, *racing) as rounds:
        assert wait_until(lambda: rounds() > 10)
        for _round in range(ROUNDS):
            began = time.monotonic()
            done += is_done(run_module("ns_mount", args, env=kernel), began)
    assert done
    assert not run_module("ns_mount", args, env=kernel).get("failed")
    assert len(target.mounted_on("/srv/keep")) == 1


@pytest.mark.parametrize("change", [{"exclusive_below": "/srv"}, {"path": "/srv/b"}])
def test_it_gives_up_with_the_reason(
    change: dict[str, str], target: Unshared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    path = change.get("path")
    wanted = (WantedMount(path, state="unmounted"),) if path else ()
    below = change.get("exclusive_below", "")
    with mounting(target.pid, "/srv/b", unmounts=False) as rounds:
        assert wait_until(lambda: rounds() > 10)
        began = time.monotonic()
        with pytest.raises(StepFailed) as failed:
            mount.run(MountRequest(Target(pid=target.pid), wanted, below), check=False)
        assert time.monotonic() - began < LONGEST
    assert failed.value.step == "unmount /srv/b"
    assert "mounted on /srv/b or below kept changing for" in failed.value.reason
    assert "another process mounts" in failed.value.reason
    assert "findmnt --poll" in failed.value.hint


CHANGES: list[dict[str, t.Any]] = [
    {"path": "/srv/a", "src": "other", "fstype": "tmpfs"},
    {"path": "/srv/a", "src": "a", "fstype": "tmpfs", "opts": "size=1m"},
    {"path": "/srv/a", "src": "/srv/b", "opts": "rbind,ro=recursive", "src_in": "namespace"},
    {"path": "/srv/a", "src": "/srv/b", "opts": "rbind,rw=recursive", "src_in": "namespace",
     "propagation": "rshared"},
    {"path": "/srv/a", "opts": "nosuid", "state": "remounted"},
    {"path": "/srv/a", "state": "unmounted"},
]  # fmt: skip


@pytest.mark.parametrize("racing", [["/srv/a"], ["/srv/a"] * 3, ["/srv/b", "/srv/b/in"]])
def test_each_change(
    racing: list[str], kernel: Kernel, run_module: RunModule, target: Unshared
) -> None:
    """Whatever is to be done where others mount: it is done, or the kernel says why not."""
    with mounting(target.pid, *racing) as rounds:
        assert wait_until(lambda: rounds() > 10)
        for number in range(ROUNDS * 2):
            change = CHANGES[number % len(CHANGES)]
            began = time.monotonic()
            result = run_module("ns_mount", {"pid": target.pid, **change}, env=kernel)
            assert "defect" not in result.get("msg", ""), result
            assert time.monotonic() - began < LONGEST, result
            if result.get("failed"):
                print(number, result["msg"])


def test_what_is_as_wanted_stays_so(target: Unshared, tmp_path: pathlib.Path) -> None:
    """The table changes while it is read, thousands of times: nothing is to be done, and nothing fails."""
    stable = [f"/srv/keep/{number:02}" for number in range(40)]
    racing = [f"/srv/b/{number:02}" for number in range(12)]
    target.run("mount", "-t", "tmpfs", "keep", "/srv/keep")
    target.run("mkdir", *stable, *racing, "/srv/tree")
    for path in stable:
        target.run("mount", "-t", "tmpfs", "-o", "size=1m", path, path)
    tree = ("rbind", "ro=recursive", "nosuid=recursive")
    wanted = [
        *(WantedMount(path, path, "tmpfs", ("size=1m",)) for path in stable[:20]),
        WantedMount("/srv/bound", str(tmp_path), "", ("bind", "ro", "X-mount.mkdir")),
        WantedMount("/srv/tree", "/srv/keep", "", tree, "rprivate", src_in="namespace"),
    ]
    request = MountRequest(Target(pid=target.pid), tuple(each.checked() for each in wanted))
    mount.run(request, check=False)
    with mounting(target.pid, *racing) as rounds:
        assert wait_until(lambda: rounds() > 1)
        for number in range(LOOKS):
            result = mount.run(request, check=bool(number % 2))
            assert result.actions == [], number
            assert len(result.mounts) == len(wanted), number
        print(f"{LOOKS} looks, {rounds() * len(racing)} mounts meanwhile")
