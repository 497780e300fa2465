# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what there is of the service NAME of NAMESPACE: what systemd knows, and what it reported."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

PROPERTIES = "MainPID,ActiveState,SubState,UnitFileState,NeedDaemonReload,StatusText,ControlGroup"


def process(pid: int) -> dict[str, t.Any]:
    status = dict(
        line.split(":\t", 1)
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return {
        "pid": pid,
        "parent": int(status["PPid"]),
        "levels": len(status["NSpid"].split()),
        "words": pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1],
        "namespaces": {
            kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino
            for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
        },
    }


namespace, name = sys.argv[1:]
unit = f"linux-namespaces:{namespace}:{name}.service"
shown = subprocess.run(
    ["systemctl", "show", f"--property={PROPERTIES}", unit],
    check=True,
    capture_output=True,
    text=True,
).stdout
found: dict[str, t.Any] = {
    "systemd": dict(line.split("=", 1) for line in shown.splitlines()),
    "unit": [],
    "processes": [],
    "report": {},
    "host": process(1)["namespaces"],
    "host_levels": process(1)["levels"],
    "pins": {},
    "traces": sorted(path.suffix for path in pathlib.Path("/run/services").glob(f"{name}.SIG*")),
}
path = pathlib.Path("/etc/systemd/system", unit)
if path.exists():
    found["unit"] = path.read_text().splitlines()
    checked = subprocess.run(
        ["systemd-analyze", "verify", path], check=False, capture_output=True, text=True
    )
    found["complaints"] = [line for line in checked.stderr.splitlines() if unit in line]
group = pathlib.Path(f"/sys/fs/cgroup/{found['systemd']['ControlGroup']}/cgroup.procs")
if found["systemd"]["ControlGroup"]:
    found["processes"] = [process(int(pid)) for pid in group.read_text().split()]
report = pathlib.Path(f"/run/services/{name}.json")
if report.exists():
    found["report"] = json.loads(report.read_text())
for pin in pathlib.Path(f"/run/linux-namespaces/{namespace}").glob("*"):
    found["pins"][pin.name] = pin.stat().st_ino
print(json.dumps(found))
