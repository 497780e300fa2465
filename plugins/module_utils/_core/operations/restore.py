# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing a named namespace up from its definition, by the code that the modules run.

What cannot be brought up is closed, with the reason (namespace/gate.py), until it is whole.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from .. import host_paths
from ..definition import boot
from ..definition import file as definitions
from ..definition.model import Definition
from ..definition.steps import MountStep, PivotStep, RootStep, Step
from ..errors import Refused, StepFailed, in_words
from ..install import instance
from ..mount import table
from ..mount.wanted import WantedMount
from ..namespace import gate, lock, pins
from ..namespace.target import Target
from ..rootfs.progress import Progress, silent
from . import inside, namespace, namespace_share

if t.TYPE_CHECKING:
    from ..rootfs.request import RootRequest
    from .mount_result import MountResult
    from .pivot_root import PivotRequest

# Of what is said of a part of a definition, in characters: it is data.
_LONGEST = 500


def loaded(name: str) -> Definition:
    """The definition of ``name``. Raises Refused where there is none or it is damaged."""
    definition = definitions.load(host_paths.checked_name(name))
    if definition is None:
        raise unknown(name)
    return checked(definition)


def checked(definition: Definition) -> Definition:
    """The definition, when each of its parts makes sense by itself.

    Raises Refused, which names the file and the part: somebody has edited it, and no step is taken
    of what it says beside that.
    """
    name = definition.name
    record, state = definitions.path_of(name), definitions.state_path(name)
    file, part = record if definition.persistent else state, ""
    how = _How(Target(namespace=name), None, check=True, timeout=0)
    lasts = definition.lasting()
    try:
        _request_of(definition, 0).checked()
        if definition.properties.id_map is not None:
            # 3 ms to compile, for what most do not have.
            from ..namespace import id_map

            id_map.parse(definition.properties.id_map, id_map.Caller.of_this_process())
        for step in definition.all_steps:
            file, part = record if lasts(step) else state, f"{step.title[:_LONGEST]}: "
            _AS_REQUEST[type(step)](step, how)
    except Refused as error:
        raise Refused(
            f"{file} is damaged: {part}{error.reason[:_LONGEST]}",
            "Mend it, or remove it and run the play again.",
        ) from error
    return definition


def unknown(name: str) -> Refused:
    """That there is no namespace of this name."""
    return Refused(
        f"there is no namespace {name!r} on this host",
        "`nsctl list` names those that there are.",
    )


def up(name: str, *, timeout: float, warn: Progress = silent) -> list[str]:
    """Make the namespace what its definition says; return the names of the steps taken.

    Before it come those of which it shares kinds. ``timeout`` is how long to wait for another run that
    changes it, in seconds. ``warn`` is told what is left out. Raises Refused, StepFailed, OSError; the
    reason is kept.
    """
    loaded(name)  # of one that is damaged, or of a later version, nothing is written
    actions = []
    try:
        actions += _bring_up_host(loaded(name), timeout=timeout)
        for other in _owners(name):
            if _up_for(name, other, timeout=timeout, warn=warn):
                actions.append(_bring(other))
        return actions + _up(name, timeout=timeout, warn=warn)
    except (Refused, StepFailed, OSError) as error:
        keep_reason(name, in_words(error))
        raise


def planned(name: str, *, others: t.Container[str] = (), warn: Progress = silent) -> list[str]:
    """What up() would do, after it was done for the ``others``. Raises Refused, StepFailed, OSError."""
    owners = [
        _bring(other)
        for other in _owners(name)
        if other not in others and plan(loaded(other), check=True, timeout=0, warn=warn)
    ]
    return owners + plan(loaded(name), check=True, timeout=0, warn=warn)


def _owners(name: str) -> list[str]:
    """Those of which it shares kinds and that can be brought up, in their order."""
    definition = loaded(name)
    found = namespace_share.owners(name, definition.properties)
    found += sorted(definition.needed - {*found})
    return [other for other in found if definitions.has_record(other)]


def _bring_up_host(definition: Definition, *, timeout: float) -> list[str]:
    """The interfaces of the host that we have made, which its own may be made of, or ports of."""
    if not any(link.is_of_host for link in definition.links):
        return []
    # For what most do not have.
    from . import link

    return link.bring_up_host(check=False, timeout=timeout)


def _bring(other: str) -> str:
    return f"bring up namespace {other}"


