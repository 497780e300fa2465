# SPDX-License-Identifier: GPL-3.0-or-later
"""What lsns(8) lists."""

from __future__ import annotations

import json
import subprocess
import typing as t

Row = dict[str, t.Any]
TRIES = 10


def rows(columns: t.Iterable[str]) -> list[Row]:
    """The namespaces, with these columns. It is a failure of lsns when none of its tries succeeds.

    Version 2.38 gives up, without a word, where a process ends while it looks at that one.
    """
    argv = ["lsns", "--json", "--list", "--output", ",".join(columns)]
    for _try in range(TRIES):
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            found: list[Row] = json.loads(done.stdout)["namespaces"]
            return found
    raise AssertionError(f"lsns failed {TRIES} times: {done.stderr}")
