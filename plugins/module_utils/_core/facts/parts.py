# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What can be told of a host and its named namespaces, by the words that ask for it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

DEFINITION, DRIFT, SERVICES = "definition", "drift", "services"
# Of named namespaces.
PARTS = (DEFINITION, DRIFT, SERVICES)
HOST = "host"
