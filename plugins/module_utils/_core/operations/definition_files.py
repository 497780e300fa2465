# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files that a named namespace has on the host, below its home: see definition/host_files.py.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import typing as t

from ..actions import Action
from ..definition.host_files import PLACEHOLDER, HostFile
from ..errors import Refused
from ..namespace.target import Target
from ..storage import atomic, beneath
from .definition_request import DefinitionRequest, WantedFile

if t.TYPE_CHECKING:
    from ..definition.model import Definition

# How long a program may take to check what is to be in a file, in seconds.
_PATIENCE = 60.0
# Of what it says, in lines.
_LINES = 10
# What is longer is no text for people.
_LONGEST_SHOWN = 1 << 16
# Of a digest, with its title.
_DIGITS = 19


def removing(home: str, wanted: t.Container[str], definition: Definition | None) -> list[Action]:
    """What is left to do until those are gone that are recorded, and whose paths are not ``wanted`` any more."""
    recorded = definition.files if definition is not None else ()
    surplus = sorted(
        (each for each in recorded if each.dest not in wanted),
        key=lambda each: each.dest,
        reverse=True,  # what is in a directory comes before it
    )
    return [
        Action(f"remove {each.dest}", functools.partial(_remove, home, each))
        for each in surplus
        if _is_there(home, each)
    ]


def making_parents(request: DefinitionRequest) -> list[Action]:
    """What is left to do until there are directories for those that are checked first: mounts show them."""
    checked = {
        os.path.dirname(each.file.dest): each.file for each in request.files if each.file.validate
    }
    return [
        Action(f"make {parent}", functools.partial(_make_parent, request.home, file))
        for parent, file in checked.items()
        if parent != request.home and not os.path.isdir(parent)
    ]


def making(request: DefinitionRequest) -> list[tuple[Action, WantedFile]]:
    """What is left to do until those are there that nothing checks, each with its file."""
    return [
        (
            Action(f"{_verb(each)} {each.file.dest}", functools.partial(_make, request.home, each)),
            each,
        )
        for each in request.files
        if not each.file.validate and not is_as_wanted(request.home, each)
    ]


def making_checked(request: DefinitionRequest) -> list[tuple[Action, WantedFile]]:
    """The same for those that a program inside checks first: with all mounts in place."""
    return [
        (
            Action(f"write {each.file.dest}", functools.partial(_make_checked, request, each)),
            each,
        )
        for each in request.files
        if each.file.validate and not is_as_wanted(request.home, each)
    ]


def shown(home: str, wanted: WantedFile) -> tuple[t.Any, t.Any]:
    """The file as it is, and as it is to be, for a diff; None for what is not there.

    What only root may read is a secret.
    """
    file, found = wanted.file, _content(home, wanted.file)
    owner = f"owner {file.owner}:{file.group}, mode {file.mode:04o}"
    if file.is_directory:
        return ("a directory" if _is_there(home, file) else None), f"a directory, {owner}"
    is_secret = not file.mode & 0o077
    before = None if found is None else _shown(found, is_secret=is_secret)
    after = _shown(wanted.content, is_secret=is_secret)
    return before, owner if before == after else after


def _shown(content: bytes, *, is_secret: bool) -> str | tuple[str, ...]:
    if is_secret or len(content) > _LONGEST_SHOWN or b"\0" in content:
        return f"{len(content)} bytes, {digest_of(content)[:_DIGITS]}"
    return tuple(content.decode("utf-8", "replace").removesuffix("\n").split("\n"))


def drift_of(home: str, file: HostFile) -> str:
    """How a file is not what was put there; empty where it is, as far as was noted."""
    if file.is_directory or not file.written:
        return ""
    found = _content(home, file)
    if found is None:
        return "missing"
    return "" if digest_of(found) == file.written else "differs"