def _up_for(name: str, other: str, *, timeout: float, warn: Progress) -> list[str]:
    try:
        return _up(other, timeout=timeout, warn=warn)
    except (Refused, StepFailed, OSError) as error:
        keep_reason(other, in_words(error))
        raise Refused(
            f"namespace {other}, of which {name} shares, could not be brought up:"
            f" {in_words(error).rstrip('.')}",
            f"`nsctl up {name}` goes on from there.",
        ) from error


def _up(name: str, *, timeout: float, warn: Progress) -> list[str]:
    # One lock for all of it: what a play changes meanwhile must not be undone.
    with lock.held(name, timeout=timeout):
        definition = loaded(name)
        _check_host(definition)
        actions = plan(definition, check=False, timeout=timeout, warn=warn)
        gate.forget_reason(name)
    return actions


def _check_host(definition: Definition) -> None:
    """Raises Refused where it is to be made of what is not there yet, but below where that comes to."""
    if pins.pinned(definition.name) and not gate.is_closed(definition.name):
        return
    absent = boot.absent_mounts(definition, {mount.path for mount in table.read()})
    if absent:
        path, unit = absent[0]
        raise Refused(
            f"{path} is not mounted on this host, and what is below it is needed",
            f"`systemctl status '{unit}'` says why; `nsctl up {definition.name}` goes on from there.",
        )


# Told of mounts of the definition what was found in their places.
Compared = t.Callable[[t.Sequence[MountStep], "MountResult"], None]


def _not_told(_steps: t.Sequence[MountStep], _result: MountResult) -> None:
    """Where nobody wants to know."""


def plan(
    definition: Definition,
    *,
    check: bool,
    timeout: float,
    warn: Progress = silent,
    tell: Compared = _not_told,
) -> list[str]:
    """The steps from what is there to what the definition says; taken, unless ``check``.

    ``warn`` is as in up(); ``tell`` is told of mounts as they were before. Raises Refused, StepFailed, OSError.
    """
    request = _request_of(definition, timeout)
    actions = namespace.brought(request, check=check).actions
    try:
        _take_steps(definition, actions, check=check, timeout=timeout, warn=warn, tell=tell)
        return actions
    except BaseException:
        if not check:
            _close(definition.name)
        raise


def _request_of(definition: Definition, timeout: float) -> namespace.NamespaceRequest:
    return namespace.NamespaceRequest(
        name=definition.name,
        properties=definition.properties,
        persistent=definition.persistent,
        links=definition.links,
        lock_timeout=timeout,
    )


def complete(name: str, *, check: bool, timeout: float, warn: Progress) -> tuple[list[str], str]:
    """Take the steps of a namespace that was just created, or say them; with it why not all of them.

    So a play that makes it anew finds it as it left it, and mends what cannot be made any more.
    """
    actions: list[str] = []
    try:
        with contextlib.nullcontext() if check else lock.held(name, timeout=timeout):
            _take_steps(loaded(name), actions, check=check, timeout=timeout, warn=warn)
    except (Refused, StepFailed, OSError) as error:
        if not check:
            keep_reason(name, in_words(error))
        return actions, in_words(error)
    return actions, ""


def _take_steps(
    definition: Definition,
    actions: list[str],
    *,
    check: bool,
    timeout: float,
    warn: Progress,
    tell: Compared = _not_told,
) -> None:
    """Take the steps that are left, or say them; each that was taken is added to ``actions``."""
    # In a namespace that has just been created the steps that were not recorded are gone.
    current = definition if check else loaded(definition.name)
    view = inside.look(current)
    for lasts, batch in _batches(current, view.pivoted if view is not None else ()):
        target = Target(namespace=current.name)
        how = _How(target, None if lasts else False, check, timeout, warn, tell)
        actions += _TAKE[type(batch[0])](batch, how)


def _close(name: str) -> None:
    """Close one that lives and cannot be made what its definition says. The lock is held."""
    if gate.is_closed(name):
        return
    with contextlib.suppress(Refused, StepFailed, OSError):
        definition = loaded(name)
        view = inside.look(definition)
        within = definition.within_reach(view.pivoted if view is not None else ())
        lasts = definition.lasting()
        lasting = [step for step in within if lasts(step)]
        missing = [step.title for step in not_taken(definition, lasting)]
        instance.keep(definition.replace(missing=tuple(missing)))
    gate.close(name)


