# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A named namespace as a whole: its options, those of its root, its mounts and its services.

The options of ns_definition, and the JSON form that nsctl reads and writes.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import typing as t

from .. import host_paths
from ..definition import root, steps
from ..definition.layout import ancestors, is_below
from ..definition.properties import Properties
from ..definition.root import OwnRoot
from ..errors import Refused
from ..mount import resolve
from ..namespace.target import Target
from ..operations import definition_files
from ..operations.definition_request import DefinitionRequest, WantedFile, WantedService
from ..operations.namespace import NamespaceRequest
from ..printable import printable
from . import file, mount, namespace, rootfs, service, table

if t.TYPE_CHECKING:
    from ..service.model import ServiceRequest

# Of what is wrong with an entry, in characters.
_LONGEST = 400
_MOST_KEPT = 100
# Of what the kernel looks up, in bytes: NAME_MAX and PATH_MAX of limits.h.
_LONGEST_NAME = 255
_LONGEST_PATH = 4096


def _without(options: t.Mapping[str, t.Any], *names: str) -> dict[str, t.Any]:
    return {name: option for name, option in options.items() if name not in names}


# What ns_rootfs has beside where it is unpacked and what becomes of that.
_SOURCE = _without(rootfs.OPTIONS, "path", "state", "force", "reachable", "persistent")
ROOTFS: dict[str, t.Any] = {
    **_SOURCE,
    "root": {"type": "str", "choices": list(root.MANNERS), "default": root.OVERLAY},
    "home": {"type": "path"},
    "usual_mounts": {"type": "bool", "default": True},
    "volumes": {"type": "path"},
    "upper": {"type": "str", "choices": list(root.UPPERS), "default": root.NEW},
    "keep_generations": {"type": "int", "default": 1},
    "verify": {"type": "list", "elements": "str", "default": []},
}
SERVICE: dict[str, t.Any] = {
    **_without(service.OPTIONS, "namespace"),
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "files": file.LIST,
}
# What is recorded of a step, for what mounts and a root do not say: see definition/steps.py.
STEP: dict[str, t.Any] = {
    "do": {"type": "str", "choices": list(steps.KINDS), "required": True},
    "persistent": {"type": "bool", "default": True},
    **_without(mount.OPTIONS, "state"),
    "archive": {"type": "path"},
    "directory": {"type": "path"},
    "digest": {"type": "str"},
    "device_nodes": rootfs.OPTIONS["device_nodes"],
    "new_root": {"type": "path"},
    "put_old": {"type": "path"},
}
NAMESPACE: dict[str, t.Any] = {
    **_without(namespace.OPTIONS, "state", "recreate", "force"),
    "rootfs": {"type": "dict", "options": ROOTFS, "mutually_exclusive": [rootfs.SOURCES]},
    "mounts": {
        "type": "list",
        "elements": "dict",
        "options": _without(mount.LIST["options"], "state"),
        "default": [],
    },
    "files": file.LIST,
    "services": {"type": "list", "elements": "dict", "options": SERVICE, "default": []},
    "steps": {"type": "list", "elements": "dict", "options": STEP, "default": []},
}
LIST: dict[str, t.Any] = {"type": "list", "elements": "dict", "options": NAMESPACE}
# What is in a file.
FILE: dict[str, t.Any] = {
    "namespaces": {**LIST, "required": True},
    "exclusive": {"type": "bool", "default": False},
}


def listed(given: t.Any) -> list[dict[str, t.Any]]:
    """The values of all options of each of the namespaces. Raises Refused, which says where in the list."""
    found: list[dict[str, t.Any]] = table.read_value(LIST, given, "namespaces")
    return found


