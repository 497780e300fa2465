# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Failures: the kernel said no, the request was refused before anything changed, a step failed.

A part of `nsctl exec`, which does not load typing: it takes longer than the rest.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno as errno_names
import os

from . import exhaustion

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class KernelError(OSError):
    """A system call failed.

    ``call`` is its name, ``errno`` its number, ``arguments`` what it was given (for people),
    ``log`` what the kernel wrote about it (file-system contexts do, fsopen(2)).
    """

    def __init__(
        self, call: str, errno: int, arguments: t.Mapping[str, t.Any] | None = None, log: str = ""
    ) -> None:
        super().__init__(errno, os.strerror(errno))
        self.call = call
        self.arguments = dict(arguments or {})
        self.log = log

    @property
    def errno_name(self) -> str:
        """The errno as manual pages write it: ``EINVAL``."""
        return errno_names.errorcode.get(self.errno or 0, str(self.errno))

    def __reduce__(self) -> tuple[t.Any, ...]:
        # Errors cross the pipe from the process that entered a namespace.
        return (KernelError, (self.call, self.errno, self.arguments, self.log), self.__dict__)

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.call}({shown}): {self.errno_name}: {self.strerror}"


class Refused(Exception):
    """The request cannot be carried out, known before anything was changed.

    ``reason`` says what is wrong, ``hint`` what to do about it, ``facts`` goes into the result.
    """

    def __init__(self, reason: str, hint: str = "", **facts: t.Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.facts = facts

    def __reduce__(self) -> tuple[t.Any, ...]:
        return (type(self), (self.reason, self.hint), self.__dict__)


class StepFailed(Exception):
    """A named step of a plan failed, whatever it raised.

    ``step`` is its name, ``cause`` what was raised in it, ``reason`` and ``hint`` what was found
    about it, ``facts`` go into the result.
    """

    def __init__(
        self,
        step: str,
        cause: Exception,
        reason: str = "",
        hint: str = "",
        facts: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        super().__init__(step)
        self.step = step
        self.cause = cause
        self.reason = reason or str(cause)
        self.hint = hint
        self.facts = dict(facts or {})

    def __reduce__(self) -> tuple[t.Any, ...]:
        return (StepFailed, (self.step, self.cause, self.reason, self.hint, self.facts))


# What a run was at, where it was carrying out no action.
LOOKING = "look at what is there"


def in_words(error: Exception) -> str:
    """The failure as a person reads it: the step, the cause, the remedy, in one line."""
    if isinstance(error, Refused):
        return sentence(error.reason, error.hint)
    if isinstance(error, StepFailed):
        return sentence(f"{error.step} failed: {error.reason}", error.hint)
    reason, hint = exhaustion.explain(error) if isinstance(error, OSError) else ("", "")
    return sentence(reason or str(error), hint)


def defect(error: Exception) -> str:
    """The reason of a failure that nothing of ours should have raised."""
    return f"this is a defect of linux.namespaces: {type(error).__name__}: {error}"


def sentence(reason: str, hint: str) -> str:
    """A message of one or two sentences."""
    is_name = "_" in reason.partition(" ")[0]  # of an option, which has no capital letter
    text = reason if is_name else reason[:1].upper() + reason[1:]
    if not text.endswith((".", "!", "?")):
        text += "."
    return f"{text} {hint}".strip()
