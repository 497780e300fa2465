# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which ids a user and its groups mean, strictly: nothing that is no number becomes one.

Inside another root names are looked up in its own /etc/passwd and /etc/group, read as text: the
C library would load name service modules out of that root and run them (CVE-2019-14271).
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd

from ..errors import Refused
from ..host_paths import environment_of
from ..syscalls import files, regular_files
from ..values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    # Where names are looked up.
    Database = t.Union["Files", "Host"]

# (uid_t)-1 means "leave it as it is" to setresuid(2), and so can be nobody's id.
_LARGEST = (1 << 32) - 2
# What is longer is no id; int() refuses or takes long for a number of thousands of digits.
_MOST_DIGITS = len(str(_LARGEST))
_LARGEST_FILE = 16 << 20


class Account(Value):
    """A user that a database knows."""

    __slots__ = ("gid", "home", "name", "uid")

    def __init__(self, name: str, uid: int, gid: int, home: str = "") -> None:
        self.name = name
        self.uid = uid
        # Of its primary group.
        self.gid = gid
        self.home = home


class Identity(Value):
    """The ids a program runs with. None leaves what the process has."""

    __slots__ = ("gid", "groups", "groups_implied", "uid")

    def __init__(
        self,
        uid: int | None = None,
        gid: int | None = None,
        groups: tuple[int, ...] | None = None,
        groups_implied: bool = False,
    ) -> None:
        self.uid = uid
        self.gid = gid
        # The supplementary groups.
        self.groups = groups
        # Nobody asked for the groups: they follow from the user.
        self.groups_implied = groups_implied


class Files:
    """The database in the text of passwd(5) and group(5)."""

    # For people.
    title = "/etc/passwd and /etc/group of the program's root"

    def __init__(self, passwd: str, group: str) -> None:
        self._accounts = [
            Account(fields[0], int(fields[2]), int(fields[3]), fields[5])
            for fields in _lines(passwd, 7)
            if _is_id(fields[2]) and _is_id(fields[3])
        ]
        self._groups = [
            (fields[0], int(fields[2]), fields[3].split(","))
            for fields in _lines(group, 4)
            if _is_id(fields[2])
        ]

    def user(self, name: str) -> Account | None:
        """The user of this name."""
        return next((each for each in self._accounts if each.name == name), None)

    def user_by_id(self, uid: int) -> Account | None:
        """The first user with this uid."""
        return next((each for each in self._accounts if each.uid == uid), None)

    def group(self, name: str) -> int | None:
        """The gid of the group of this name."""
        return next((gid for each, gid, _members in self._groups if each == name), None)

    def groups_of(self, account: Account) -> tuple[int, ...]:
        """The gids of the groups that list the user as a member, and its own, sorted."""
        gids = {gid for _name, gid, members in self._groups if account.name in members}
        return tuple(sorted(gids | {account.gid}))


class Host:
    """The host's own database, with all of its name services (nsswitch.conf(5))."""

    # See Files for all of it.
    title = "the users and groups of this host"

    def user(self, name: str) -> Account | None:
        """See Files."""
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            return None

    def user_by_id(self, uid: int) -> Account | None:
        """See Files."""
        try:
            return _account(pwd.getpwuid(uid))
        except KeyError:
            return None

    def group(self, name: str) -> int | None:
        """See Files."""
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def groups_of(self, account: Account) -> tuple[int, ...]:
        """See Files."""
        return tuple(sorted(set(os.getgrouplist(account.name, account.gid))))


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def files_of_this_root(host_proc: int) -> Files:
    """The database of the root that the calling process has now. Raises Refused.

    ``host_proc`` is an open /proc of the host.
    """
    return Files(_text_of("/etc/passwd", host_proc), _text_of("/etc/group", host_proc))


class _FilesOfRoot(Files):
    title = "/etc/passwd and /etc/group of the root that it lies in"


def files_of(root: int, host_proc: int) -> Files:
    """The same of the root that is open here, in which all links stay. Raises Refused."""
    return _FilesOfRoot(
        _text_of("etc/passwd", host_proc, root=root), _text_of("etc/group", host_proc, root=root)
    )


def checked(user: str | None, group: str | None, groups: t.Iterable[str] | None) -> None:
    """Refuse what can name no user or group in any database."""
    _split(user, group)
    for each in groups or ():
        _checked_word(each, what="group")


