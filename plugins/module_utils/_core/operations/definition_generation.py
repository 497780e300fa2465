# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The next generation of a named namespace, with another root: built beside the one that serves.

It is unpacked, mounted, pivoted and checked while that goes on; definition_switch.py puts it in its place.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
import typing as t

from .. import actions, host_paths
from ..actions import Action, undo
from ..definition import file as definitions
from ..definition import generations
from ..definition import root as roots
from ..definition.generations import Generation, Generations
from ..definition.model import Definition
from ..definition.properties import Properties
from ..definition.root import OwnRoot
from ..definition.steps import MountStep, Step
from ..errors import Refused, StepFailed
from ..namespace import exchange, pins
from ..namespace.target import Target
from ..rootfs.progress import silent
from ..rootfs.request import RootRequest
from ..storage import removal
from . import (
    definition_files,
    definition_root,
    definition_services,
    definition_steps,
    namespace,
    namespace_create,
    namespace_share,
    rootfs,
)
from .definition_made_of import made_of
from .definition_request import DefinitionRequest, Outcome
from .definition_work import Work
from .namespace_state import NamespaceResult

_PARTS = ("rootfs", "upper", "work")
_UPPER = "upperdir"


def placed(request: DefinitionRequest, number: int = 0) -> DefinitionRequest:
    """The request for the generation of that number; for the one that there is where that is 0."""
    root = request.root
    if root is None:
        return request
    if not number:
        there = definitions.load(request.name)
        own = there.own_root if there is not None else None
        number = own.generation if own is not None and own.home == root.home else 1
    root = root.replace(generation=number)
    unpacked = request.unpacked
    if unpacked is not None:
        unpacked = dataclasses.replace(unpacked, path=root.unpacked)
    return request._replace(root=root, unpacked=unpacked)


def next_number(name: str, root: OwnRoot) -> int:
    """That of the generation that comes after all that there are, of which something is left as well."""
    found = generations.load(name)
    numbers = [root.generation, *(each.number for each in found.before), *_on_host(root.home)]
    return max(numbers) + 1


def is_live(name: str) -> bool:
    """Whether there is one that may serve."""
    return "mnt" in pins.pinned(name)


def why_not_beside(request: DefinitionRequest) -> str:
    """Why no other can be built beside the one that lives; empty where it can."""
    there, root = definitions.load(request.name), request.root
    own = there.own_root if there is not None else None
    if there is None or own is None or root is None or there.missing:
        return "what serves is not whole"
    if own.home != root.home:
        return f"it lies in another home, {own.home}"
    if set(there.properties.kinds) != set(request.namespace.properties.kinds):
        return "its kinds of namespace are others"
    if namespace_share.sharers(request.name, kinds=("pid",)):
        return "others share its pid"
    for each in request.mounts:
        if any(word.partition("=")[0] == _UPPER for word in each.words):
            # Two overlays with one upper directory: what happens then is undefined (overlayfs.rst).
            return f"what is written to the overlay on {each.path} goes to one place only"
    return ""


def build(work: Work) -> None:
    """Build it; the request is that for the next number. In check mode only say how.

    Where that fails all is as it was. Raises Refused, StepFailed.
    """
    name, root = work.name, t.cast(OwnRoot, work.request.root)
    there = t.cast(Definition, definitions.load(name))
    _have_namespace(work)
    if work.check:
        _build(work, root, there)
        return
    found = generations.load(name)
    before = of_what_serves(there)
    with_it = found.with_before(before)._replace(failed="")
    actions.run("note what serves", lambda: _keep(name, with_it))
    try:
        _build(work, root, there)
    except BaseException as error:
        undo(
            error,
            [
                functools.partial(restore_files, before),
                functools.partial(restore_namespace, before),
                functools.partial(exchange.discard, name),
                functools.partial(remove_place, root, root.generation),
                functools.partial(_keep, name, found._replace(failed=_why(error, root))),
            ],
        )
        raise


def _keep(name: str, found: Generations) -> None:
    generations.save(name, found)


def _why(error: BaseException, root: OwnRoot) -> str:
    reason = error.reason if isinstance(error, (Refused, StepFailed)) else str(error)
    return f"generation {root.generation} could not be built: {reason}"


def _have_namespace(work: Work) -> None:
    """What is changed of the one that serves: both have it in common."""
    result = namespace.brought(work.request.namespace, check=work.check)
    work.note_of_namespace(result)


