# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts say, made fit for messages of the controller.

Pure. Ansible compiles it for each task inside a namespace: it is little.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re

from ansible_collections.linux.namespaces.plugins.module_utils._core.printable import printable

# Characters of a message: enough for the last lines of whoever failed.
LONGEST = 1000
# A message becomes part of a result, which a later task of the play may fill in as a template.
_TEMPLATE = re.compile(r"\{(?=[{%#])")


def for_people(said: str | bytes, longest: int = LONGEST) -> str:
    """The end of what a host said, at most ``longest`` characters, as one line.

    What could steer a terminal is made visible, what could begin a template as well.
    """
    said = said[-4 * longest :]
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    lines = filter(None, (line.strip() for line in text.splitlines()))
    shown = _TEMPLATE.sub(r"\\x7b", "; ".join(map(printable, lines)))
    return shown if len(shown) <= longest else f"...{shown[3 - longest :]}"
