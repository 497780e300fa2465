# SPDX-License-Identifier: GPL-3.0-or-later
"""nsctl apply and diff with what is no file of namespaces: one line, and nothing has changed."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest
from command import Nsctl
from host_state import host_state
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)

NewName = t.Callable[[], str]
# The title of a window, what writes over a line, eight bits, turned text, a line of its own.
NASTY = "x\x1b]0;t\x07\rgone\x9b31m\u202e\nok: changed"
DEEP = 200_000


def listed(*entries: t.Any, **options: t.Any) -> bytes:
    return json.dumps({"namespaces": list(entries), **options}).encode()


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"namespaces: []", "is no JSON"),
    "empty": (b"", "is no JSON"),
    "cut short": (listed({"name": "test-bad"})[:-1], "is no JSON"),
    "two of them": (listed() + listed(), "is no JSON"),
    "a list": (b"[]", "The file is no object"),
    "nothing": (b"null", "The file is no object"),
    "a text": (b'"x"', "The file is no object"),
    "deep lists": (b"[" * DEEP, "nested too deep"),
    "deep objects": (b'{"a":' * DEEP, "nested too deep"),
    "deep and whole": (b"[" * DEEP + b"]" * DEEP, "nested too deep"),
    "no list": (b'{"namespaces": {"name": "a"}}', "namespaces is no list"),
    "none": (b"{}", "The file has no namespaces"),
    "no number": (b'{"namespaces": [], "exclusive": NaN}', "exclusive is nan"),
    "infinite": (
        listed({"name": "test-bad", "time_offsets": {"boottime": 1e999}}),
        "boottime is inf",
    ),
    "not UTF-8": (b'{"namespaces": [{"name": "\xff\xfe"}]}', r"cannot be a name"),
    "binary": (bytes(range(256)), "is no JSON"),
    "an unknown word": (
        listed({"name": "test-bad"}, exclusiv=True),
        "The file has 'exclusiv', which is unknown. Did you mean exclusive?",
    ),
    "an unknown option": (
        listed({"name": "test-bad", "mouts": []}),
        "namespaces[0] has 'mouts', which is unknown. Did you mean mounts?",
    ),
    "an unknown kind": (
        listed({"name": "test-bad", "kinds": ["met"]}),
        "namespaces[0]: kinds[0] is 'met', which is unknown. Did you mean net?",
    ),
    "two of one name": (
        listed({"name": "test-bad"}, {"name": "test-bad", "kinds": ["net"]}),
        "Namespaces[1] ('test-bad'): namespace test-bad is listed twice",
    ),
    "two values": (b'{"namespaces": [], "namespaces": []}', "stands twice in an object"),
    "nobody to share with": (
        listed({"name": "test-bad", "share": {"net": "test-no"}}),
        "Namespaces[0] ('test-bad'): share: there is no namespace 'test-no' on this host",
    ),
    "a nasty name": (listed({"name": NASTY}), "cannot be a name"),
    "a nasty option": (listed({"name": "test-bad", NASTY: 1}), "which is unknown"),
    "a nasty value": (listed({"name": "test-bad", "kinds": [NASTY]}), "which is unknown"),
    "a nasty path": (
        listed({"name": "test-bad", "mounts": [{"path": NASTY, "fstype": "tmpfs"}]}),
        "must be an absolute path",
    ),
}


def check_said(text: str, verb: str) -> None:
    """One line, in which nothing steers a terminal."""
    (line,) = text.splitlines()
    assert line.startswith(f"nsctl {verb}: ")
    assert line.isprintable()
    assert len(line) < 600


@pytest.mark.parametrize("verb", ["apply", "diff"])
@pytest.mark.parametrize("case", BAD)
def test_bad_files(case: str, verb: str, nsctl: Nsctl, tmp_path: pathlib.Path) -> None:
    content, reason = BAD[case]
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    before = host_state()
    done = nsctl(verb, "--json", str(path), code=1)
    assert done.stdout == ""
    assert reason in done.stderr
    check_said(done.stderr, verb)
    piped = subprocess.run([nsctl.path, verb, "-"], input=content, capture_output=True, check=False)
    assert piped.returncode == 1
    assert reason in piped.stderr.decode()
    check_said(piped.stderr.decode(), verb)
    assert host_state() == before


@pytest.mark.parametrize("verb", ["apply", "diff"])
def test_what_is_no_file(verb: str, nsctl: Nsctl, tmp_path: pathlib.Path) -> None:
    for path, reason in (
        (str(tmp_path), "Is a directory"),
        (str(tmp_path / "none"), "No such file"),
        (f"{tmp_path}/{NASTY}", "No such file"),
    ):
        done = nsctl(verb, path, code=1)
        assert reason in done.stderr
        check_said(done.stderr, verb)


def test_closed_streams(nsctl: Nsctl) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {nsctl.path} apply - <&-"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    check_said(done.stderr, "apply")


def test_values_reach_no_terminal(
    nsctl: Nsctl, new_name: NewName, tmp_path: pathlib.Path, run_module: RunModule
) -> None:
    """What may be in a file as it is, and what was recorded of it."""
    name, path = new_name(), tmp_path / "file.json"
    source = "x\x1b]0;t\x07\x9b31m\u202e"
    entry = {"name": name, "mounts": [{"path": "/mnt", "src": source, "fstype": "tmpfs"}]}
    path.write_bytes(listed(entry))
    for words in (["diff"], ["apply", "--check"], ["apply"], ["export", name], ["apply"], ["diff"]):
        done = nsctl(*words, *([] if name in words else [str(path)]))
        for line in (*done.stdout.split("\n"), *done.stderr.split("\n")):
            assert line.isprintable(), words
    (exported,) = json.loads(nsctl("export", name).stdout)["namespaces"]
    assert exported == entry
    assert nsctl("apply", str(path)).stdout == f"{name}: as it should be\n"
    entry["mounts"] = []
    path.write_bytes(listed(entry))
    for words in (["diff"], ["diff", "--json"], ["apply"]):
        assert all(line.isprintable() for line in nsctl(*words, str(path)).stdout.split("\n"))
    record = pathlib.Path(definitions.path_of(name))
    record.write_text(json.dumps({**json.loads(record.read_text()), NASTY: 1}))
    for words in (["export", name], ["apply", str(path)], ["diff", str(path)]):
        done = nsctl(*words, code=1)
        check_said(done.stderr, words[0])
        assert "is damaged" in done.stderr
    gone = run_module("ns_namespace", {"name": name, "state": "absent"})
    assert not gone.get("failed")