def _build(work: Work, root: OwnRoot, there: Definition) -> None:
    name = work.name
    was_made_of = made_of(there)
    label = definition_root.have_on_host(work)
    for lines in (work.outcome.before, work.outcome.after):
        lines.pop(f"{root.unpacked} of {name}", None)  # that of the generation says so
    _share_equal(work, root, t.cast(OwnRoot, there.own_root))
    steps = definition_root.steps(work, label)
    work.do(definition_files.making_parents(work.request))
    definition_steps.write_files(work, definition_files.making(work.request))
    inner = _inner(work)
    step = f"build generation {root.generation} of {name}"
    if work.check:
        with host_paths.as_if_removed(name):
            definition_steps.take(inner, steps)
    else:
        actions.run(step, lambda: begin(name, work.request.namespace.properties))
        with host_paths.as_next(name):
            steps = _have_steps(work, inner, steps, label)
    definition_steps.write_files(work, definition_files.making_checked(work.request), beside=True)
    work.note([step], *_differing(work, there, steps, was_made_of), warnings=inner.outcome.warnings)
    if work.check:
        return
    with host_paths.as_next(name):
        verify(root.verify, name)
        coming = Generation(_final(work, there, steps), made_of=_made_of_next(work))
    found = generations.load(name)
    actions.run("note the next generation", lambda: _keep(name, found._replace(next=coming)))
    work.outcome.generation = root.generation


def begin(name: str, properties: Properties) -> None:
    """Have the namespaces of the next one, in which nothing is done yet. Raises Refused, StepFailed, OSError."""
    exchange.begin(name)
    with host_paths.as_next(name):
        pinned = pins.pinned(name)
        missing = [kind for kind in exchange.RENEWED if kind in properties.kinds]
        settable = [each for each in namespace.settings_of(properties) if each.kind in missing]
        definitions.save(Definition(name, properties, persistent=False))
        namespace_create.creation(name, properties, missing, pinned, settable).apply()


def _inner(work: Work) -> Work:
    """The same for what is done in the next one, of which nothing outlives a reboot yet."""
    own = work.request.namespace._replace(persistent=False)
    inner = Work(work.request._replace(namespace=own), work.how, Outcome(work.name))
    inner.outcome.config = work.outcome.config
    return inner


def _have_steps(work: Work, inner: Work, steps: list[Step], label: str) -> list[Step]:
    root = t.cast(OwnRoot, work.request.root)
    definition_steps.take(inner, steps)
    if root.manner == roots.TMPFS:
        work.outcome.config = inner.outcome.config
        if root.volumes:
            # Only what is unpacked inside says which there are.
            steps = definition_root.steps(work, label)
            definition_steps.take(inner, steps)
    return steps


def verify(argv: t.Sequence[str], name: str) -> None:
    """Have a program inside say whether the root is as it should be. Raises StepFailed."""
    if argv:
        actions.run(
            f"verify by {argv[0]}",
            lambda: definition_files.check_inside(
                name, argv, "The root that serves is as it was. Correct the new one, or verify."
            ),
        )


def _final(work: Work, there: Definition, steps: t.Sequence[Step]) -> Definition:
    """What the definition is once it serves. Called where the name is that of the next one."""
    built = t.cast(Definition, definitions.load(work.name))
    every = built.all_steps
    ordered = tuple(every[index] for index in definition_steps.kept(built, steps))
    lasts = work.request.namespace.persistent
    return there.replace(
        properties=work.request.namespace.properties,
        persistent=lasts,
        steps=ordered if lasts else (),
        volatile=() if lasts else ordered,
        pivoted=built.pivoted,
        missing=(),
        own_root=work.request.root,
        files=definition_files.recorded(work.request, there),
    )


