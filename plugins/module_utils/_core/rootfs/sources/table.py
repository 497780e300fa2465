# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The sources of root file systems, by the option of ns_rootfs that names each.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ...errors import Refused

if t.TYPE_CHECKING:
    from .source import Options, Source

# Each is loaded when it is asked for: together they take 13 ms to compile, an image 7, which a task
# on a host without nsctl does every time.


def _archive() -> type[Source]:
    from .archive import Archive

    return Archive


def _image() -> type[Source]:
    from .image import Image

    return Image


def _bootstrap() -> type[Source]:
    from .bootstrap import Bootstrap

    return Bootstrap


def _directory() -> type[Source]:
    from .directory import Directory

    return Directory


SOURCES: dict[str, t.Callable[[], type[Source]]] = {
    "archive": _archive,
    "image": _image,
    "bootstrap": _bootstrap,
    "directory": _directory,
}


def of_options(options: Options) -> Source:
    """The source that the options of ns_rootfs name. Raises Refused."""
    for option, load in SOURCES.items():
        if options.get(option) is not None:
            return load().of_options(options)
    raise Refused("a root needs a source", f"Give one of {', '.join(SOURCES)}.")