def variables_of(user: str | None, database: Database) -> dict[str, str]:
    """What the environment of a program has of its user, in the form that resolve() takes.

    Without a user it is the one that the process is. Of one that the database does not know
    there is no name and no home; root needs none to have both.
    """
    if user is None:
        user = str(os.geteuid())
    user, _group = _split(user, None)
    account = _account_named(user or "", database)
    if account is not None:
        return environment_of(account.name, account.home)
    return environment_of() if user == "0" else environment_of("", "")


def _account_named(word: str, database: Database) -> Account | None:
    return database.user_by_id(int(word)) if _is_number(word) else database.user(word)


def resolve(
    user: str | None,
    group: str | None,
    groups: t.Iterable[str] | None,
    database: Database,
) -> Identity:
    """The ids of ``user`` (a name, a uid, "user:group"), ``group`` and ``groups``.

    Without ``group`` it is the user's own one, and for a uid that the database does not know
    the gid of the same number. Without ``groups`` those are taken that list the user as a
    member. Without any of the three nothing changes. Raises Refused.
    """
    user, group = _split(user, group)
    uid, gid, account = None, None, None
    if user is not None:
        account = _account_named(user, database)
        if _is_number(user):
            uid = gid = int(user)
        elif account is None:
            raise Refused(
                f"there is no user {user!r} in {database.title}",
                "Add the user there, or give its uid as a number.",
            )
        if account is not None:
            uid, gid = account.uid, account.gid
    if group is not None:
        gid = _gid(group, database)
    if groups is not None:
        return Identity(uid, gid, tuple(sorted({_gid(each, database) for each in groups})))
    if account is not None:
        # The primary group stands in for the one in passwd when another one was asked for.
        own = set(database.groups_of(account)) - {account.gid}
        primary = account.gid if gid is None else gid
        return Identity(uid, primary, tuple(sorted(own | {primary})), groups_implied=True)
    return Identity(uid, gid, None if gid is None else (gid,), groups_implied=True)


def _split(user: str | None, group: str | None) -> tuple[str | None, str | None]:
    if user is not None and ":" in user:
        if group is not None:
            raise Refused(f"user {user!r} names a group already, and group is {group!r}")
        user, _colon, group = user.partition(":")
    if user is not None:
        _checked_word(user, what="user")
    if group is not None:
        _checked_word(group, what="group")
    return user, group


def _checked_word(word: str, *, what: str) -> None:
    if _is_id(word):
        return
    if word.isdigit() or not _is_name(word):
        raise Refused(
            f"{word!r} is neither the name nor the id of a {what}",
            f"An id is a number from 0 to {_LARGEST}, written without sign or leading zero.",
        )


# Not with `re`, which takes longer to load than `nsctl exec` takes for all the rest of this.
def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and (word == "0" or not word.startswith("0"))


def _is_name(word: str) -> bool:
    if not word or word[0] in "+~-":
        return False
    return not any(character.isspace() or character in ":/," for character in word)


def _is_id(word: str) -> bool:
    return _is_number(word) and len(word) <= _MOST_DIGITS and int(word) <= _LARGEST


def _gid(group: str, database: Database) -> int:
    _checked_word(group, what="group")
    if _is_number(group):
        return int(group)
    gid = database.group(group)
    if gid is None:
        raise Refused(
            f"there is no group {group!r} in {database.title}",
            "Add the group there, or give its gid as a number.",
        )
    return gid


def _lines(text: str, number: int) -> t.Iterator[list[str]]:
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) == number and not line.startswith(("#", "+", "-")):
            yield fields


def _text_of(path: str, host_proc: int, *, root: int | None = None) -> str:
    # A hostile root may have put a device, a pipe, an endless file or a link of /proc there.
    whose = "the program's root" if root is None else "the root that the mount lies in"
    wrong = Refused(f"/{path.lstrip('/')} of {whose} is not a file that lists users")
    inside = files.RESOLVE_IN_ROOT if root is not None else 0
    try:
        fd = regular_files.open_regular(
            path, dir_fd=root, resolve=files.RESOLVE_NO_MAGICLINKS | inside, host_proc=host_proc
        )
    except regular_files.NotRegular as error:
        raise wrong from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise wrong from error
        return ""
    with open(fd, "rb") as stream:
        if os.fstat(fd).st_size > _LARGEST_FILE:
            raise wrong
        return stream.read(_LARGEST_FILE).decode("utf-8", "surrogateescape")
