# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is wanted and what is there, in words: for `nsctl show` and `nsctl diff`.

Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..definition import service_end, steps
from ..facts import drift

_Row = t.Mapping[str, t.Any]


def is_wrong(row: _Row) -> bool:
    """Whether something has to be done about it."""
    return row["state"] not in (drift.AS_WANTED, drift.LEFT_OUT)


def wanted_mount(row: _Row) -> str:
    """The mount that should be there; empty for none."""
    return steps.line_of(row["wanted"]) if row["wanted"] is not None else ""


def observed_mount(row: _Row) -> str:
    """The mount that is there; empty for none."""
    mount = row["observed"]
    if mount is None:
        return ""
    source = mount["src"] or "none"
    if mount["root"] != "/":
        source += f"[{mount['root']}]"
    return " ".join([mount["fstype"], source, ",".join(mount["opts"]), mount["propagation"]])


def last_end(service: _Row) -> str:
    """Why a service does not run, or how it ended last; empty where it never did."""
    ended = service.get("ended")
    return service.get("reason") or ("" if ended is None else service_end.in_words(ended))
