# SPDX-License-Identifier: GPL-3.0-or-later
"""Who only looks reads nothing twice: no file of a namespace, of a process, no list of mounts."""

from __future__ import annotations

import collections
import json
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
from module_server import CHECKOUT
from results import RunModule

# What each process opens, a line for each, by way of the interpreter's own hook (sys.addaudithook()).
_SEEN = """
import os, sys
sys.path.insert(0, {library!r})
sys.pycache_prefix = {cache!r}
log = os.open({log!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
def note(event, args):
    if event in ("open", "os.listdir") and isinstance(args[0], str):
        os.write(log, (event + " " + args[0] + "\\n").encode("utf-8", "surrogateescape"))
sys.addaudithook(note)
from _core import nsctl
sys.exit(nsctl.main({words!r}))
"""
# What counts: what is kept of namespaces, processes, and lists of mounts.
_READ = re.compile(
    r"^(?:open (?:/etc/linux-namespaces/.*|/run/linux-namespaces/.*\.json|/proc/\d+/.+"
    r"|/proc/self/mountinfo|self/mountinfo)|os\.listdir (?:/proc|/etc/.*|/run/.*))$"
)


@pytest.fixture
def shop(run_module: RunModule, new_name: t.Callable[[], str]) -> str:
    """One with mounts and a service, that shares the network of another one."""
    shop, front = new_name(), new_name()  # in the order in which they go
    wanted = [
        {"name": front, "kinds": ["net"]},
        {
            "name": shop,
            "kinds": ["mnt", "uts", "pid"],
            "share": {"net": front},
            "mounts": [
                {"path": "/mnt", "src": "tmpfs", "fstype": "tmpfs", "opts": ["size=1m"]},
                {"path": "/media", "src": "/usr/share", "opts": ["bind", "ro"]},
            ],
            "services": [{"name": "sleeper", "argv": ["/bin/sleep", "1000"]}],
        },
    ]
    assert run_module("ns_definition", {"namespaces": wanted})["changed"]
    return shop


def opened(words: list[str], tmp_path: pathlib.Path) -> dict[str, int]:
    """How often nsctl has opened what, its children included."""
    log = tmp_path / "opened"
    code = _SEEN.format(
        library=str(CHECKOUT / "plugins/module_utils"),
        cache=str(CHECKOUT / ".build/pycache"),
        log=str(log),
        words=words,
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    lines = log.read_text("utf-8", "surrogateescape").splitlines()
    return collections.Counter(line for line in lines if _READ.match(line))


@pytest.mark.parametrize("verb", ["list", "show", "tree", "top", "why"])
def test_nothing_is_read_twice(verb: str, shop: str, tmp_path: pathlib.Path) -> None:
    words = {"show": [verb, shop], "why": [verb, "/usr/share"]}.get(verb, [verb])
    found = opened(words, tmp_path)
    assert found, "nothing was seen"
    assert not {what: times for what, times in found.items() if times > 1}


def test_a_second_look_reads_anew(shop: str, tmp_path: pathlib.Path) -> None:
    """Nothing is kept from one interval to the next."""
    argv = [sys.executable, "-c"]
    code = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT / 'plugins/module_utils')!r})\n"
        "import json, subprocess\n"
        "from _core.facts import usage\n"
        f"first = usage.of_many([{shop!r}])\n"
        f"left = subprocess.Popen(['nsenter', '--uts=/run/linux-namespaces/{shop}/uts', 'sleep', '100'])\n"
        "import time; time.sleep(0.5)\n"
        f"second = usage.of_many([{shop!r}])\n"
        "left.kill(); left.wait()\n"
        "print(json.dumps([first[0]['processes'], second[0]['processes']]))\n"
    )
    done = subprocess.run([*argv, code], check=True, capture_output=True, text=True, cwd=tmp_path)
    first, second = json.loads(done.stdout)
    assert second == first + 1
