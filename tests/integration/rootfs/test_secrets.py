# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords in addresses reach no command line, log or result: they are refused."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from leaks import watched
from results import RunModule

HUNTER = "hunter2-zq"
SMALL = {"suite": "bookworm", "variant": "extract", "packages": ["base-files"]}
WITH_PASSWORD: dict[str, dict[str, t.Any]] = {
    "mirror": {"bootstrap": {**SMALL, "mirror": f"http://web:{HUNTER}@127.0.0.1:9/debian"}},
    "mirror of a mail": {"bootstrap": {**SMALL, "mirror": f"https://a@b.c:{HUNTER}@127.0.0.1:9"}},
    "mirror without //": {"bootstrap": {**SMALL, "mirror": f"web:{HUNTER}@127.0.0.1"}},
    "mirror as a text": {"bootstrap": f"suite=bookworm mirror=http://web:{HUNTER}@127.0.0.1:9/"},
    "image": {"image": f"docker://web:{HUNTER}@127.0.0.1:9/image"},
    "no image": {"image": f"https://web:{HUNTER}@127.0.0.1:9/image"},
}


@pytest.mark.parametrize("case", WITH_PASSWORD)
def test_a_password_is_refused(case: str, tmp_path: pathlib.Path, run_module: RunModule) -> None:
    args = {"path": str(tmp_path / "root"), **WITH_PASSWORD[case]}
    with watched() as watch:
        done = [run_module("ns_rootfs", args, check=check) for check in (True, False)]
    for each in done:
        assert each["failed"]
        assert "password" in each["msg"]
    assert HUNTER not in json.dumps(done)
    assert watch.of([HUNTER]) == []
    assert not (tmp_path / "root").exists()
