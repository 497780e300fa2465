# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which images a file or directory holds, and what each of them is called there. Pure.

What docker save writes has a list in manifest.json; an OCI layout has one in index.json. Newer
versions of docker write both. A stranger has written them.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ...errors import Refused
from ...storage import json_file
from . import reference

# The documents at the top of an archive that are looked at.
DOCKER, OCI = "manifest.json", "index.json"
_REF_NAME = "org.opencontainers.image.ref.name"
_MOST, _LONGEST, _OTHER_NAMES = 20, 200, 5
_NO_IMAGE = (
    "What docker export or tar has written is no image but a root file system: name it with archive"
    " in place of image."
)


class Held(t.NamedTuple):
    """The images, by the names that can be put behind the path; empty for one that has none."""

    names: tuple[tuple[str, ...], ...] = ()

    def hint(self, image: str) -> str:
        """How to name one of them; empty where that is not known."""
        if not self.names:
            return ""
        path = reference.path_of(image)
        words = [_shown(names, number, path) for number, names in enumerate(self.names[:_MOST])]
        more = f" and {len(self.names) - _MOST} more" if len(self.names) > _MOST else ""
        which = "that is its name" if len(words) == 1 else "name one of them"
        return f"It holds {', '.join(words)}{more}: {which}."


def _shown(names: tuple[str, ...], number: int, path: str) -> str:
    if names:
        # One image may have any number of names.
        others = ", ".join(name[:_LONGEST] for name in names[1:_OTHER_NAMES])
        return f"{path}:{names[0][:_LONGEST]}" + (f" ({others})" if others else "")
    if path.startswith("docker-archive:"):
        return f"{path}:@{number}"
    return "one without a name"


def in_archive(found: t.Mapping[str, bytes], *, image: str) -> Held:
    """Those in an archive that has these documents at its top.

    Raises Refused where it is not the kind of archive that the image's name says, with the word for
    what it is; or holds several, and none is named.
    """
    is_docker = image.startswith("docker-archive:")
    if (DOCKER if is_docker else OCI) not in found:
        file = reference.file_of(image)
        if DOCKER in found:
            raise _other_kind(image, "what docker save writes", f"docker-archive:{file}")
        if OCI in found:
            raise _other_kind(image, "an OCI archive", f"oci-archive:{file}")
        raise Refused(f"the archive {file} holds no image", _NO_IMAGE)
    return _named(docker(found[DOCKER]) if is_docker else oci(found[OCI]), image)


def in_layout(index: bytes, *, image: str) -> Held:
    """Those in a layout with this index. Raises Refused where it holds several, and none is named."""
    return _named(oci(index), image)


def _named(held: Held, image: str) -> Held:
    if len(held.names) > 1 and not reference.inner_name(image):
        raise Refused(
            f"{reference.path_of(image).partition(':')[2]} holds {len(held.names)} images, and {image}"
            " does not say which one",
            held.hint(image),
        )
    return held


def _other_kind(image: str, what: str, word: str) -> Refused:
    return Refused(f"{reference.file_of(image)} is {what}", f"Name it {word}, not {image}.")


def docker(text: bytes) -> Held:
    """Those in the list that docker save writes; none in what is no such list."""
    return Held(tuple(_texts(each.get("RepoTags")) for each in _objects(_parsed(text))))


def oci(text: bytes) -> Held:
    """Those in the index of a layout; none in what is no index."""
    data = _parsed(text)
    listed = _objects(data.get("manifests")) if isinstance(data, dict) else []
    found = []
    for each in listed:
        notes = each.get("annotations")
        found.append(_texts([notes.get(_REF_NAME)] if isinstance(notes, dict) else None))
    return Held(tuple(found))


def _parsed(text: bytes) -> t.Any:
    try:
        return json_file.parse(text)
    except ValueError:
        return None  # which skopeo will say


def _objects(data: t.Any) -> list[dict[str, t.Any]]:
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def _texts(data: t.Any) -> tuple[str, ...]:
    return tuple(each for each in data if isinstance(each, str)) if isinstance(data, list) else ()