def not_taken(definition: Definition, steps: t.Iterable[Step]) -> list[Step]:
    """Those of these steps of the definition that its namespace lacks, as their modules tell."""
    lasts = definition.lasting()
    return [
        step
        for step in steps
        if not step.only_if_asked and not _is_taken(step, definition.name, lasts=lasts(step))
    ]


def _is_taken(step: Step, name: str, *, lasts: bool) -> bool:
    how = _How(Target(namespace=name), None if lasts else False, check=True, timeout=0)
    try:
        return not _TAKE[type(step)]([step], how)
    except (Refused, StepFailed, OSError):
        return False


def _batches(
    definition: Definition, pivoted: t.Collection[str]
) -> t.Iterator[tuple[bool, list[Step]]]:
    """The steps that are to be carried out, in order, and whether they outlive a reboot.

    Neighbouring mounts go together. Who wants one with noauto asks for it: `mount -a` leaves it out.
    """
    lasts = definition.lasting()

    def together(step: Step) -> tuple[bool, int]:
        return lasts(step), 0 if isinstance(step, MountStep) else id(step)

    within = [step for step in definition.within_reach(pivoted) if not step.only_if_asked]
    for (is_lasting, _each), group in itertools.groupby(within, together):
        yield is_lasting, list(group)


class _How(t.NamedTuple):
    """How steps are taken: in the same way as by their modules."""

    target: Target
    # None: they outlive a reboot as the definition does; False: they do not.
    persistent: bool | None
    check: bool
    # How long to wait for the lock, in seconds.
    timeout: float
    # Told what is left out.
    warn: Progress = silent
    # Told of mounts what was found in their places.
    tell: Compared = _not_told


def _wanted(step: MountStep, _how: _How) -> WantedMount:
    return WantedMount.of(step).checked()


def _root_request(step: RootStep, how: _How) -> RootRequest:
    # 15 ms to compile, with what it loads, for what most do not have.
    from ..rootfs import record
    from . import rootfs

    request = record.request_of(
        step, how.target, persistent=how.persistent, lock_timeout=how.timeout
    )
    return rootfs.checked(request)


def _pivot_request(step: PivotStep, how: _How) -> PivotRequest:
    from . import pivot_root  # likewise

    return pivot_root.PivotRequest(
        target=how.target,
        new_root=step.new_root,
        put_old=step.put_old,
        persistent=how.persistent,
        lock_timeout=how.timeout,
    ).checked()


# What a module is asked for with a step, when that makes sense. They raise Refused.
_AS_REQUEST: dict[type, t.Callable[[t.Any, _How], t.Any]] = {
    MountStep: _wanted,
    RootStep: _root_request,
    PivotStep: _pivot_request,
}


def _mount(steps: list[MountStep], how: _How) -> list[str]:
    from . import mount  # 15 ms to compile, with what it loads, for who does not compare

    request = mount.MountRequest(
        target=how.target,
        wanted=tuple(_wanted(step, how) for step in steps),
        persistent=how.persistent,
        lock_timeout=how.timeout,
    )
    result = mount.run(request, check=how.check)
    how.tell(steps, result)
    for reason in result.left_out:
        how.warn(reason)
    return result.actions


def _unpack(steps: list[RootStep], how: _How) -> list[str]:
    from . import rootfs  # see _root_request()

    (step,) = steps
    return rootfs.run(_root_request(step, how), check=how.check, progress=silent).actions


def _pivot(steps: list[PivotStep], how: _How) -> list[str]:
    from . import pivot_root  # see _pivot_request()

    (step,) = steps
    return pivot_root.run(_pivot_request(step, how), check=how.check).actions


# What takes neighbouring steps of a kind, and says what was done. Only mounts come in greater number.
_TAKE: dict[type, t.Callable[[list[t.Any], _How], list[str]]] = {
    MountStep: _mount,
    RootStep: _unpack,
    PivotStep: _pivot,
}


def keep_reason(name: str, text: str) -> None:
    """Keep why a namespace that has a definition could not be brought up.

    Not while another run changes it, which comes to a newer end.
    """
    with contextlib.suppress(Refused, OSError):
        if not definitions.has_record(name):
            return
        with lock.held(name, timeout=1):
            pins.prepare(name)
            gate.keep_reason(name, text)
