# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a service does not answer while it is restarted, reloaded, or has its root upgraded, and how many
requests fail meanwhile.

On a host of tests/support/fleet.py, where services have the supervisor `none`; `make test-gap` does the same on a
booted host with systemd. What is done to a service takes turns, and a ratio is one of medians.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest
import wrk
import yaml
from fleet import Host, fleet
from gap import BACK, RESTART, UPGRADE, Figures, make_archives, table, too_much
from module_server import CHECKOUT
from play_costs import run

TRIES = 7
PLACE = "/srv/gap"
ONE, TWO = f"{PLACE}/one.tar", f"{PLACE}/two.tar"
SERVICES = (
    "gap-nginx=127.0.0.1:8091/http",
    "gap-redis=127.0.0.1:8092/redis",
    "gap-small=127.0.0.1:8093/http",
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Host]:
    """A host with the three services."""
    whole = CHECKOUT / ".build/cache/nginx-redis-rootfs.tar"
    archive = [CHECKOUT / "tests/nginx-archive", whole, "redis-server"]
    subprocess.run(archive, check=True, stdout=subprocess.DEVNULL)
    top = tmp_path_factory.mktemp("gap")
    copies = [str(top / pathlib.PurePath(each).name) for each in (ONE, TWO)]
    make_archives(str(whole), *copies)
    shown = [(pathlib.Path(copy), place) for copy, place in zip(copies, (ONE, TWO))]
    for name in ("gap.py", "load.py"):
        shown.append((CHECKOUT / "tests/support" / name, f"{PLACE}/{name}"))
    with fleet(1, *shown) as (started,):
        plays = yaml.safe_load((CHECKOUT / "molecule/shared/gap/services.yml").read_text())
        run(plays, [started], top / "run")
        yield started


def measured(host: Host, services: t.Sequence[str], *words: str) -> list[Figures]:
    argv = [
        "python3",
        f"{PLACE}/gap.py",
        "measure",
        *services,
        "--archives",
        ONE,
        TWO,
        "--json",
        *words,
    ]
    done = subprocess.run(host.argv(*argv), check=True, capture_output=True, text=True)
    return [Figures(**each) for each in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def figures(host: Host) -> list[Figures]:
    found = measured(host, SERVICES, f"--tries={TRIES}")
    print(f"\nmilliseconds, {TRIES} times each, without systemd:\n{table(found)}")
    return found


def test_no_request_fails_where_sockets_outlive_the_program(figures: list[Figures]) -> None:
    with_sockets = [each for each in figures if each.has_sockets]
    assert {UPGRADE, BACK, RESTART} <= {each.action for each in with_sockets}
    assert too_much(with_sockets) == []


def test_others_are_away_for_no_longer_than_for_a_restart(figures: list[Figures]) -> None:
    without = [each for each in figures if not each.has_sockets]
    # That a gap is seen where there is one.
    assert all(each.failed for each in without if each.action == RESTART)
    assert too_much(without) == []


def test_wrk_sees_no_error(host: Host) -> None:
    """As an operator would look, at full load."""
    enter = ["nsenter", f"--target={host.pid}", "--net"]
    with wrk.asking("http://127.0.0.1:8091/", enter=enter) as stop:
        measured(host, SERVICES[:1], "--tries=1", "--actions", UPGRADE, BACK, "--workers=1")
        found = stop()
    print(f"\nwrk, while nginx had another root and the one before: {found}")
    assert found.requests and not found.failed
