# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Having `nsctl` on the host: for the modules that keep something there which needs it.

Ansible sends a host what a module imports, and what that imports in turn. `nsctl` is made from what
was sent (_core/install/sources.py), so it is imported here, and nowhere else.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ._core import nsctl
from ._core.install.host_command import settle
from ._core.startup import light

__all__ = ["light", "nsctl", "settle"]
