# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that all modules declare.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts in C(check_mode) what would change, and changes nothing.
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
  platform:
    description: Target operating systems that the module works on.
    support: full
    platforms: linux
  idempotent:
    description: A second run with the same options reports no change.
"""

    # Of modules that only look.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: This module changes nothing.
  diff_mode:
    support: N/A
    details: This module changes nothing.
  idempotent:
    support: full
    details: This module changes nothing.
"""

    ACTIONGROUP_NAMESPACES = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/linux.namespaces.namespaces) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - linux.namespaces.namespaces
"""
