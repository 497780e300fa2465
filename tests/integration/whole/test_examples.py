# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of every module: its examples run, and it names all that results have."""

from __future__ import annotations

import contextlib
import functools
import importlib
import pathlib
import tarfile
import typing as t

import pytest
import shop
import yaml
from host_state import host_state
from module_server import CHECKOUT, MODULES
from results import Result, RunModule
from stub_systemd import StubSystemd, stub_systemd
from tasks import examples_of

__all__ = ["stub_systemd"]

NAMES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("ns_*.py"))
PREFIX = "linux.namespaces."
# What a failure of any module has (_module.py), and what Ansible makes of every result.
FAILURE = {"failed", "reason", "hint", "step", "syscall", "errno", "syscall_arguments"}
ANSIBLE = {"changed", "diff", "invocation", "msg", "skipped", "stderr_of_module", "warnings"}
Task = tuple[str, dict[str, t.Any]]

WEB: Task = ("ns_namespace", {"name": "web", "kinds": ["mnt", "net", "pid", "uts"]})
# What the examples of a module need besides the namespace web.
BEFORE: dict[str, list[Task]] = {
    "ns_mount_info": [
        ("ns_mount", {"namespace": "web", "path": "/srv", "src": "/usr", "opts": "bind,ro"})
    ],
}
AFTER: list[Task] = [
    ("ns_namespace", {"name": name, "state": "absent", "force": True})
    for name in ("web", "shop", "worker", "front")
]


@pytest.fixture
def run_module(run_module: RunModule, stub_systemd: StubSystemd) -> RunModule:
    """Run a module on a host that systemd seems to run: some examples need that."""
    stub_systemd.run_units()
    return functools.partial(run_module, env=stub_systemd.env)


@pytest.fixture
def examples(run_module: RunModule) -> t.Iterator[t.Callable[[str], list[Task]]]:
    """The tasks in the examples of a module, with what they need prepared; it goes with them.

    Those with variables are for Ansible: see test_the_examples_run() of each module.
    """

    stack = contextlib.ExitStack()

    def prepare(module: str) -> list[Task]:
        if module == "ns_definition":
            stack.enter_context(shop.on_this_host())
        for task in [WEB, *BEFORE.get(module, [])]:
            assert not run_module(*task).get("failed")
        return [
            (key[len(PREFIX) :], args or {})
            for task in examples_of(module)
            if "vars" not in task
            for key, args in task.items()
            if key.startswith(PREFIX)
        ]

    with stack:
        yield prepare
        for task in AFTER:
            assert not run_module(*task).get("failed")


def documented(module: str) -> dict[str, t.Any]:
    found = importlib.import_module(f"{MODULES}.{module}").RETURN
    return dict(yaml.safe_load(found))


def unnamed(value: t.Any, fields: dict[str, t.Any], where: str) -> list[str]:
    """The keys of a result that the documentation does not name, at any depth it describes."""
    if isinstance(value, list):
        return [each for item in value for each in unnamed(item, fields, where)]
    if not isinstance(value, dict) or not fields:
        return []
    found = [f"{where}.{key}" for key in value if key not in fields]
    for key, field in fields.items():
        if value.get(key) is not None:
            found += unnamed(value[key], field.get("contains", {}), f"{where}.{key}")
    return found


def check_documented(module: str, result: Result) -> None:
    common = ANSIBLE | (FAILURE if result.get("failed") else set())
    own = {key: value for key, value in result.items() if key not in common}
    assert unnamed(own, documented(module), module) == []


@pytest.mark.parametrize("module", [name for name in NAMES if name != "ns_rootfs"])
def test_examples_run(
    module: str, run_module: RunModule, examples: t.Callable[[str], list[Task]]
) -> None:
    """As they stand, one after the other, in check mode and then really."""
    tasks = examples(module)
    assert tasks
    for name, args in tasks:
        before = host_state()
        predicted = run_module(name, args, check=True)
        assert host_state() == before
        done = run_module(name, args)
        for result in (predicted, done):
            gave_up = "timed_out" in result  # what an example shows
            assert gave_up or not result.get("failed"), (args, result)
            check_documented(name, result)
        if name not in ("ns_unshare_run", "ns_setns_run"):
            assert predicted["changed"] == done["changed"]


def test_results_of_ns_rootfs_are_documented(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    """Its examples need an image registry and a Debian mirror: rootfs/test_image.py."""
    with tarfile.open(tmp_path / "root.tar", "w") as archive:
        archive.add("/etc/hostname", "etc/hostname")
    args = {"path": str(tmp_path / "root"), "archive": str(tmp_path / "root.tar")}
    for check in (True, False):
        check_documented("ns_rootfs", run_module("ns_rootfs", args, check=check))
    check_documented("ns_rootfs", run_module("ns_rootfs", {**args, "archive": "/none.tar"}))
    gone = run_module("ns_rootfs", {"path": args["path"], "state": "absent"})
    check_documented("ns_rootfs", gone)


NOTHING_THERE = {"path": "/none", "fstype": "tmpfs"}
# Failures that say more than others.
FAILURES: list[Task] = [
    ("ns_definition", {"namespaces": [{"name": "none", "mounts": [{"path": "none"}]}]}),
    ("ns_definition", {"namespaces": [{"name": "none", "mounts": [NOTHING_THERE]}]}),
    ("ns_namespace", {"name": "no name"}),
    ("ns_mount", {"namespace": "web", "path": "/mnt", "fstype": "none-such"}),
    ("ns_mount", {"namespace": "none", "path": "/mnt", "fstype": "tmpfs"}),
    ("ns_pivot_root", {"namespace": "web", "new_root": "/usr"}),
    ("ns_service", {"namespace": "web", "name": "fails", "argv": ["/bin/false"]}),
    ("ns_setns_run", {"namespace": "web", "argv": ["/none"]}),
    ("ns_unshare_run", {"argv": ["/bin/false"]}),
    ("ns_info", {"namespace": "none"}),
    ("ns_link", {"namespace": "web", "name": "eth0", "kind": "vlan"}),
    ("ns_link", {"namespace": "none", "name": "br0", "kind": "bridge"}),
    ("ns_mount_info", {"pid": 2**22}),
    ("ns_net_info", {"namespace": "none"}),
]


def test_failures_are_documented(
    run_module: RunModule, examples: t.Callable[[str], list[Task]]
) -> None:
    examples("ns_namespace")
    service = {"namespace": "web", "name": "idle", "argv": ["sleep", "infinity"]}
    assert run_module("ns_service", service)["changed"]
    in_use: Task = ("ns_namespace", {"name": "web", "state": "absent"})
    for name, args in [*FAILURES, in_use]:
        result = run_module(name, args)
        assert result.get("failed") or result["rc"] != 0, (name, args)
        check_documented(name, result)
    assert {name for name, _args in FAILURES} == set(NAMES) - {"ns_rootfs"}
