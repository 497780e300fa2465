# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carrying out a plan: its named actions, one after the other.

The name of an action is what check mode announces, what the result lists as done, and what an
error says has failed.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal loads enum, for the names of its numbers
import os

from . import exhaustion
from .errors import Refused, StepFailed, in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    # The cause of a failure: (reason, hint), both empty where none was found.
    Answer = tuple[str, str]
    # Looks for it, at the system as it is after the failure.
    Explain = t.Callable[[OSError], Answer]

# A test ends the run with SIGKILL before a step: the one whose name holds this text, or the one
# with this number, counted from 1 over all processes of the run.
KILL_VARIABLE = "LINUX_NAMESPACES_KILL_BEFORE"
_doomed = os.environ.get(KILL_VARIABLE, "")
# The process of the run, and the one of its pool that this is, where it is one.
_line = [os.getpid()]
if _doomed.isdecimal():
    import mmap

    _taken = mmap.mmap(-1, 8)  # children count on in it


def run(name: str, action: t.Callable[[], t.Any], *, explain: Explain | None = None) -> t.Any:
    """Carry out one action and return its result.

    Raises StepFailed with the name, whatever was raised: Refused means "before anything was
    changed", which nobody can say of an action that has begun. ``explain`` looks for the cause
    of an OSError, before what every call may find exhausted.
    """
    if _doomed and _is_doomed(name):
        _end_this_run()
    try:
        return action()
    except Refused as error:
        raise StepFailed(name, error, error.reason, error.hint, error.facts) from error
    except OSError as error:
        raise _failed(name, error, explain) from error


def _failed(name: str, error: OSError, explain: Explain | None = None) -> StepFailed:
    reason, hint = "", ""
    if explain is not None:
        try:
            reason, hint = explain(error)
        except (OSError, Refused):  # what is exhausted is so for who looks as well
            pass
    if not reason:
        reason, more = exhaustion.explain(error)
        hint = hint or more
    return StepFailed(name, error, reason, hint)


def only_records(name: str) -> bool:
    """Whether the action of this name writes down what there is, and changes nothing else."""
    return name.startswith(("record ", "note ", "forget "))


class Step:
    """A with statement for what is no action: looking, and what is taken for an action.

    An OSError in it becomes a StepFailed with the name; what else is raised stays what it is.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError):
            raise _failed(self._name, error) from error


def undo(failed: BaseException, parts: t.Iterable[t.Callable[[], t.Any]]) -> None:
    """Take back what was begun before ``failed`` was raised, each part by itself.

    What cannot be taken back never hides why that has to be: it is told in the hint.
    """
    left = []
    for part in parts:
        try:
            part()
        except (Refused, StepFailed, OSError) as error:
            left.append(in_words(error))
    if left and isinstance(failed, StepFailed):
        told = f"Not all could be taken back, which the next run does: {' '.join(left)}"
        failed.hint = f"{failed.hint} {told}".strip()


class Action:
    """A change that is planned: its name, and what makes it.

    What is done at once has ``parts``, which are the names that people know it by.
    """

    __slots__ = ("apply", "explain", "name", "parts")

    def __init__(
        self,
        name: str,
        apply: t.Callable[[], t.Any],
        explain: Explain | None = None,
        parts: t.Sequence[str] = (),
    ) -> None:
        self.name = name
        self.apply = apply
        self.parts = parts or (name,)
        # See run().
        self.explain = explain


def run_all(planned: t.Iterable[Action], *, check: bool) -> list[str]:
    """Carry the actions out one after the other, unless in check mode. Their names.

    Raises StepFailed with the name of the one that failed.
    """
    names: list[str] = []
    for action in planned:
        if not check:
            run(action.name, action.apply, explain=action.explain)
        names += action.parts
    return names


def note_worker() -> None:
    """Have this process, a child that does a part of the run, end with it."""
    _line.append(os.getpid())


def _is_doomed(name: str) -> bool:
    if not _doomed.isdecimal():
        return _doomed in name
    number = int.from_bytes(_taken[:], "little") + 1
    _taken[:] = number.to_bytes(8, "little")
    return number >= int(_doomed)


def _end_this_run() -> None:
    if os.getppid() in _line:  # otherwise we are it, or it is out of reach: in another pid ns
        for pid in _line:
            if pid != os.getpid():
                os.kill(pid, _signal.SIGKILL)
    os.kill(os.getpid(), _signal.SIGKILL)
    os._exit(1)  # the init of a pid namespace cannot be killed from within
