# SPDX-License-Identifier: GPL-3.0-or-later
"""What bash completes, by the script that is installed."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths, kinds, nsctl
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import (
    completion,
    manual,
)

_ASK = """
compopt() { :; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_nsctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The script, for names that lie below a directory of the test's."""
    pins, definitions = tmp_path / "pins", tmp_path / "definitions"
    for path in (pins / "web/services", pins / "$(touch hit)", pins / ".locks", definitions):
        path.mkdir(parents=True)
    (pins / "web/services/cache.json").touch()
    (definitions / "services").mkdir()
    for name in ("shop", "web", "a b", "`touch hit`"):
        (definitions / f"{name}.json").touch()
    (definitions / "services/web:nginx.json").touch()
    (definitions / "services/shop:other.json").touch()
    monkeypatch.setattr(host_paths, "BASE", str(pins))
    monkeypatch.setattr(host_paths, "DEFINITIONS", str(definitions))
    made = tmp_path / "nsctl.bash"
    made.write_text(completion.bash())
    return made


def completed(script: pathlib.Path, *words: str) -> list[str]:
    """What bash offers for the last of these words, with nothing said of anything wrong."""
    argv = ["bash", "-c", _ASK, "bash", str(script), "nsctl", *words]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=script.parent, check=True)
    assert not done.stderr
    assert not (script.parent / "hit").exists()
    return sorted(set(done.stdout.split()))


def test_verbs(script: pathlib.Path) -> None:
    assert completed(script, "") == sorted([*nsctl.VERBS, "help", "--help"])
    assert completed(script, "sh") == ["show"]


def test_options(script: pathlib.Path) -> None:
    for verb in manual.verbs():
        offered = completed(script, verb.name, "--")
        assert offered == sorted(f"--{option.word}" for option in verb.options)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["show", ""], ["shop", "web"]),
        (["show", "w"], ["web"]),
        (["up", "--check", "shop", ""], ["shop", "web"]),
        (["up", "--timeout", "5", ""], ["shop", "web"]),
        (["up", "--timeout", ""], []),
        (["logs", "web", ""], ["cache", "nginx"]),
        (["logs", "--lines", "5", "web", "n"], ["nginx"]),
        (["tree", "--kinds", ""], sorted(kinds.NAMES)),
        (["tree", "--kinds", "mnt,n"], ["mnt,net"]),
        (["exec", "web", "--kinds=n"], []),
        (["exec", "web", "--kinds", "=", "n"], ["net"]),
        (["apply", "nsctl.b"], ["nsctl.bash"]),
        (["adopt", "new", "--from", "nsctl.b"], ["nsctl.bash"]),
        (["enter", "--user", "roo"], ["root"]),
        (["nosuch", ""], []),
    ],
)
def test_words(script: pathlib.Path, words: list[str], offered: list[str]) -> None:
    assert completed(script, *words) == offered


def test_programs(script: pathlib.Path) -> None:
    assert "bash" in completed(script, "exec", "web", "bas")


def test_it_is_sound(script: pathlib.Path, tmp_path: pathlib.Path) -> None:
    subprocess.run(["shellcheck", "--shell=bash", script], check=True)
    if shutil.which("zsh") is None:
        pytest.skip("there is no zsh here, which would read its script")
    of_zsh = tmp_path / "_nsctl"
    of_zsh.write_text(completion.zsh())
    done = subprocess.run(["zsh", "-n", of_zsh], capture_output=True, text=True, check=True)
    assert not done.stderr
