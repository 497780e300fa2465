# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Opening what an operation acts on: the lock of a name, its definition, the target's namespaces.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .. import kinds, once
from ..definition.layout import Layout
from ..errors import Refused
from ..mount import table, where
from ..mount.view import TargetView, open_host_proc
from ..mount.where import Where
from ..namespace import enter, gate
from ..namespace.target import Handles, Target

if t.TYPE_CHECKING:
    from ..definition.file import Saving
    from ..definition.model import Definition


class Session(t.NamedTuple):
    """A target that was opened."""

    target: Target
    # None where the target has no name, or nothing is kept of it.
    definition: Definition | None
    # What was done to its tree, as the definition says.
    layout: Layout
    # The namespaces to be joined; none where it is the host, or still to come.
    handles: Handles
    host_proc: int
    # An earlier task of the play would have made it; so only in check mode.
    is_to_come: bool
    # Whether what is done to it is to be there again after a reboot.
    persistent: bool

    def view(self, mounts: list[table.Mount] | None = None) -> TargetView:
        """The view of the target, for the process that has joined it; ``mounts`` are those that are known."""
        return TargetView(self.host_proc, self.layout, self.where, mounts)

    @property
    def where(self) -> Where:
        """How to speak of it."""
        if self.target.is_host:
            return where.HOST
        return where.PROCESS if self.target.namespace is None else where.NAMED

    def call(self, function: t.Callable[[TargetView], t.Any]) -> t.Any:
        """What the function answers in the target. Raises what it raises, KernelError."""
        mounts = None
        if "mnt" in self.handles.kinds:
            mounts = once.noted(("mounts", self.handles.id_of("mnt")))
        return enter.run_inside(lambda: function(self.view(mounts)), joins=self.handles)

    def save(self, definition: Definition) -> None:
        """Write what the definition is now. Raises OSError, SystemctlFailed."""
        self.finish(self.saving(definition))

    def saving(self, definition: Definition) -> Saving:
        """The same in two phases: see Saving. Raises OSError."""
        from ..definition import file  # opened() has loaded it

        return file.Saving(definition)

    def finish(self, saving: Saving) -> None:
        """What saving() has begun. Raises OSError, SystemctlFailed."""
        from ..install import instance  # only who changes something needs it

        instance.finish(saving)


@contextlib.contextmanager
def opened(
    target: Target,
    *,
    check: bool,
    lock_timeout: float,
    persistent: bool | None = None,
    needed: t.Collection[str] = kinds.FOR_MOUNTS,
) -> t.Iterator[Session]:
    """Open the target, with the lock of its name held unless in ``check`` mode.

    ``persistent`` is the option of the modules: None for what the definition is. ``needed`` are
    the kinds to be joined, where the target has them. ``lock_timeout`` is in seconds. A named
    namespace may be closed: this is for who builds it, and it is opened when it is whole (gate.py).
    Raises Refused where the target is missing, or the lock is held for longer than that.
    """
    with contextlib.ExitStack() as stack:
        definition = None
        whole_now: list[str] = []
        if target.namespace is not None:
            # 7 ms to compile, for a target that has neither.
            from ..definition import file as definitions
            from ..namespace import lock

            if not check:
                if not target.exists():
                    target.open()  # says that it does not exist, before a lock is made for it
                stack.callback(_start_what_is_enabled, whole_now)  # without the lock
                stack.enter_context(lock.held(target.namespace, timeout=lock_timeout))
            definition = definitions.load(target.namespace)
        is_to_come = check and not target.exists()
        host_proc = open_host_proc()
        stack.callback(os.close, host_proc)
        handles = Handles({})
        if not is_to_come:
            handles = target.open(needs="mnt", closed_too=True).only(needed)
        stack.callback(handles.close)
        lasts = definition is not None and definition.persistent and persistent is not False
        yield Session(
            target=target,
            definition=definition,
            layout=definition.layout if definition is not None else Layout(),
            handles=handles,
            host_proc=host_proc,
            is_to_come=is_to_come,
            persistent=lasts,
        )
        if definition is not None and not check and gate.is_closed(definition.name):
            # The last of its steps may have been this one.
            from . import whole  # opened() has loaded what it loads

            if whole.open_if_whole(definition.name):
                whole_now.append(definition.name)


def _start_what_is_enabled(names: list[str]) -> None:
    """Have systemd know that these are whole; who holds the lock yet does so later."""
    from ..namespace import lock  # opened() has loaded it

    if names and not lock.is_held(names[0]):
        # For who completes one.
        from ..install import instance

        instance.start(names)


def check_can_persist(target: Target, persistent: bool | None, *, what: str, hint: str) -> None:
    """Raises Refused where ``what`` is to outlive a reboot in a target without a definition."""
    if persistent and target.namespace is None:
        raise Refused(f"{what} in {target} cannot be persistent: it has no definition", hint)