def requests_of(
    listed: t.Sequence[t.Mapping[str, t.Any]], *, lock_timeout: float
) -> list[DefinitionRequest]:
    """What is asked for, when all of it makes sense by itself.

    ``listed`` are the values of the options of each. Raises Refused, which says where in the list it is.
    """
    found: list[DefinitionRequest] = []
    names: set[str] = set()
    homes: dict[str, str] = {}
    for number, params in enumerate(listed):
        where = f"namespaces[{number}] ({table.shown(params['name'])})"
        with _standing(where):
            request = _request_of(params, where, lock_timeout)
            _check_name(request.name, names)
            if request.root is not None or request.files:
                with _standing(f"{where}: rootfs"):
                    _check_homes(request, homes)
        found.append(request)
    _check_published(found)
    return found


def _check_published(requests: t.Iterable[DefinitionRequest]) -> None:
    """Raises Refused where two of them have one port of the host."""
    listed = [
        (f"namespace {each.name}", text)
        for each in requests
        for link in each.namespace.links or ()
        for text in link.publish
    ]
    if listed:
        # For what most do not have.
        from ..definition import publish

        publish.check_apart(listed)


def named(
    listed: t.Sequence[t.Mapping[str, t.Any]], *, lock_timeout: float
) -> list[DefinitionRequest]:
    """The namespaces that are to go, or to come up from what is recorded: of them only the names count.

    With a home, where it is another. Raises Refused, which says where in the list it is.
    """
    found: list[DefinitionRequest] = []
    names: set[str] = set()
    for number, params in enumerate(listed):
        with _standing(f"namespaces[{number}] ({table.shown(params['name'])})"):
            name = host_paths.checked_name(params["name"])
            _check_name(name, names)
            own_root = _own_root(params["rootfs"], name) if params["rootfs"] is not None else None
            own = NamespaceRequest(name, Properties(), lock_timeout=lock_timeout)
            found.append(DefinitionRequest(own, own_root))
    return found


def _check_name(name: str, others: set[str]) -> None:
    """Raises Refused where it is one of the others; else it becomes one."""
    if name in others:
        raise Refused(f"namespace {name} is listed twice", "List each once.")
    others.add(name)


def _check_homes(request: DefinitionRequest, homes: dict[str, str]) -> None:
    """Raises Refused where the home of its root is another's, by the path of each; else it is one of them."""
    other = next(
        (homes[each] for each in (request.home, *ancestors(request.home)) if each in homes), ""
    )
    for path, name in homes.items() if not other else ():
        if is_below(path, request.home):
            other = name
    if other:
        raise Refused(
            f"its home {request.home} is that of namespace {other}, or one lies in the other",
            "Name a directory for each alone.",
        )
    homes[request.home] = request.name