def digest_of(content: bytes) -> str:
    """What tells one content from another."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def recorded(request: DefinitionRequest, definition: Definition) -> tuple[HostFile, ...]:
    """The files as they are to be recorded: what was read of them stays."""
    was = {(each.dest, each.service): each.read for each in definition.files}
    return tuple(
        each.file.replace(
            read=was.get((each.file.dest, each.file.service), ""),
            written="" if each.file.is_directory else digest_of(each.content),
        )
        for each in request.files
    )


def but_written(definition: Definition) -> Definition:
    """The definition without what was written to its files."""
    return definition.replace(files=tuple(each.replace(written="") for each in definition.files))


def are_as_wanted(request: DefinitionRequest, definition: Definition) -> bool:
    """Whether all are recorded, and as they are to be."""
    return definition.files == recorded(request, definition) and all(
        is_as_wanted(request.home, each) for each in request.files
    )


def unread(request: DefinitionRequest, definition: Definition | None, service: str) -> bool:
    """Whether what is in the files of the service, or is to be, is not what it has read."""
    was = {each.dest: each.read for each in definition.files} if definition is not None else {}
    return any(
        was.get(each.file.dest, "") != digest_of(each.content)
        for each in request.files
        if each.file.service == service
    )


def after_reading(request: DefinitionRequest, definition: Definition, service: str) -> Definition:
    """The definition, where the service has read its files."""
    read = {
        each.file.dest: digest_of(each.content)
        for each in request.files
        if each.file.service == service
    }
    return definition.replace(
        files=tuple(
            each.replace(read=read[each.dest]) if each.dest in read else each
            for each in definition.files
        )
    )


def content_of(home: str, file: HostFile) -> str | None:
    """What is in it, as a text; None where it is no text, or not there."""
    found = _content(home, file)
    try:
        return None if found is None else found.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_as_wanted(home: str, wanted: WantedFile) -> bool:
    """Whether the file is there as it is to be. Raises Refused for an owner whom the host does not know."""
    file = wanted.file
    try:
        fd = beneath.opened(home, _below(home, file), is_directory=file.is_directory)
    except OSError:
        return False
    try:
        found = os.fstat(fd)
        is_like_it = (found.st_uid, found.st_gid) == _owner_of(file)
        is_like_it = is_like_it and stat.S_IMODE(found.st_mode) == file.mode
    finally:
        os.close(fd)
    return is_like_it and (file.is_directory or _content(home, file) == wanted.content)


def _content(home: str, file: HostFile) -> bytes | None:
    return None if file.is_directory else beneath.content(home, _below(home, file))


def _is_there(home: str, file: HostFile) -> bool:
    return beneath.is_there(home, _below(home, file))


def _verb(wanted: WantedFile) -> str:
    return "make" if wanted.file.is_directory else "write"


def _below(home: str, file: HostFile) -> str:
    return file.dest[len(home) + 1 :]


def _make(home: str, wanted: WantedFile) -> None:
    file = wanted.file
    if file.is_directory:
        beneath.make_directory(home, _below(home, file), mode=file.mode, owner=_owner_of(file))
    else:
        _beside(home, wanted).put()


def _make_parent(home: str, file: HostFile) -> None:
    beneath.make_parents(home, _below(home, file))


def _beside(home: str, wanted: WantedFile) -> beneath.Beside:
    file = wanted.file
    return beneath.Beside(
        home, _below(home, file), wanted.content, mode=file.mode, owner=_owner_of(file)
    )


def _make_checked(request: DefinitionRequest, wanted: WantedFile) -> None:
    beside = _beside(request.home, wanted)
    try:
        _validate(request, wanted)
    except BaseException:
        beside.drop()
        raise
    beside.put()


def _validate(request: DefinitionRequest, wanted: WantedFile) -> None:
    """Have the program look at what was written beside the file. Raises Refused with what it says."""
    inside = atomic.beside_of(seen_inside(request, wanted.file.dest))
    argv = [word.replace(PLACEHOLDER, inside) for word in wanted.file.validate]
    check_inside(request.name, argv, "What was there before is as it was. Correct the content.")


def check_inside(name: str, argv: t.Sequence[str], hint: str) -> None:
    """Run a program inside, which says whether all is well. Raises Refused with what it says."""
    # 50 ms to compile, for what few have.
    from ..process.program import Program
    from . import run

    result = run.run(
        run.RunRequest(
            Program(tuple(argv)), target=Target(namespace=name), incomplete=True, timeout=_PATIENCE
        ),
        check=False,
    )
    if result.status == 0 and not result.timed_out:
        return
    said = (result.stderr + result.stdout).decode("utf-8", "replace").strip().splitlines()
    why = f"ended with {result.status}"
    if result.timed_out:
        why = f"had not ended after {_PATIENCE:g} seconds"
    told = ": " + "; ".join(said[-_LINES:]) if said else ""
    raise Refused(f"the check by {argv[0]} {why}{told}", hint)


def restoring(home: str, before: Definition, contents: t.Mapping[str, str]) -> list[Action]:
    """What is left to do until what was recorded then has these contents again."""
    found = []
    for file in before.files:
        if file.is_directory or file.dest not in contents:
            continue
        was = WantedFile(file, contents[file.dest].encode())
        if not is_as_wanted(home, was):
            found.append(
                Action(f"write {file.dest} as it was", functools.partial(_make, home, was))
            )
    return found


def seen_inside(request: DefinitionRequest, dest: str) -> str:
    """What the file is called inside: by the mounts that show its directory. Raises Refused. Pure."""
    above = os.path.dirname(dest)
    shows = [
        each
        for each in request.mounts
        if each.src_in == "host"
        and {"bind", "rbind"} & {*each.words}
        and (above == each.src or above.startswith(f"{each.src.rstrip('/')}/"))
    ]
    if shows:
        nearest = max(shows, key=lambda each: len(each.src))
        return f"{nearest.path}{dest[len(nearest.src.rstrip('/')) :]}"
    if request.root is None and not request.steps:
        return dest  # its tree is a copy of the host's
    raise Refused(
        f"validate of {dest} has nothing to look at: no mount shows {above} inside",
        "Bind that directory, so that a program inside can read what is to be in the file.",
    )


def _owner_of(file: HostFile) -> tuple[int, int]:
    return _id_of(file.owner, "user"), _id_of(file.group, "group")


@functools.cache
def _id_of(name: str, kind: str) -> int:
    if name == "root":
        return 0
    if name.isdecimal():
        return int(name)
    import grp  # for who has others than root
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise Refused(
            f"the host has no {kind} {name!r}", "Create it first, or give its number."
        ) from None


def _remove(home: str, file: HostFile) -> None:
    beneath.remove(home, _below(home, file), is_directory=file.is_directory)
