# SPDX-License-Identifier: GPL-3.0-or-later
"""A long run of everything, in any order, on five names, against a model of what is promised.

`make soak` runs it for SOAK_MINUTES; SOAK_SEED begins with the same cases as another run.
"""

from __future__ import annotations

import os
import pathlib
import time

import hypothesis
from hypothesis.stateful import run_state_machine_as_test
from results import RunModule
from soak_events import bound_to

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
SEED = int(os.environ.get("SOAK_SEED", "17"))


def test_soak(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    machine = bound_to(run_module, tmp_path)
    settings = hypothesis.settings(
        max_examples=8 if MINUTES else 3,
        stateful_step_count=50 if MINUTES else 25,
        deadline=None,
        database=None,
        print_blob=True,
        # To find a smaller case takes minutes, and every step says what it does.
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    began, seed = time.monotonic(), SEED
    while True:
        print(f"SOAK_SEED={seed}", flush=True)
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
        print(machine.host.counts, flush=True)
        seed += 1
        if time.monotonic() - began >= MINUTES * 60:
            break
    assert sum(machine.host.counts.operations.values()) >= 20
