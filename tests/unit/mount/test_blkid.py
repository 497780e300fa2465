# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking blkid: what is said where it is missing, is another one, or does not answer."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import blkid


@pytest.fixture
def program(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The place of the one that is found, in which there is none."""
    path = f"{tmp_path}:{os.defpath}"
    monkeypatch.setattr(blkid, "_ENVIRONMENT", {"PATH": str(tmp_path), "OTHERS": path})
    return tmp_path / "blkid"


def write(program: pathlib.Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\nPATH=$OTHERS\n{script}\n")
    program.chmod(0o755)


def test_it_is_missing(program: pathlib.Path) -> None:
    assert not program.exists()
    with pytest.raises(Refused) as refused:
        blkid.devices_with("UUID", "x")
    assert "blkid, which cannot be run on this host: No such file" in refused.value.reason
    assert "Install the package util-linux" in refused.value.hint


def test_that_of_busybox(program: pathlib.Path) -> None:
    """It takes no words but devices, and ends so."""
    write(program, "echo 'blkid: unrecognized option: t' >&2; echo BusyBox >&2; exit 1")
    with pytest.raises(Refused) as refused:
        blkid.devices_with("UUID", "x")
    assert "blkid: unrecognized option: t" in refused.value.reason
    assert "the package util-linux" in refused.value.hint


def test_it_does_not_answer(program: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blkid, "_PATIENCE", 0.2)
    write(program, "exec sleep 100")
    begun = time.monotonic()
    with pytest.raises(Refused) as refused:
        blkid.devices_with("UUID", "x")
    assert "has not answered within 0.2 seconds" in refused.value.reason
    assert time.monotonic() - begun < 10


def test_what_it_prints_is_data(program: pathlib.Path) -> None:
    """A name of a device begins with a slash; words that nobody asked for are passed over."""
    write(program, r"printf '/dev/sdb\n/dev/sda\nno device\n\377\n/dev/sda\n'")
    assert blkid.devices_with("LABEL", "x") == ["/dev/sda", "/dev/sdb"]
    write(program, r"printf 'DEVNAME=x\nTYPE=ext4\nUSAGE=filesystem\nnonsense\n\377=\n'")
    with open(program, "rb") as file:
        assert blkid.content_of(file.fileno()) == blkid.Content("ext4", "filesystem")


def test_what_it_is_asked(program: pathlib.Path) -> None:
    """The open file itself, and no words of anybody's as options."""
    write(program, 'for word; do printf "/%s\\n" "$word"; done')
    words = blkid.devices_with("LABEL", '-x "y" $z')
    assert '/LABEL="-x "y" $z"' in words
    write(program, 'for path; do :; done; printf "TYPE=%s\\n" "$(head -n 1 "$path")"')
    with open(program, "rb") as file:
        assert blkid.content_of(file.fileno()).type == "#!/bin/sh"
