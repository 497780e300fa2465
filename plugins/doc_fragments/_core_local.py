# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of ansible.builtin.local.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from ansible.plugins.connection import local

from ansible_collections.linux.namespaces.plugins.plugin_utils._core_options import options_of


class ModuleDocFragment:
    DOCUMENTATION: str = options_of(local.DOCUMENTATION)
