# SPDX-License-Identifier: GPL-3.0-or-later
"""What `nsctl exec` loads before it becomes a program: next to nothing of the standard library."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.install import host_command

# The Python that nsctl runs with on hosts.
PYTHON = "/usr/bin/python3"
LIBRARY = pathlib.Path(host_command.__file__).parents[2]
# The first take as long to load as all that is needed, or bring something that does.
HEAVY = {
    *("typing", "contextlib", "collections", "enum", "functools", "signal", "re", "json", "pickle"),
    *("inspect", "dataclasses", "importlib", "argparse", "shutil", "subprocess", "selectors"),
    *("socket", "threading", "tempfile", "logging", "traceback", "operator"),
}


def loaded(words: list[str], modules: str) -> set[str]:
    """The modules that Python has after ``words`` were carried out and ``modules`` imported."""
    code = (
        f"import sys; sys.path.insert(0, {str(LIBRARY)!r})\n"
        f"from _core import nsctl\n"
        f"nsctl.main({words!r})\n"
        f"from _core.nsctl import {modules}\n"
        "print(*sorted(sys.modules))\n"
    )
    argv = [PYTHON, "-I", "-S", "-B", "-c", code]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert "there is no namespace" in done.stderr.lower() or "takes root" in done.stderr
    return set(done.stdout.split())


@pytest.mark.skipif(not pathlib.Path(PYTHON).exists(), reason=f"{PYTHON} is not there")
def test_nothing_heavy() -> None:
    found = loaded(["exec", "nonesuch", "--user=nobody", "--", "true"], "exec_enter")
    assert found >= {"_core.process.execute", "_core.namespace.target", "_core.syscalls.call"}
    assert found & HEAVY == set()


@pytest.mark.skipif(not pathlib.Path(PYTHON).exists(), reason=f"{PYTHON} is not there")
def test_no_annotations_where_a_child_is_needed() -> None:
    """A pid namespace takes a child, and that an error which can be sent by it: pickle."""
    found = loaded(["exec", "nonesuch", "--", "true"], "wait_for_child, hand_over, terminal")
    assert "_core.namespace.enter" in found
    assert found & {"typing", "inspect", "dataclasses", "json"} == set()