class _standing:
    """A with statement: what is refused in it says where it stands."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Refused) and not error.reason.startswith("namespaces["):
            told = f"{self._where}: {_in_a_line(error.reason)}"
            raise Refused(told, _in_a_line(error.hint), **error.facts) from error


def _in_a_line(text: str) -> str:
    """What was written may be of any length, and steer a terminal: how it ends says what is wrong with it."""
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"


def _request_of(
    params: t.Mapping[str, t.Any], where: str, lock_timeout: float
) -> DefinitionRequest:
    host_paths.checked_name(params["name"])
    own = namespace.request_of(
        {**params, "recreate": False, "force": False, "links": params["links"] or []},
        lock_timeout=lock_timeout,
    ).checked()
    mounts = []
    for number, each in enumerate(params["mounts"]):
        with _standing(f"{where}: mounts[{number}]"):
            mounts.append(mount.wanted(each))
            _check_place(mounts[-1].path, [other.path for other in mounts[:-1]])
    services: list[WantedService] = []
    for number, each in enumerate(params["services"]):
        with _standing(f"{where}: services[{number}] ({table.shown(each['name'])})"):
            services.append(_service_of(each, params, lock_timeout))
            if each["name"] in [other.name for other in services[:-1]]:
                raise Refused(f"service {each['name']} is listed twice", "List each once.")
    own_root, unpacked = None, None
    if params["rootfs"] is not None:
        with _standing(f"{where}: rootfs"):
            own_root = _own_root(params["rootfs"], own.name)
            unpacked = rootfs.request_of(
                {
                    **params["rootfs"],
                    "path": own_root.unpacked,
                    "state": "present",
                    "force": False,
                    "reachable": False,
                    "persistent": None,
                },
                Target(namespace=own.name) if own_root.manner == root.TMPFS else Target(),
                lock_timeout=lock_timeout,
            )
    recorded = []
    for number, each in enumerate(params["steps"]):
        with _standing(f"{where}: steps[{number}]"):
            recorded.append((_step_of(each, own.name), each["persistent"]))
            keys = [other.key() for other, _lasts in recorded[:-1]]
            if recorded[-1][0].key() in keys:
                raise Refused(f"{recorded[-1][0].title} is listed twice", "List each step once.")
    if recorded and (mounts or own_root):
        raise Refused(f"{where} has steps, and mounts or a rootfs", "Give one or the other.")
    if (mounts or own_root or recorded) and "mnt" not in own.properties.kinds:
        raise Refused(
            f"{where}: mounts and a root of its own need the kind mnt", "Add mnt to kinds."
        )
    request = DefinitionRequest(
        own, own_root, unpacked, tuple(mounts), tuple(recorded), tuple(services)
    )
    return request._replace(files=_files_of(params, request, where))


def _files_of(
    params: t.Mapping[str, t.Any], request: DefinitionRequest, where: str
) -> tuple[WantedFile, ...]:
    """Those of the namespace, and those of its services."""
    listed = [(where, "", params["files"])]
    for number, each in enumerate(params["services"]):
        place = f"{where}: services[{number}] ({table.shown(each['name'])})"
        listed.append((place, each["name"], each["files"]))
    found: list[WantedFile] = []
    for place, reader, entries in listed:
        for number, each in enumerate(entries):
            with _standing(f"{place}: files[{number}]"):
                wanted = file.wanted(each, request.home, reader)
                for other in found:
                    _check_files(wanted, other)
                if wanted.file.validate:
                    definition_files.seen_inside(request, wanted.file.dest)
                found.append(wanted)
    return tuple(found)


def _check_files(one: WantedFile, other: WantedFile) -> None:
    if one.file.dest == other.file.dest:
        raise Refused(f"{one.file.dest} is listed twice", "List each file once.")
    for inner, outer in ((one.file, other.file), (other.file, one.file)):
        if not outer.is_directory and is_below(inner.dest, outer.dest):
            raise Refused(
                f"{inner.dest} is to be below {outer.dest}, which is a file",
                "Have state: directory there.",
            )


def _service_of(
    params: t.Mapping[str, t.Any], above: t.Mapping[str, t.Any], lock_timeout: float
) -> WantedService:
    # 8 ms to compile, for a namespace without services.
    from . import service_request

    said = {**params, "namespace": above["name"]}
    is_of_image = params["argv"] is None and params["image_config"] is None
    if is_of_image and not (above["rootfs"] or {}).get("image"):
        raise Refused(
            "it has no program", "Give argv, or a root of an image that says what it runs."
        )
    # All that makes sense by itself, before there is an image that says what it runs.
    asked = service_request.request_of(
        {**said, "argv": ["/"]} if is_of_image else said, lock_timeout=lock_timeout
    ).checked()
    if not asked.gives_program:
        raise Refused("it has no program, and its image_config names none", "Give argv.")

    def request(config: t.Mapping[str, t.Any]) -> ServiceRequest:
        own = said["image_config"] if said["image_config"] is not None else dict(config)
        return service_request.request_of({**said, "image_config": own}, lock_timeout=lock_timeout)

    return WantedService(params["name"], is_of_image, request)


def _step_of(params: t.Mapping[str, t.Any], name: str) -> steps.Step:
    given = {
        name: value
        for name, value in params.items()
        if name != "persistent" and value is not None and value != STEP[name].get("default")
    }
    if params["do"] == steps.MountStep.do:
        surplus = [each for each in given if each not in ("do", *mount.OPTIONS)]
        if surplus or params["path"] is None:
            told = f"has {surplus[0]}, which a mount does not take" if surplus else "has no path"
            raise Refused(f"the step {told}", "As `nsctl export` writes it.")
        return mount.wanted(params).step()
    try:
        step = steps.from_data(given, "the step")
    except ValueError as error:
        raise Refused(str(error), "As `nsctl export` writes it.") from error
    if isinstance(step, steps.PivotStep):
        # 3 ms to compile, for what most do not have.
        from ..operations.pivot_root import PivotRequest

        pivot = PivotRequest(Target(namespace=name), step.new_root, step.put_old).checked()
        return step.replace(new_root=pivot.new_root, put_old=pivot.put_old)
    return _root_step(step) if isinstance(step, steps.RootStep) else step


def _root_step(step: steps.RootStep) -> steps.RootStep:
    from ..rootfs import digests  # for what most do not have

    path = resolve.checked_absolute(step.path, option="path")
    if path == "/":
        raise Refused("path must not be / itself", "Name the directory that becomes a root.")
    option = "directory" if step.directory else "archive"
    source = {option: resolve.checked_absolute(getattr(step, option), option=option)}
    digest = digests.checked(step.digest) if step.digest or step.archive else ""
    return step.replace(path=path, digest=digest, **source)


def _check_place(path: str, others: t.Sequence[str]) -> None:
    if path == "/":
        raise Refused("path is /, where its root is", "Give it another one with rootfs.")
    if path in others:
        raise Refused(f"{path} is named twice", "Mounts are never stacked: name each path once.")
    names = [len(os.fsencode(each)) for each in path.split("/")]
    if max(names) > _LONGEST_NAME or sum(names) + len(names) > _LONGEST_PATH:
        raise Refused(
            f"path {table.shown(path)} is too long",
            f"A name has up to {_LONGEST_NAME} bytes, a path up to {_LONGEST_PATH - 1}.",
        )


def _own_root(params: t.Mapping[str, t.Any], name: str) -> OwnRoot:
    home = resolve.checked_absolute(params["home"] or root.home_of(name), option="home")
    if home.count("/") < 2:
        what = "/ itself" if home == "/" else f"{home}, which is a directory of the host"
        raise Refused(f"home must not be {what}", "Name a directory below one for it alone.")
    volumes = params["volumes"]
    if volumes is not None:
        volumes = resolve.checked_absolute(volumes, option="volumes")
        if volumes == home or file.is_of_root(volumes, home):
            raise Refused(f"volumes is {volumes}, where its root is", "Name another directory.")
    for option in ("archive", "directory"):
        path = resolve.checked_absolute(params[option], option=option) if params[option] else ""
        if path and (is_below(path, home) or (is_below(home, path) and option == "directory")):
            raise Refused(
                f"{option} is {path}, and the home {home}: one lies in the other",
                "The home is what the root is made in, and goes with the namespace.",
            )
    defaults = {key: option.get("default") for key, option in _SOURCE.items()}
    source = {
        key: params[key]
        for key in _SOURCE
        if params[key] is not None and params[key] != defaults[key]
    }
    if params["upper"] == root.KEEP and params["root"] != root.OVERLAY:
        raise Refused(
            f"upper: keep is for root: overlay, not {params['root']}",
            "What is written to another root is in that root itself: leave upper out.",
        )
    if not 0 <= params["keep_generations"] <= _MOST_KEPT:
        raise Refused(
            f"keep_generations is {params['keep_generations']}, not a number from 0 to {_MOST_KEPT}"
        )
    return OwnRoot(
        source,
        home,
        params["root"],
        params["usual_mounts"],
        volumes or "",
        upper=params["upper"],
        keep_generations=params["keep_generations"],
        verify=tuple(params["verify"]),
    )
