# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One look at a host: what it has read it does not read again.

Who only looks does so within Look(). Functions that are ``kept`` then answer from what they have
answered before to the same arguments. For who changes something nothing is kept, and nothing is in a
namespace that was joined since, where the same path is another file.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    _Function = t.TypeVar("_Function", bound=t.Callable[..., t.Any])

# By the function and its arguments; None while nobody looks.
_answers: dict[tuple[t.Any, ...], t.Any] | None = None


class Look:
    """Within it what was read is kept. One within another is the same look."""

    def __enter__(self) -> None:
        global _answers
        self._is_outer = _answers is None
        if self._is_outer:
            _answers = {}

    def __exit__(self, *_about: object) -> None:
        if self._is_outer:
            forget()


def is_looking() -> bool:
    """Whether somebody only looks."""
    return _answers is not None


def forget() -> None:
    """From here on nothing is kept any more: another namespace is joined."""
    global _answers
    _answers = None


def note(key: tuple[t.Any, ...], answer: t.Any) -> None:
    """Keep what was read in another way, for noted()."""
    if _answers is not None:
        _answers[key] = answer


def noted(key: tuple[t.Any, ...]) -> t.Any:
    """What note() has kept in this look; None where it has not."""
    return None if _answers is None else _answers.get(key)


def kept(function: _Function) -> _Function:
    """The function, which reads once in a look. Who calls it does not change what it returns."""

    def read(*args: t.Any) -> t.Any:
        if _answers is None:
            return function(*args)
        key = (function, *args)
        if key not in _answers:
            _answers[key] = function(*args)
        return _answers[key]

    read.__name__, read.__doc__ = function.__name__, function.__doc__
    return read  # type: ignore[return-value]
