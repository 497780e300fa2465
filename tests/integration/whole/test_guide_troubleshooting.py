# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide on failures has the messages that people get."""

from __future__ import annotations

import contextlib
import pathlib
import re
import subprocess
import typing as t

import guides
from command import Nsctl
from module_server import CHECKOUT
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import errors

GUIDE = CHECKOUT / "docs/docsite/rst/guide_troubleshooting.rst"


def test_the_messages_are_those_of_the_guide(
    nsctl: Nsctl, run_module: RunModule, new_name: t.Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """In the order of the guide."""
    name, sharer, other, damaged, partial = (new_name() for _each in range(5))
    full, place = tmp_path / "full", tmp_path / "place"
    full.mkdir()
    place.mkdir()
    (full / "file").touch()
    archive = tmp_path / "archive.tar"
    subprocess.run(["tar", "-cf", archive, "-C", full, "."], check=True)
    tmpfs = {"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs"}
    run_module("ns_namespace", {"name": name, "kinds": ["mnt", "net"]})
    run_module("ns_namespace", {"name": other, "kinds": ["net"]})
    run_module("ns_namespace", {"name": sharer, "kinds": ["mnt"], "share": {"net": other}})
    run_module("ns_namespace", {"name": damaged, "kinds": ["mnt"]})
    run_module(
        "ns_definition",
        {"namespaces": [{"name": partial, "mounts": [{**tmpfs, "path": str(place)}]}]},
    )
    run_module("ns_mount", {"namespace": name, **tmpfs})
    nsctl("down", partial)
    place.rmdir()
    nsctl("up", partial, code=1)
    pathlib.Path(f"/etc/linux-namespaces/{damaged}.json").write_text("{")

    def said(module: str, **args: t.Any) -> str:
        failed = run_module(module, args)
        assert failed.get("failed"), (module, args)
        return str(failed["msg"])

    service = {"namespace": name, "name": "clerk"}
    argv = [nsctl.path, "exec", name, "--", "sh", "-c", "cd /mnt; echo; exec sleep 1000"]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE))
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        found = [
            said("ns_mount", namespace=f"{name}-x", **tmpfs),
            said("ns_namespace", name=name, kinds=["mnt", "net"], propagation="slave"),
            said("ns_namespace", name=name, state="absent"),
            said("ns_namespace", name=other, state="absent"),
            said("ns_mount", namespace=damaged, **tmpfs),
            said("ns_setns_run", namespace=partial, argv=["true"]),
            said("ns_mount", namespace=name, **{**tmpfs, "path": "/nosuch"}),
            said("ns_mount", namespace=name, path="/mnt", src="/nosuch", opts=["bind"]),
            said("ns_mount", namespace=name, **tmpfs, opts=["siez=1m"]),
            said("ns_mount", namespace=name, path="/mnt", state="unmounted"),
            said("ns_rootfs", path=str(full), archive=str(archive)),
            said("ns_rootfs", path=str(tmp_path / "new"), archive="/nosuch.tar"),
            said("ns_pivot_root", namespace=name, new_root="/usr"),
            said("ns_setns_run", namespace=name, argv=["nosuch"]),
            said("ns_service", **service, argv=["/bin/false"], ready={"timeout": 2}),
            said(
                "ns_service",
                **service,
                argv=["/bin/sleep", "1000"],
                ready={"port": 9, "timeout": 1},
            ),
            errors.defect(ValueError("any")),
        ]
    told = [block.text.strip() for block in guides.blocks_of(GUIDE) if block.language == "text"]
    assert len(told) == len(found)
    for wanted, message in zip(told, found):
        pattern = ".*".join(map(re.escape, wanted.split("...")))
        assert re.fullmatch(pattern, message, re.DOTALL), message
