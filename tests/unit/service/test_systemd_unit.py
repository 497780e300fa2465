# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of systemd units: words in it come out of systemd's parser as they went in."""

from __future__ import annotations

import os
import pathlib
import re
import resource
import shutil
import subprocess

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    Ready,
    Reload,
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.service import systemd_unit

# What a word is in an assignment; a command line only differs in the dollar sign.
WORDS = {
    "plain": "plain",
    "": '""',
    "two words": '"two words"',
    "it's": '"it\'s"',
    'a "b"': r'"a \"b\""',
    "'": '"\'"',
    '"': r'"\""',
    "back\\slash": r'"back\\slash"',
    "x\\x41": r'"x\\x41"',
    "at the end\\": r'"at the end\\"',
    "100%": "100%%",
    "%n %%": '"%%n %%%%"',
    "new\nline": r'"new\x0aline"',
    "tab\treturn\r": r'"tab\x09return\x0d"',
    "\x01\x1b\x7f": r'"\x01\x1b\x7f"',
    ";": '";"',
    "#a": '"#a"',
    "-a=b,c:d@e": "-a=b,c:d@e",
    "schön": "schön",
    "\u2028": r'"\xe2\x80\xa8"',
    "not UTF-8: \udcff\udce9": r'"not UTF-8: \xff\xe9"',
}
DOLLARS = {
    "$HOME": "$$HOME",
    "${HOME}": "$${HOME}",
    "a $": '"a $$"',
    "$$": "$$$$",
}


@pytest.mark.parametrize(("word", "text"), WORDS.items())
def test_words(word: str, text: str) -> None:
    assert systemd_unit.quoted(word) == text
    assert systemd_unit.command_line([word]) == text


@pytest.mark.parametrize(("word", "text"), DOLLARS.items())
def test_a_dollar_sign_is_doubled_in_command_lines_alone(word: str, text: str) -> None:
    assert systemd_unit.command_line([word]) == text
    assert systemd_unit.quoted(word) == text.replace("$$", "$")


def test_words_are_parted_by_a_space() -> None:
    assert systemd_unit.command_line(["/bin/echo", "", "a b", "$c"]) == '/bin/echo "" "a b" $$c'


def unescaped(text: bytes) -> bytes:
    """A word as systemd shows it: with the escapes of C, and those of the shell."""
    letters = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f"}

    def meant(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8)]) if code.isdigit() else letters.get(code, code)

    return re.sub(rb"(?s)\\([0-7]{3}|.)", meant, text)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")
def test_systemd_reads_the_words_back(tmp_path: pathlib.Path) -> None:
    """systemd shows a dollar sign as it is written: it is expanded when the program starts."""
    words = [*WORDS, *DOLLARS]
    # systemd takes no variable with a control character but for a tab and a newline, or other
    # bytes than those of UTF-8.
    values = [word for word in words if word.isprintable() or word in ("new\nline", "\u2028")]
    lines = ["[Service]", "Type=exec"]
    lines.append(f"ExecStart={systemd_unit.command_line(['/bin/echo', *words])}")
    lines += [
        f"Environment={systemd_unit.quoted(f'N{number}={value}.')}"
        for number, value in enumerate(values)
    ]
    unit = tmp_path / "words.service"
    unit.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    argv = ["systemd-analyze", "--man=no", "--recursive-errors=no", "verify", str(unit)]
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "debug"}
    shown = subprocess.run(argv, check=False, capture_output=True, env=environment).stdout
    (line,) = re.findall(rb"Command Line: (.*)", shown)
    read = [unescaped(quoted or bare) for quoted, bare in _words(line)]
    assert read[1:] == [os.fsencode(word.replace("$", "$$")) for word in words]
    for number, value in enumerate(values):
        assert os.fsencode(f"Environment: N{number}={value}.\n") in shown


def _words(line: bytes) -> list[tuple[bytes, bytes]]:
    return re.findall(rb'(?s)"((?:[^"\\]|\\.)*)"|([^" ]+)', line)


def test_a_unit_that_says_little() -> None:
    spec = ServiceSpec("web", "idle", Program(("/usr/bin/idle", "a b", "$HOME", "50%")))
    assert systemd_unit.text(spec, ["mnt"]) == (
        "# Written by linux.namespaces.ns_service; what is changed here is lost.\n"
        "[Unit]\n"
        "Description=idle in namespace web\n"
        "After=linux-namespaces.service network.target\n"
        "\n"
        "[Service]\n"
        "Type=exec\n"
        "ExecStart=/usr/local/sbin/nsctl exec web --keep-fds"
        ' -- /usr/bin/idle "a b" $$HOME 50%%\n'
        "SyslogIdentifier=idle\n"
        "Restart=on-failure\n"
        "KillSignal=SIGTERM\n"
        "TimeoutStopSec=10\n"
        "KillMode=mixed\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )
    assert systemd_unit.file_name("web", "idle") == "linux-namespaces:web:idle.service"


def test_a_unit_that_says_all() -> None:
    program = Program(
        ("/usr/bin/idle",),
        environment={"B": "two words", "A": "$x"},
        chdir="/srv/my data",
        user="www-data",
        group="adm",
        groups=("a", "b"),
        capabilities=("net_bind_service", "chown"),
        no_new_privs=True,
        limits={
            "nofile": (1024, 4096),
            "RLIMIT_CORE": (0, 0),
            "memlock": (5, resource.RLIM_INFINITY),
        },
        umask=0o27,
    )
    spec = ServiceSpec(
        "web",
        "idle",
        program,
        kinds=("net",),
        reload=Reload(signal="hup"),
        stop_signal="SIGQUIT",
        stop_timeout=2.5,
        ready=Ready(notify=True),
    )
    assert systemd_unit.text(spec, ("mnt", "net", "pid")).partition("[Service]\n")[2] == (
        "Type=notify\n"
        "TimeoutStartSec=30\n"
        "NotifyAccess=main\n"
        "ExecStart=/usr/local/sbin/nsctl exec web --keep-fds --hand-over --kinds mnt,pid --new net"
        " --user www-data --group adm --groups=a,b --capabilities=net_bind_service,chown"
        ' --no-new-privs --chdir "/srv/my data" -- /usr/bin/idle\n'
        'ExecReload=/bin/sh -c "kill -HUP $MAINPID"\n'
        "Environment=A=$x\n"
        'Environment="B=two words"\n'
        "LimitCORE=0\n"
        "LimitMEMLOCK=5:infinity\n"
        "LimitNOFILE=1024:4096\n"
        "UMask=0027\n"
        "SyslogIdentifier=idle\n"
        "Restart=on-failure\n"
        "KillSignal=SIGQUIT\n"
        "TimeoutStopSec=2.5\n"
        "KillMode=mixed\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )


def test_a_program_that_reloads_gets_its_words_as_they_are() -> None:
    program = Program(("/usr/bin/idle",), groups=(), capabilities=())
    reload = Reload(argv=("/bin/re load", "$MAINPID"))
    text = systemd_unit.text(ServiceSpec("web", "idle", program, reload=reload), ("mnt",))
    assert (
        "ExecStart=/usr/local/sbin/nsctl exec web --keep-fds --groups= --capabilities="
        " -- /usr/bin/idle\n"
        "ExecReload=/usr/local/sbin/nsctl exec web --groups= --capabilities="
        ' -- "/bin/re load" $$MAINPID\n'
    ) in text
