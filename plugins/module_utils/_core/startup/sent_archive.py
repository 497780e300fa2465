# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Importing from the archive that Ansible sends, with each file compiled once.

Python's own importer compiles a file to tell its name, throws that away, and compiles it again to
run it (python/cpython#141276, in every version up to 3.15): of what our code costs a task on a host
without nsctl that is a third.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import sys
import zipimport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


class _Importer(zipimport.zipimporter):
    """Python's, but for how it tells a name."""

    def get_filename(self, fullname: str) -> str:
        """See importlib.abc.ExecutionLoader. Raises ImportError where there is no such module."""
        end = "/__init__.py" if self.is_package(fullname) else ".py"
        return f"{self.archive}/{self.prefix}{fullname.rpartition('.')[2]}{end}"


def compile_once(folders: t.Iterable[str]) -> None:
    """From now on import the modules in these ``folders`` of the archive so, and those below."""
    beginnings = tuple(folders)

    # Any: the types of 3.9 know no find_spec() of an importer.
    def importer_of(folder: str) -> t.Any:
        if folder.startswith(beginnings):
            return _Importer(folder)
        raise ImportError

    sys.path_hooks.insert(0, importer_of)
    for folder in beginnings:  # this very file came from there
        sys.path_importer_cache.pop(folder, None)
