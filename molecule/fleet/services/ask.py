# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect to 127.0.0.1:PORT as fast as it answers until the file STOP is there; print what came of it."""

from __future__ import annotations

import json
import pathlib
import socket
import sys

port, stop = int(sys.argv[1]), pathlib.Path(sys.argv[2])
pids: set[int] = set()
failures: list[str] = []
while not stop.exists():
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as asking:
            pids.add(json.loads(asking.makefile().read())["pid"])
    except (OSError, ValueError) as error:
        failures.append(repr(error))
print(json.dumps({"pids": len(pids), "failures": failures}))
