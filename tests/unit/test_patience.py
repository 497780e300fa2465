# SPDX-License-Identifier: GPL-3.0-or-later
"""How long what others change is looked at again."""

from __future__ import annotations

import pickle
import time

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import patience


def test_it_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.05)
    looks = patience.Patience("/srv")
    began = time.monotonic()
    with pytest.raises(patience.Changing) as raised:
        while True:
            looks.look_again()
    assert time.monotonic() - began >= 0.05
    assert "mounted on /srv or below kept changing" in raised.value.reason
    # It crosses the pipe from the process inside.
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), again.reason, again.hint) == (
        patience.Changing,
        raised.value.reason,
        raised.value.hint,
    )
