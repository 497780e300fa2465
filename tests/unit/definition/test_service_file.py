# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of a service: what is asked of them, and that nothing shows their values by itself."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_file
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.service.model import (
    fields_shown,
)

PLAIN = ServiceSpec("web", "idle", Program(("/bin/idle",), environment={"A": "plain", "B": "b"}))
SPEC = dataclasses.replace(
    PLAIN, secret_environment={"A": "the-secret"}, credentials={"tls.key": "the-key"}
)


def test_where_the_file_is() -> None:
    assert service_file.path_of("web", "idle") == "/etc/linux-namespaces/services/web:idle.json"
    for namespace, name in (("../x", "idle"), ("web", "a/b"), ("web", "a:b"), ("", "x")):
        with pytest.raises(Refused):
            service_file.path_of(namespace, name)


def test_the_program_has_all_of_it() -> None:
    assert PLAIN.program_with_secrets() == PLAIN.program
    assert SPEC.program_with_secrets().environment == {
        "A": "the-secret",
        "B": "b",
        "CREDENTIALS_DIRECTORY": "/run/credentials/web:idle",
    }


def test_nobody_is_shown_a_value() -> None:
    shown = [repr(SPEC), str(SPEC), str(fields_shown(SPEC)), str(fields_shown(SPEC, PLAIN))]
    for name in ("the-secret", "the-key"):
        assert name in json.dumps(SPEC.to_data())
        assert not any(name in each for each in shown)
    for bad in (
        {"secret_environment": {"A": "the-\0secret"}},
        {"credentials": {"a/b": "the-secret"}},
        {"credentials": {"a": "the-\ud800secret"}},
    ):
        with pytest.raises(Refused) as caught:
            dataclasses.replace(SPEC, **bad).checked()
        assert "secret" not in caught.value.reason.replace("secret_environment", "")


def test_a_diff_says_which_change() -> None:
    other = dataclasses.replace(SPEC, secret_environment={"A": "other", "C": "new"})
    assert fields_shown(None) == {}
    assert fields_shown(SPEC)["secret_environment"] == {"A": "(secret)"}
    assert fields_shown(other, SPEC)["secret_environment"] == {
        "A": "(secret, changes)",
        "C": "(secret)",
    }
    assert fields_shown(other, other) == fields_shown(other)
    assert "secret_environment" not in fields_shown(PLAIN, SPEC)
    assert fields_shown(PLAIN)["environment"] == {"A": "plain", "B": "b"}


@pytest.mark.parametrize(
    "change",
    [
        {"secret_environment": {"A": "other"}},
        {"secret_environment": {}},
        {"credentials": {"tls.key": "other"}},
        {"credentials": {"other": "the-key"}},
        {"kinds": ("net",)},
        {"program": Program(("/bin/idle",))},
    ],
)
def test_what_makes_it_another_program(change: dict[str, object]) -> None:
    assert SPEC.runs_as(SPEC)
    assert not dataclasses.replace(SPEC, **change).runs_as(SPEC)  # type: ignore[arg-type]


def test_where_credentials_have_no_place() -> None:
    PLAIN.check_place_of_credentials([])
    SPEC.check_place_of_credentials(["mnt"])
    dataclasses.replace(SPEC, kinds=("mnt",)).check_place_of_credentials(["net"])
    for spec, named in (
        (SPEC, ["net"]),
        (SPEC, []),
        (dataclasses.replace(SPEC, kinds=("user",)), ["mnt"]),
    ):
        with pytest.raises(Refused, match="credentials"):
            spec.check_place_of_credentials(named)