def _differing(
    work: Work, there: Definition, steps: t.Sequence[Step], was_made_of: str
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """For the diff: which root, and the mounts beside it that are others."""
    root = t.cast(OwnRoot, work.request.root)
    title = f"generation of {work.name}"
    before: dict[str, t.Any] = {title: f"{generations.number_of(there)}, {was_made_of}"}
    after: dict[str, t.Any] = {title: f"{root.generation}, {_made_of_next(work)}"}
    for found, every in ((before, there.all_steps), (after, steps)):
        for step in every:
            if isinstance(step, MountStep) and step.path != root.new_root:
                found[f"{root.inside(step).path} in {work.name}"] = step.line
    same = [key for key, line in before.items() if after.get(key) == line]
    return (
        {key: line for key, line in before.items() if key not in same},
        {key: line for key, line in after.items() if key not in same},
    )


def _made_of_next(work: Work) -> str:
    return work.outcome.made_of or str(work.request.unpacked and work.request.unpacked.source)


def of_what_serves(definition: Definition) -> Generation:
    """What is kept of the generation that serves, of which this is the definition."""
    root = t.cast(OwnRoot, definition.own_root)
    contents = {
        each.dest: content
        for each in definition.files
        if (content := definition_files.content_of(root.home, each)) is not None
    }
    return Generation(
        definition,
        definition_services.kept(definition.name),
        contents,
        made_of(definition),
        time.time(),
    )


def restore_files(before: Generation) -> None:
    """Have in the files what was in them then. Raises Refused, OSError."""
    for action in definition_files.restoring(before.root.home, before.definition, before.contents):
        actions.run(action.name, action.apply)


def restore_namespace(before: Generation, *, check: bool = False) -> NamespaceResult:
    """Have the settings that its namespaces had then: those that all generations have in common.

    Raises Refused, StepFailed.
    """
    was = before.definition
    request = namespace.NamespaceRequest(was.name, was.properties, was.persistent)
    return namespace.brought(request, check=check)


def trimming(name: str, root: OwnRoot, found: Generations) -> list[Action]:
    """What is left to do until nothing is kept but of the root that serves, and of as many as it says.

    ``found`` are those that are kept, or would be.
    """
    others = found.but(root.generation)
    left = others[max(0, len(others) - root.keep_generations) :]
    stay = {root.generation, *(each.number for each in left)}
    planned = []
    for number in _on_host(root.home):
        if number not in stay:
            step = f"remove generation {number} of {name}"
            planned.append(Action(step, functools.partial(remove_place, root, number)))
    if left != others:
        keep = functools.partial(_keep, name, found._replace(before=left))
        planned.append(Action("note which generations are kept", keep))
    return planned


def trimming_of(work: Work, there: Definition | None) -> list[Action]:
    """The same where it was not built beside; in check mode ``there`` is what would be kept."""
    found, root = generations.load(work.name), t.cast(OwnRoot, work.request.root)
    if work.check and work.outcome.is_anew:
        found = Generations()
    elif work.check and there is not None and generations.number_of(there) != root.generation:
        found = found.with_before(Generation(there))
    return trimming(work.name, root, found)


def keep(before: Generation) -> None:
    """Note what served, or was there, before another generation takes its place. Raises StepFailed."""
    name = before.definition.name
    found = generations.load(name).with_before(before)
    actions.run("note what serves", lambda: _keep(name, found))


def keep_before(name: str) -> None:
    """The same where none serves, and there may be none."""
    there = definitions.load(name)
    if there is not None and there.own_root is not None:
        keep(of_what_serves(there))


def _on_host(home: str) -> list[int]:
    """The numbers of those of which there is anything on the host, the oldest first."""
    numbers = [1] if any(os.path.lexists(f"{home}/{part}") for part in _PARTS) else []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        listed = os.listdir(f"{home}/{roots.GENERATIONS}")
        numbers += sorted(int(each) for each in listed if each.isascii() and each.isdecimal())
    return numbers


def remove_place(root: OwnRoot, number: int) -> None:
    """Remove what is on the host of one generation. Raises Refused where it is in use; StepFailed, OSError."""
    place = roots.place_of(root.home, number)
    gone = RootRequest(target=Target(), path=f"{place}/rootfs", reachable=True)
    rootfs.run(rootfs.checked(gone), check=False, progress=silent)
    for part in _PARTS[1:]:
        removal.remove_path(f"{place}/{part}")
    if number > 1:
        removal.remove_path(place)
        with contextlib.suppress(OSError):  # others are there
            os.rmdir(os.path.dirname(place))


def _share_equal(work: Work, root: OwnRoot, there: OwnRoot) -> None:
    """Have files that both roots hold in common take their room once, where the file system can."""
    if (
        work.check
        or roots.TMPFS in (root.manner, there.manner)
        or not os.path.isdir(there.unpacked)
    ):
        return
    # For who has two.
    from ..rootfs import share_equal

    # What is written to an overlay goes elsewhere; to another root it would go to both.
    may_link = root.manner == there.manner == roots.OVERLAY
    with contextlib.suppress(OSError):  # it takes more room then
        share_equal.share_equal(root.unpacked, there.unpacked, may_link=may_link)
