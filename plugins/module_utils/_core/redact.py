# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Secrets among what may be known, and the form without them, which results, diffs and logs have.

Nothing marks the secret ones among the options of a file system, or among variables: their names
say it. A value that is hidden without need costs a look into the play, one that is shown costs
the secret, so in doubt it is hidden.
Pure, and a part of `nsctl exec`: it does without re and typing.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

MASK = "********"  # as Ansible writes it

# password, pass, password2 of cifs, secret of ceph, key and passphrase_passwd of ecryptfs,
# secret_access_key and token of those in user space; PGPASSWORD, MYSQL_PWD, REDISCLI_AUTH.
_STEMS = ("pass", "pwd", "secret", "token", "credential", "cred", "key", "auth", "private")
# Where the secret is, not what: secretfile, passwd_file, pass-fd, SSH_AUTH_SOCK.
_PLACES = ("file", "path", "dir", "fd", "sock", "stdin")
# A path, as mount.cifs(8) takes it and Google's tools do: unlike that of any other, it is shown.
_FILES_OF_SECRETS = ("cred", "creds", "credential", "credentials")


def is_secret(name: str, value: str = "") -> bool:
    """Whether the name of an option, a variable or a parameter says that its value is a secret."""
    word = name.strip().lower()
    if word.endswith(_PLACES):
        return False
    if value.startswith("/") and word.endswith(_FILES_OF_SECRETS):
        return False
    return any(stem in word for stem in _STEMS)


def shown(name: str, text: str) -> str:
    """The value of what has this name, as it may be known."""
    if text and is_secret(name, text):
        return MASK
    if name.strip().lower() in ("user", "username") and "%" in text:
        return f"{text.partition('%')[0]}%{MASK}"  # user%password, as mount.cifs(8) takes it
    return address(text)


def word(text: str) -> str:
    """A word of mount(8), or an assignment, as it may be known: ``password=********``."""
    # password: hunter2, as a list of options has it that was meant to be an object, is refused.
    sign = "=" if "=" in text else ":"
    name, _sign, given = text.partition(sign)
    if sign == "=":
        return f"{name}={shown(name, given)}"
    return f"{name}:{MASK}" if given and is_secret(name) else text


def words(given: t.Iterable[str]) -> list[str]:
    """Words of mount(8) as they may be known."""
    return [word(each) for each in given]


def parameter(key: str, value: t.Any) -> t.Any:
    """The value of a kernel parameter as it may be known.

    The kernel shows tcp_fastopen_key and stable_secret to root alone; others, as auth_enable of
    sctp, only look like it.
    """
    return MASK if key.endswith(("_key", "_secret")) else value


def address(text: str) -> str:
    """The source of a mount, or a URL, as it may be known: ``user:********@host/path``."""
    place, sign, query = _without_password(text).partition("?")
    if "//" in place and "=" in query:
        query = "&".join(words(query.split("&")))
    return f"{place}{sign}{query}"


def _without_password(text: str) -> str:
    start = text.find("//") + 2 if "//" in text else 0
    user, colon, rest = text[start:].partition(":")
    password, at, host = rest.rpartition("@")
    # server:/path of NFS, [::1]:/path, /a:b@c.
    is_path = not start and (password.startswith("/") or text.startswith(("/", "[")))
    # A user may be an address of mail, but a@tcp0:b@tcp0:/fs is one of Lustre.
    if not (colon and at) or is_path or "/" in user or ("@" in user and not start):
        return text
    return f"{text[:start]}{user}:{MASK}@{host}"


def secrets_of(options: t.Iterable[tuple[str, str | None]]) -> set[str]:
    """The values among options of a file system, (key, value), that may not be known."""
    return {given for name, given in options if given and shown(name, given) != given}


def without(text: str, secrets: t.Iterable[str], source: str = "") -> str:
    """What the kernel says about a mount of ``source``, without these secrets."""
    if source:
        text = text.replace(source, address(source))
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def changed(old: t.Iterable[str], new: t.Iterable[str]) -> list[str]:
    """The names of secrets that one of two lists of words has, or the other, or with another value."""
    one, other = ({each for each in given if word(each) != each} for given in (old, new))
    return sorted({each.partition("=")[0] for each in one ^ other})
