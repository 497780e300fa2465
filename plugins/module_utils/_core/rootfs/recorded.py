# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a definition records of a root, from which it is filled again after a reboot.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from .. import id_maps
from . import kept
from .archive import Archive
from .directory import Directory
from .rules import Rules
from .source import Source


def source_of(step: t.Mapping[str, t.Any]) -> Source:
    """The source that the step records, with the digest of the root that was made of it.

    An archive of the user's is read for its digest. One that was kept has the digest of what it
    was made from, which cannot be told from it. Raises KeyError for a damaged step.
    """
    if "directory" in step:
        return Directory(step["directory"])
    path, wanted = step["archive"], step["digest"]
    return Archive(path, known_digest=wanted if path == kept.path_of(wanted) else "")


def rules_of(step: t.Mapping[str, t.Any]) -> Rules:
    """The rules that the step records. Raises Refused, KeyError for a damaged step."""
    maps = None
    if "id_map" in step:
        maps = id_maps.parse(step["id_map"], id_maps.Caller.of_this_process())
    return Rules(device_nodes=step.get("device_nodes", "keep"), id_maps=maps)
