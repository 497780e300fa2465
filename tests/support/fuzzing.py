# SPDX-License-Identifier: GPL-3.0-or-later
"""What fuzz tests share: how many cases they try, how long one may take, and what to change.

The same FUZZ_SEED tries the same cases. FUZZ_TIMES says how many times as many as `make test` does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import types
import typing as t

import hypothesis
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))
SEED = int(os.environ.get("FUZZ_SEED", "11"))
# Of one case, in seconds: far more than it takes where others are at work on the same machine.
LIMIT = 20.0

_Test = t.Callable[..., None]


def fuzz(cases: int, **strategies: st.SearchStrategy[t.Any]) -> t.Callable[[_Test], _Test]:
    """Run the test for this many cases of these arguments, as often as it is asked for."""

    def decorated(test: _Test) -> _Test:
        settings = hypothesis.settings(
            max_examples=cases * TIMES,
            deadline=None,  # bounded() has its own
            database=None,
            print_blob=True,
            # A fixture is the same for all cases: they leave nothing that the next could see.
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        given = hypothesis.given(**strategies)(test)
        return t.cast("_Test", settings(hypothesis.seed(SEED)(given)))

    return decorated


class Hung(AssertionError):
    """A case took longer than it may."""


@contextlib.contextmanager
def bounded(*contract: type[Exception], seconds: float = LIMIT) -> t.Iterator[None]:
    """What is done in it may raise ``contract`` and nothing else, and ends within ``seconds``."""

    def end(_number: int, _frame: types.FrameType | None) -> None:
        raise Hung(f"it has not ended within {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with contextlib.suppress(*contract):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Texts that readers trip over.
TEXTS = (
    "", "x", "0", "-1", "00", "1_0", "+1", " 1", "1\n", "0x10", "1e5", "nan", "inf", "9" * 25, "9" * 5_000,
    "4294967295", "9223372036854775808", "/", "//", ".", "..", "../../etc", "/../x", "/" * 5_000,
    "/x" * 3_000, "a\0b", "\0", "\n", "\r", "\t", "\x1b[2J\x07", "\ud800", "\udcff", "\ufeff", "\u202e",
    "é", "\N{ARABIC-INDIC DIGIT ONE}", "²", "%s%n", "{{ 7 * 7 }}", "$(id)", "`id`", "--help", "-", ":", ",",
    "=", "a=b", "null", "true", "None", "sha256:" + "a" * 64, "sha256:../../x", "x" * 70_000,
)  # fmt: skip
NUMBERS = (0, 1, -1, 7, 255, 65_536, 2**31, 2**32 - 1, 2**32, 2**53, 2**63, 2**64, -(2**63), 10**30)
_LEAVES = (
    st.sampled_from(TEXTS)
    | st.sampled_from(NUMBERS)
    | st.sampled_from([None, True, False, 0.5, -0.0, 1e300])
    | st.text(max_size=8)
)
# Anything that JSON has.
VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(TEXTS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places_in(document: t.Any) -> list[tuple[t.Any, ...]]:
    """The place of each value in a JSON document, as keys and indexes: () is the document."""
    found: list[tuple[t.Any, ...]] = [()]
    keys: t.Iterable[t.Any] = ()
    if isinstance(document, dict):
        keys = document
    elif isinstance(document, list):
        keys = range(len(document))
    for key in keys:
        found += [(key, *rest) for rest in places_in(document[key])]
    return found


@st.composite
def changed_documents(draw: st.DrawFn, document: t.Any) -> t.Any:
    """The document with other values, without some, or with some under other keys."""
    for _change in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places_in(document)))
        document = _changed(draw, document, place)
    return document


def _changed(draw: st.DrawFn, document: t.Any, place: tuple[t.Any, ...]) -> t.Any:
    if not place:
        return draw(VALUES)
    key, *rest = place
    copy = dict(document) if isinstance(document, dict) else list(document)
    if rest:
        copy[key] = _changed(draw, copy[key], tuple(rest))
        return copy
    how = draw(st.sampled_from(["other", "other", "other", "gone", "more"]))
    if how == "gone":
        del copy[key]
    elif how == "more" and isinstance(copy, list):
        copy.append(copy[key])
    elif how == "more":
        copy[draw(st.sampled_from([key.upper(), key.title(), *TEXTS]))] = draw(VALUES)
    else:
        copy[key] = draw(VALUES)
    return copy


_PIECES = (
    b"", b"\0", b"\n", b" ", b"-1", b"0", b"9" * 30, b"\xff" * 12, b"\x80" + bytes(10) + b"\x01", b"\xff\xfe",
    b"\\", b"\"", b"{", b"[" * 2_000, b"}", b":", b",", b"/../", bytes(512), b"\xed\xa0\x80",
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some flipped, cut off, left out, repeated, or others between them."""
    made = bytearray(content)
    for _damage in range(draw(st.integers(1, 4))):
        if not made:
            break
        at = draw(st.integers(0, len(made) - 1))
        how = draw(st.sampled_from(["flip", "flip", "set", "cut", "out", "again", "between"]))
        length = draw(st.integers(1, 64))
        if how == "flip":
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            made[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del made[at:]
        elif how == "out":
            del made[at : at + length]
        elif how == "again":
            made[at:at] = made[at : at + length]
        else:
            made[at:at] = draw(st.sampled_from(_PIECES))
    return bytes(made)


def no_defect(said: t.Any) -> None:
    """What is shown to a person is an answer or a refusal, not how Python puts it."""
    text = str(said)
    for word in ("Traceback", "defect of linux.namespaces"):
        assert word not in text, text
