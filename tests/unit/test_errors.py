# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures: what they say, and that they cross the pipe from a process inside unharmed."""

from __future__ import annotations

import errno
import pickle
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import actions
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import (
    KernelError,
    Refused,
    StepFailed,
    in_words,
)


def sent(error: Exception) -> t.Any:
    return pickle.loads(pickle.dumps(error))


def test_a_kernel_error() -> None:
    error = KernelError("mount", errno.EINVAL, {"target": "/mnt", "flags": "0x1"}, "a word")
    for each in (error, sent(error)):
        assert (each.call, each.errno, each.log) == ("mount", errno.EINVAL, "a word")
        assert each.arguments == {"target": "/mnt", "flags": "0x1"}
        assert each.errno_name == "EINVAL"
        assert str(each) == "mount(target=/mnt, flags=0x1): EINVAL: Invalid argument"
        assert isinstance(each, OSError)


def test_what_is_added_to_an_error_later_stays_with_it() -> None:
    error = KernelError("setns", errno.EPERM)
    error.arguments["kind"] = "mnt"
    error.log = "from the kernel"
    error.__notes__ = ["x"]
    assert sent(error).arguments == {"kind": "mnt"}
    assert sent(error).log == "from the kernel"
    assert sent(error).__notes__ == ["x"]


def test_an_errno_without_a_name() -> None:
    assert KernelError("x", 4095).errno_name == "4095"


def test_a_refusal() -> None:
    error = Refused("no such thing", "Make it.", path="/mnt", processes=[1, 2])
    for each in (error, sent(error)):
        assert (each.reason, each.hint) == ("no such thing", "Make it.")
        assert each.facts == {"path": "/mnt", "processes": [1, 2]}
        assert str(each) == "no such thing"
    assert (Refused("only this").hint, Refused("only this").facts) == ("", {})


def test_a_failed_step() -> None:
    cause = KernelError("mount", errno.EBUSY, {"target": "/mnt"}, "log")
    for each in (StepFailed("mount x", cause, "why", "what"), sent(StepFailed("mount x", cause))):
        assert each.step == "mount x"
        assert (each.cause.call, each.cause.errno, each.cause.log) == ("mount", errno.EBUSY, "log")
    assert sent(StepFailed("mount x", cause, "why", "what")).reason == "why"
    assert sent(StepFailed("mount x", cause, "why", "what")).hint == "what"


def test_steps_return_what_they_made() -> None:
    assert actions.run("count", lambda: 7) == 7


def test_a_step_that_fails_is_explained() -> None:
    cause = KernelError("mount", errno.EBUSY)

    def fail() -> None:
        raise cause

    with pytest.raises(StepFailed) as failed:
        actions.run("mount x", fail, explain=lambda error: (f"seen {error.errno}", "wait"))
    assert (failed.value.step, failed.value.cause) == ("mount x", cause)
    assert (failed.value.reason, failed.value.hint) == (f"seen {errno.EBUSY}", "wait")
    with pytest.raises(StepFailed) as failed:
        actions.run("mount x", fail)
    assert (failed.value.reason, failed.value.hint) == (str(cause), "")


def test_a_refusal_in_a_step_has_the_name_of_the_step() -> None:
    def refuse() -> None:
        raise Refused("no", "Ask.", log="said")

    with pytest.raises(StepFailed) as failed:
        actions.run("mount x", refuse)
    for each in (failed.value, sent(failed.value)):
        assert (each.step, each.reason, each.hint) == ("mount x", "no", "Ask.")
        assert each.facts == {"log": "said"}
        assert isinstance(each.cause, Refused)
    assert in_words(failed.value) == "Mount x failed: no. Ask."


def test_a_step_in_a_step_keeps_its_own_name() -> None:
    def refuse() -> None:
        raise Refused("no")

    with pytest.raises(StepFailed) as failed:
        actions.run("outer", lambda: actions.run("inner", refuse))
    assert failed.value.step == "inner"


def test_a_mistake_of_ours_is_not_taken_for_a_failure_of_the_kernel() -> None:
    with pytest.raises(ZeroDivisionError):
        actions.run("divide", lambda: 1 / 0)
