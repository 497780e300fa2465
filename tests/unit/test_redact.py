# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names say that their value is a secret, and what is shown in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core import redact

MASK = redact.MASK


@pytest.mark.parametrize(
    "name",
    [
        *("password", "pass", "password2", "passwd", "secret", "key", "auth_key", "PASSWORD"),
        *("passphrase_passwd", "mfspassword", "secret_access_key", "token", "sftp_pass"),
        *("PGPASSWORD", "MYSQL_PWD", "REDISCLI_AUTH", "AWS_SESSION_TOKEN", " password "),
        *("CREDENTIALS", "credentials", "private-key", "Api_Key"),
    ],
)
def test_a_word_with_a_secret(name: str) -> None:
    assert redact.word(f"{name}=a=b,c") == f"{name}={MASK}"
    assert redact.word(f"{name}: a") == f"{name}:{MASK}"
    # What is not there is not hidden, and nor is a flag.
    assert redact.word(f"{name}=") == f"{name}="
    assert redact.word(name) == name


@pytest.mark.parametrize(
    "word",
    [
        *("ro", "size=10m", "mode=755", "sec=krb5", "username=web", "compress=zstd:3", "uid=0"),
        *("lowerdir=/key:/password=x", "X-mount.idmap=u:0:100000:65536", "hidepid=2"),
        *("credentials=/etc/cifs", "cred=/etc/cifs", "secretfile=/etc/ceph", "passwd_file=/x"),
        *("PASSWORD_FILE=/run/x", "SSH_AUTH_SOCK=/run/x", "pass-fd=3", "SSL_KEY_PATH=/x"),
        'context="system_u:object_r:tmp_t:s0"',
    ],
)
def test_a_word_without(word: str) -> None:
    assert redact.word(word) == word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/x", f"https://u:{MASK}@h/x"),
        ("//u:p@server/share", f"//u:{MASK}@server/share"),
        ("u:p@ss/w@h:/x", f"u:{MASK}@h:/x"),
        ("jdbc:a://h/db?user=u&password=p&x", f"jdbc:a://h/db?user=u&password={MASK}&x"),
        ("https://u:p?a=b@h/x", f"https://u:{MASK}@h/x"),
        ("https://u:p@h/x?api_key=p#y", f"https://u:{MASK}@h/x?api_key={MASK}"),
        ("https://u@mail:p@h/x", f"https://u@mail:{MASK}@h/x"),
        ("postgres://u:p%40@h:5432/db", f"postgres://u:{MASK}@h:5432/db"),
        *[
            (each, each)
            for each in [
                *("", "tmpfs", "/srv/a:b@c", "//server/share", "https://h/x", "nas:/srv/a@b"),
                *("u@h:/x", "[fe80::1%eth0]:/x@y", "a@tcp0:b@tcp0:/fs", "admin@id.fs=/", "h:/x"),
            ]
        ],
    ],
)
def test_an_address(text: str, shown: str) -> None:
    assert redact.address(text) == shown
    assert redact.word(f"fsname={text}") == f"fsname={shown}"


def test_a_password_with_the_user() -> None:
    assert redact.words(["user=web%x", "username=a%b%c", "user=web", "uid=a%b"]) == [
        f"user=web%{MASK}",
        f"username=a%{MASK}",
        "user=web",
        "uid=a%b",
    ]


TEXTS = st.text(st.characters(exclude_characters="*"), min_size=1)


@given(TEXTS)
def test_nothing_of_a_secret_is_left(value: str) -> None:
    assert redact.word(f"password={value}") == f"password={MASK}"
    assert redact.secrets_of([("password", value), ("size", "1m"), ("ro", None)]) == {value}
    assert redact.without("why: " + value, [value]).count(value) == MASK.count(value)


@given(st.lists(st.text()))
def test_it_is_shown_once_and_for_all(words: list[str]) -> None:
    once = redact.words(words)
    assert redact.words(once) == once


def test_a_kernel_parameter() -> None:
    for key in ("net.ipv4.tcp_fastopen_key", "net.ipv6.conf.eth0/1.stable_secret"):
        assert redact.parameter(key, "a-b-c-d") == MASK
    for key in ("net.sctp.auth_enable", "net.bridge.bridge-nf-pass-vlan-input-dev"):
        assert redact.parameter(key, "1") == "1"


def test_what_the_kernel_says() -> None:
    said = "//u:p@h: Can't open, pass 'hunter2', hunter2hunter"
    secrets = ["hunter2", "hunter2hunter"]
    shown = f"//u:{MASK}@h: Can't open, pass '{MASK}', {MASK}"
    assert redact.without(said, secrets, "//u:p@h") == shown


def test_which_secrets_differ() -> None:
    old = ["ro", "password=a", "pass=b", "size=1m"]
    assert redact.changed(old, ["password=a", "pass=b", "size=2m"]) == []
    assert redact.changed(old, ["password=b", "secret=c", "pass=b"]) == ["password", "secret"]
    assert redact.changed(old, []) == ["pass", "password"]
