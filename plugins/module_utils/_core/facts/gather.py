# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What ns_info tells beside the namespaces, of those parts that it is asked for.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..namespace import pins
from ..operations import namespace_state
from . import host, named

HOST = "host"


def gathered(name: str | None, wanted: t.Collection[str]) -> dict[str, t.Any]:
    """What is ``wanted``: parts of named namespaces (named.PARTS), of all or of this one, and the HOST.

    Raises Refused for a caller who is not root and asks for more than the host, and where there is none of that name.
    """
    found: dict[str, t.Any] = {}
    parts = [each for each in named.PARTS if each in wanted]
    if parts:
        pins.check_rights()
        answers = named.of_many([name] if name else namespace_state.known_names(), parts)
        found["named"] = [each for each in answers if not isinstance(each, str)]
        for each in answers if name else ():
            if isinstance(each, str):
                raise Refused(each)
    if HOST in wanted:
        found["host"] = host.facts()
    return found
