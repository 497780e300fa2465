# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running a plan: its named steps, one after the other.

The name of a step is what check mode announces, what the result lists as done, and what an
error says has failed.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import signal
import typing as t

from .errors import StepFailed

# A test ends the process with SIGKILL before the step whose name holds this text.
KILL_VARIABLE = "LINUX_NAMESPACES_KILL_BEFORE"

# Looks at the system after a failure and answers (reason, hint), each possibly empty.
Explain = t.Callable[[OSError], tuple[str, str]]


def run(name: str, action: t.Callable[[], t.Any], *, explain: Explain | None = None) -> t.Any:
    """Run one step and return its result. Raises StepFailed with the cause found."""
    doomed = os.environ.get(KILL_VARIABLE)
    if doomed and doomed in name:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        return action()
    except OSError as error:
        reason, hint = explain(error) if explain is not None else ("", "")
        raise StepFailed(name, error, reason, hint) from error
