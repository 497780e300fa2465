# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Interfaces in files: those of a definition, and those of the host that ns_link has made.

    /etc/linux-namespaces/host/links.json

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths
from ..errors import Refused
from ..storage import atomic, json_file
from . import link_checks
from .data import Fields, check_version, unreadable
from .link import Link

_VERSION = 1
DIRECTORY = f"{host_paths.DEFINITIONS}/host"
PATH = f"{DIRECTORY}/links.json"


def of_data(listed: t.Sequence[t.Any]) -> tuple[Link, ...]:
    """The interfaces of a JSON form, in the form in which they are compared. Raises ValueError."""
    found = []
    for number, each in enumerate(listed, start=1):
        try:
            found.append(link_checks.checked(Link.from_data(each, f"link {number}")))
        except Refused as error:
            raise ValueError(f"link {number}: {error.reason}") from error
    try:
        link_checks.check_together(found)
    except Refused as error:
        raise ValueError(error.reason) from error
    return tuple(found)


def of_host() -> tuple[Link, ...]:
    """The interfaces of the host that were made to be there again after a reboot. Raises Refused."""
    try:
        found = json_file.read(PATH)
        if found is None:
            return ()
        check_version(PATH, found, _VERSION)
        fields = Fields(found, "the file")
        fields.take("version", int)
        links = of_data(fields.take("links", list))
        fields.done()
        return links
    except ValueError as error:
        raise Refused(f"{PATH} is damaged: {error}", "Mend it, or remove it.") from error
    except OSError as error:
        raise unreadable(PATH, error) from error


def keep_of_host(links: t.Sequence[Link]) -> None:
    """Write them, or with none remove the file. The lock is held. Raises OSError."""
    if not links:
        atomic.remove(PATH)
        if os.path.isdir(DIRECTORY):
            atomic.remove_directory(DIRECTORY)
            atomic.remove_directory(host_paths.DEFINITIONS)
        return
    atomic.make_directory(host_paths.DEFINITIONS, mode=host_paths.DEFINITIONS_MODE)
    atomic.make_directory(DIRECTORY, mode=0o700)
    data = {"version": _VERSION, "links": [link.to_data() for link in links]}
    json_file.write(PATH, data)
