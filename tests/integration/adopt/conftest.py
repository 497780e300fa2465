# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of nsctl adopt share."""

from __future__ import annotations

import json
import typing as t

import pytest
from adoptions import Adopt, Adopted, Applied, is_as_it_should_be
from command import Nsctl
from named_namespaces import NewName


@pytest.fixture
def adopt(nsctl: Nsctl, new_name: NewName) -> t.Iterator[Adopt]:
    """Run nsctl adopt: what it prints of the namespace, and what it leaves, a line each.

    At the end all named namespaces go, with the places of their roots on the host.
    """
    assert new_name()

    def run(name: str, *words: str) -> Adopted:
        done = nsctl("adopt", name, *words)
        (entry,) = json.loads(done.stdout)["namespaces"]
        assert entry["name"] == name
        lines = done.stderr.splitlines()
        assert all(line.startswith("nsctl adopt: ") for line in lines), lines
        return Adopted(entry, [line.partition(": ")[2] for line in lines])

    yield run
    nsctl("apply", "--force", "-", input='{"namespaces": [], "exclusive": true}')


@pytest.fixture
def applied(nsctl: Nsctl, new_name: NewName) -> Applied:
    """Have what was printed under another name; a second time changes nothing. Its name."""

    def run(entry: dict[str, t.Any]) -> str:
        name = new_name()
        entry = json.loads(json.dumps(entry).replace(entry["name"], name))
        text = json.dumps({"namespaces": [entry]})
        assert "record the definition" in nsctl("apply", "-", input=text).stdout
        assert is_as_it_should_be(nsctl, entry)
        assert nsctl("diff", "-", input=text).stdout == ""
        return name

    return run
