# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill nginx, and print after how many seconds another one serves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request

UNIT = "linux-namespaces:web:nginx.service"
LIMIT = 30


def main_pid() -> int:
    words = ["systemctl", "show", "--property=MainPID", "--value", UNIT]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def serves() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=1) as page:
            return "namespace web" in page.read().decode()
    except OSError:
        return False


killed = main_pid()
begin = time.monotonic()
os.kill(killed, signal.SIGKILL)
# The workers of the one that was killed may answer for a moment.
while main_pid() in (0, killed) or not serves():
    if time.monotonic() > begin + LIMIT:
        raise SystemExit(f"it does not serve after {LIMIT} seconds")
    time.sleep(0.01)
print(f"{time.monotonic() - begin:.2f}")
