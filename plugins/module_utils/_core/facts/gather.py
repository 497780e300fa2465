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
from .parts import HOST, PARTS


def gathered(
    name: str | None, wanted: t.Collection[str], *, meanwhile: t.Callable[[], object]
) -> dict[str, t.Any]:
    """What is ``wanted``: parts of named namespaces (named.PARTS), of all or of this one, and the HOST.

    ``meanwhile`` is done while others look. Raises Refused for a caller who is not root and asks for more
    than the host, and where there is none of that name.
    """
    found: dict[str, t.Any] = {}

    def look_beside() -> None:
        meanwhile()
        if HOST in wanted:
            # 15 ms to compile, while others look.
            from . import host

            found["host"] = host.facts()

    parts = [each for each in PARTS if each in wanted]
    if not parts:
        look_beside()
        return found
    pins.check_rights()
    # 40 ms to compile, with what it loads, for who asks for no name.
    from ..operations import namespace_state
    from . import named

    names = [name] if name else namespace_state.known_names()
    answers = named.of_many(names, parts, meanwhile=look_beside)
    found["named"] = [each for each in answers if not isinstance(each, str)]
    for each in answers if name else ():
        if isinstance(each, str):
            raise Refused(each)
    return found
