# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call has found exhausted is said with its place, its limit and its remedy."""

from __future__ import annotations

import errno
import os
import pathlib

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import actions, exhaustion
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
    StepFailed,
)


def failed(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failed(errno.EROFS, "/proc/x"), ["mounted read-only"]),
        (failed(errno.EROFS, "/nonesuch/x"), ["/nonesuch/x", "on / is", "remount,rw /"]),
        (failed(errno.EDQUOT, "/nonesuch"), ["/nonesuch", f"quota of uid {os.geteuid()}"]),
        (failed(errno.ENOSPC, "/nonesuch"), ["no space is left for /nonesuch", "KB are free"]),
        (failed(errno.ENOSPC), ["no space is left"]),
        (failed(errno.EIO, "/nonesuch"), ["/nonesuch", "dmesg"]),
        (failed(errno.EMFILE), [str(os.sysconf("SC_OPEN_MAX")), "RLIMIT_NOFILE"]),
        (failed(errno.ENFILE), ["fs.file-max"]),
        (failed(errno.ENOMEM), ["no memory", "kB"]),
        (failed(errno.EAGAIN), ["RLIMIT_NPROC", "pids.max"]),
        (
            failed(errno.EBUSY, "/proc"),
            ["/proc cannot be changed: '/' of", " proc is mounted", "umount"],
        ),
        (
            OSError(errno.EBUSY, "", "/x.new", None, "/proc"),
            ["/proc cannot be changed", "umount /proc"],
        ),
        (KernelError("mount", errno.ENOSPC), ["fs.mount-max"]),
        (KernelError("open", errno.ENOSPC, {"path": "/nonesuch"}), ["/nonesuch", "KB are free"]),
    ],
)
def test_what_is_exhausted(error: OSError, words: list[str]) -> None:
    said = " ".join(exhaustion.explain(error))
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(
    "error",
    [
        failed(errno.ENOENT, "/x"),
        failed(errno.EAGAIN, "/x"),
        failed(errno.EBUSY, "/nonesuch"),
        failed(errno.EBUSY),
        KernelError("flock", 11),
        KernelError("umount2", errno.EBUSY, {"target": "/proc"}),
    ],
)
def test_what_is_something_else(error: OSError) -> None:
    assert exhaustion.explain(error) == ("", "")


def test_an_action_that_explains_nothing_is_explained() -> None:
    def full() -> None:
        raise failed(errno.ENOSPC, "/nonesuch/file")

    def blind(_error: OSError) -> tuple[str, str]:
        raise failed(errno.EMFILE)

    for explain in (None, blind, lambda _error: ("", "")):
        with pytest.raises(StepFailed) as raised:
            actions.run("write", full, explain=explain)
        assert raised.value.step == "write"
        assert "no space is left for /nonesuch/file" in raised.value.reason


def test_a_step_that_is_no_action(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StepFailed) as raised, actions.Step("look"):
        os.listdir(tmp_path / "nonesuch")
    assert raised.value.step == "look"
    with pytest.raises(Refused), actions.Step("look"):
        raise Refused("no")


def test_what_fails_while_undone_does_not_hide_why() -> None:
    done = []

    def fails() -> None:
        raise failed(errno.EROFS, "/nonesuch/file")

    error = StepFailed("write", failed(errno.ENOSPC), "full", "Make room.")
    actions.undo(error, [fails, lambda: done.append(1)])
    assert done == [1]
    assert error.reason == "full"
    assert error.hint.startswith("Make room. Not all could be taken back")
    assert "/nonesuch/file cannot be written" in error.hint
    other = ValueError("x")
    actions.undo(other, [fails])
    assert str(other) == "x"
