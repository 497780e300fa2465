# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options that say what a named namespace is: what ns_definition would have to be given for it.

Of what has its default nothing is said.
Pure. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import resource
import typing as t

from ..definition.host_files import HostFile
from ..definition.model import Definition
from ..definition.root import OwnRoot, home_of
from ..definition.service import ServiceSpec
from ..definition.steps import MountStep, RootStep, Step
from ..host_paths import DEFAULT_PATH
from ..mount.options import quoted
from ..process.program import Program
from . import definition as options
from . import file as of_files
from . import mount
from .table import Table

Options = dict[str, t.Any]


def namespace(
    definition: Definition,
    services: t.Sequence[Options],
    contents: t.Mapping[str, str | None],
) -> Options:
    """The options of a namespace, with those of its ``services``: see service().

    ``contents`` is what is in its files, by where they are.
    """
    said = {"name": definition.name, **definition.properties.to_data()}
    said["persistent"] = definition.persistent
    said["links"] = [link.to_data() for link in definition.links]
    files = {
        reader: [
            _of_file(each, contents.get(each.dest))
            for each in definition.files
            if each.service == reader
        ]
        for reader in ("", *(each["name"] for each in services))
    }
    said.update(_of_steps(definition), files=files[""])
    said["services"] = [
        _without_defaults({**each, "files": files[each["name"]]}, options.SERVICE)
        for each in services
    ]
    return _without_defaults(said, options.NAMESPACE)


def service(spec: ServiceSpec, *, supervisor: str, enabled: bool | None, state: str) -> Options:
    """The options of a service, with its secrets: it is made of them again."""
    data = spec.to_data()
    program = data.pop("program")
    del data["namespace"]
    said = {**program, **data, "supervisor": supervisor, "enabled": enabled}
    said["state"] = "stopped" if state == "stopped" else "started"
    said["environment"] = {
        key: value
        for key, value in program["environment"].items()
        if (key, value) != ("PATH", DEFAULT_PATH)
    }
    said["limits"] = {name: _limit(*pair) for name, pair in program["limits"].items()}
    for name in ("umask", "host_users"):
        said.pop(name, None)
    if said["chdir"] == _PLAIN.chdir:
        del said["chdir"]
    return _without_defaults(said, options.SERVICE)


def _of_file(file: HostFile, content: str | None) -> Options:
    said: Options = {"dest": file.dest, "owner": file.owner, "group": file.group}
    if not file.is_directory:
        said.update(content=content, validate=list(file.validate))
    state = "directory" if file.is_directory else "file"
    mode = f"{file.mode:04o}"
    said.update(state=state, mode=None if mode == of_files.MODES[state] else mode)
    found = _without_defaults(said, of_files.OPTIONS)
    if not file.is_directory:
        found["content"] = content or ""  # also of one in which nothing is
    return found


_PLAIN = Program(())


def _limit(soft: int, hard: int) -> str:
    words = ["unlimited" if each == resource.RLIM_INFINITY else str(each) for each in (soft, hard)]
    return ":".join(words[:1] if soft == hard else words)


def _of_steps(definition: Definition) -> Options:
    root, every = definition.own_root, definition.all_steps
    if root is not None:
        mounts = _beside_root(root, every)
        if mounts is not None:
            return {"rootfs": _of_root(root, definition.name), "mounts": mounts}
    if all(isinstance(step, MountStep) for step in every) and (
        not definition.volatile or not definition.persistent
    ):
        return {"mounts": [_of_mount(step) for step in every if isinstance(step, MountStep)]}
    lasts = definition.lasting()
    return {
        "steps": [_of_step(step, lasts=lasts(step) or not definition.persistent) for step in every]
    }


def _of_root(root: OwnRoot, name: str) -> Options:
    said = {**root.source, "root": root.manner, "usual_mounts": root.usual}
    said.update(volumes=root.volumes, upper=root.upper, verify=[*root.verify])
    said["keep_generations"] = root.keep_generations
    if root.home != home_of(name):
        said["home"] = root.home
    return _without_defaults(said, options.ROOTFS)


def _beside_root(root: OwnRoot, every: t.Sequence[Step]) -> list[Options] | None:
    """The mounts that are there beside those of the root; None where the steps are others."""
    usual, (pivot, *_rest) = root.steps(())
    keys = [step.key() for step in every]
    if pivot.key() not in keys:
        return None
    end = keys.index(pivot.key())
    begin = 1 + isinstance(every[1], RootStep) if len(every) > 1 else 1
    found = []
    for step in [*every[begin:end], *every[end + 1 :]]:
        if not isinstance(step, MountStep):
            return None
        is_volume = root.volumes and step == root.volume(step.path)
        if step not in usual and not is_volume:
            found.append(_of_mount(root.inside(step)))
    return found


def _of_mount(step: MountStep) -> Options:
    return _without_defaults(_of_step(step), {**mount.OPTIONS, "do": {"default": MountStep.do}})


def _of_step(step: Step, *, lasts: bool = True) -> Options:
    data = step.to_data()
    if isinstance(step, MountStep):
        data["opts"] = [quoted(word) for word in step.words]
    return _without_defaults({**data, "persistent": lasts}, options.STEP)


def _without_defaults(said: Options, table: Table) -> Options:
    """What is said in the order of the table, without what has its default."""
    found = {}
    for name, option in table.items():
        value = said.get(name)
        if (
            value is None
            or value == option.get("default")
            or (not value and "default" not in option)
        ):
            continue
        below = option.get("options")
        if below is not None and isinstance(value, dict):
            value = _without_defaults(value, below)
            if not value:
                continue
        found[name] = value
    return found
