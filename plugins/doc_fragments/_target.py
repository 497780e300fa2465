# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name what a module acts on.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - The name of a namespace made with M(linux.namespaces.ns_namespace).
      - At most one of O(namespace), O(pid) and O(namespace_path) is given.
    type: str
  pid:
    description:
      - The id of a living process, whose namespaces are meant.
    type: int
  namespace_path:
    description:
      - The absolute path of a namespace file, such as V(/proc/4242/ns/mnt) or V(/run/netns/blue).
    type: path
"""
