# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which services a named namespace has.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from . import service_file, service_note


def known(namespace: str) -> list[str]:
    """The names of the services that are known, whichever supervisor has them; sorted."""
    return sorted({*service_file.names(namespace), *service_note.names(namespace)})
