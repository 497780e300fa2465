# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Removing a named namespace as a whole, and taking it down: its services come before it.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from .. import host_paths
from ..actions import run_all
from ..definition import file as definitions
from ..definition import service_names
from ..definition.root import home_of
from . import (
    definition_home,
    definition_services,
    namespace_removal,
    namespace_share,
    namespace_state,
    restore,
)
from .definition_request import How, Outcome


def absent(name: str, how: How, *, home: str = "", lock_timeout: float) -> Outcome:
    """Remove all of it; in check mode only say how. ``home`` is the one that it may have had.

    Processes that live inside beside its services are in the way, unless they may be ended (force).
    Raises Refused, StepFailed, OSError.
    """
    outcome = Outcome(name)
    definition, _damage = namespace_state.loaded_or_not(name)
    if namespace_state.is_there(name):
        # Before its services end.
        namespace_share.check_nobody_shares(name, going=how.going if how.check else ())
    own = definition.own_root if definition is not None else None
    home = own.home if own is not None else home or home_of(name)
    if own is None:
        definition_home.check(home)
    for each in service_names.known(name):
        definition_services.remove(name, each, outcome, check=how.check, timeout=lock_timeout)
    homes = definition_home.removing(home)
    if homes and definition is not None and definition.persistent:
        # What is in use cannot go; and who is killed on the way is to find what was its root.
        outcome.note(_down(name, how, lock_timeout))
        outcome.note(run_all(homes, check=how.check))
        homes = []
    result = namespace_removal.absent(
        name,
        check=how.check,
        force=how.force,
        lock_timeout=lock_timeout,
        going=how.going,
        services_end=True,
    )
    done = [each for each in result.actions if each not in outcome.actions]
    before = {f"{key} of {name}": value for key, value in result.before.items()}
    outcome.note(done, before if done else {}, {}, warnings=result.warnings)
    outcome.note(run_all(homes, check=how.check))
    return outcome


def down(name: str, how: How, *, lock_timeout: float) -> Outcome:
    """Take it down with its services, which stay known; in check mode only say how.

    Raises Refused, StepFailed, OSError.
    """
    outcome = Outcome(name)
    if not definitions.has_record(name) and not host_paths.is_kept(name):
        raise restore.unknown(name)
    namespace_share.check_nobody_shares(
        name, going=how.going if how.check else (), only_living=True
    )
    for each in service_names.known(name):
        definition_services.stop(name, each, outcome, check=how.check, timeout=lock_timeout)
    done = _down(name, how, lock_timeout)
    state = {f"state of {name}": "up"}
    outcome.note(done, state if done else {}, dict.fromkeys(state, "down") if done else {})
    return outcome


def _down(name: str, how: How, timeout: float) -> list[str]:
    return namespace_removal.down(
        name,
        check=how.check,
        force=how.force,
        timeout=timeout,
        going=how.going,
        services_end=True,
    )
