# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of Ansible's own connection plugins, as the installed Ansible documents them.

A copy would lag behind, and lack options that the code of the plugin asks for.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re


def options_of(documentation: str) -> str:
    """Its options, word for word but for the versions: those are Ansible's, not this collection's.

    Not parsed: Ansible asks for this in each process that runs a task, and parses it then.
    ValueError where they cannot be found.
    """
    if "options:" not in documentation:
        return "options: {}"  # ansible.builtin.local before ansible-core 2.19
    found = re.search(r"^( *)options:\n(?:\1 .*\n| *\n)*", documentation, re.MULTILINE)
    if found is None:
        raise ValueError("this Ansible documents the options of its connections in another way")
    return re.sub(r"^ *version_added:.*\n", "", found[0], flags=re.MULTILINE)
