# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file that we keep of a name, damaged in each way: the name is told as failed, others are as they were."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import typing as t

import pytest
from command import Nsctl
from damage import ODD_NAMES, Form, clear, contents, cut, documents, holding, kinds
from full_definition import full
from fuzzing import SEED, TIMES, bounded, no_defect
from host_state import host_state
from results import RunModule

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths, printable
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    layout,
    service_file,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.service import (
    ServiceSpec,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import named as facts
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import parts, summary
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import WantedMount
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import lock, pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace.target import Target
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import show
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    mount,
    namespace,
    namespace_removal,
    namespace_state,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.namespace import (
    NamespaceRequest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.process.program import Program
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# Of the documents one in so many is tried; all of them where more is asked for.
ONE_IN = 4 if TIMES == 1 else 1


def incomplete(name: str) -> Definition:
    return full(name).replace(missing=("the mount on /srv/web",))


@pytest.fixture
def kept() -> t.Iterator[None]:
    """What is kept of web and shop, of which neither lives."""
    for name in ("web", "shop"):
        with lock.held(name, timeout=10):
            pins.prepare(name)
            definitions.save(incomplete(name))
    yield
    for name in ("web", "shop"):
        namespace_removal.absent(name, check=False, lock_timeout=10)


def file_of(name: str, which: str) -> pathlib.Path:
    if which == "record":
        return pathlib.Path(definitions.path_of(name))
    return pathlib.Path(host_paths.CLOSED, name, which)


def summary_of(name: str) -> dict[str, t.Any]:
    with bounded(seconds=20):
        found = summary.of(name)
    json.dumps(found)
    no_defect(found)
    assert len(printable.printable(found["reason"])) < 20_000
    return found


def tried(which: str, forms: list[Form]) -> int:
    """Damage that file of web in these ways. How many were told as failed."""
    healthy = summary_of("shop")
    path = file_of("web", which)
    good = path.read_bytes() if path.exists() else None
    failed = 0
    for form in forms:
        clear(path)
        form.put(path)
        try:
            found = summary_of("web")
            assert found["name"] == "web"
            assert namespace_state.known_names() == ["shop", "web"]
            if found["state"] == "failed":
                failed += 1
                assert which == "failed" or str(path) in found["reason"]
            with bounded(seconds=20):
                shown = facts._attempt("web", parts.PARTS)
            assert isinstance(shown, dict), shown
            no_defect(show._shown(show._flat(json.loads(json.dumps(shown)))))
        except BaseException as error:
            error.args = (f"{form.title}: {error}",)
            raise
        assert summary_of("shop") == healthy, form.title
    clear(path)
    if good is not None:
        path.write_bytes(good)
        assert summary_of("web")["state"] == "down"
    return failed


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("which", ["record", "state.json"])
def test_a_definition(which: str) -> None:
    good = file_of("web", which).read_bytes()
    forms = [*contents(good), *kinds(file_of("shop", which)), *cut(good)]
    assert tried(which, forms) == len(forms)
    # To read a directory may take as long as there is in it: / is one.
    changed = [form for form in documents(good) if "directory" not in form.title][::ONE_IN]
    tried(which, changed)
    print(f"{len(forms) + len(changed)} forms of {which}")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("which", ["failed", "holder.json", "mnt", "services", "pid"])
def test_what_lies_beside(which: str) -> None:
    good = json.dumps({"pid": os.getpid(), "start": 1}).encode()
    other = file_of("shop", which)
    clear(other)
    other.write_bytes(good)
    clear(file_of("web", which))
    tried(which, [*contents(good), *kinds(other), *documents(good)])


@pytest.mark.usefixtures("kept")
def test_odd_names() -> None:
    places = [host_paths.DEFINITIONS, host_paths.BASE, host_paths.CLOSED]
    for name in ODD_NAMES:
        for place in places:
            path = os.path.join(os.fsencode(place), name)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    known = namespace_state.known_names()
    for name in ODD_NAMES:
        for place in places:
            os.unlink(os.path.join(os.fsencode(place), name))
    assert {"shop", "web"} <= set(known) <= {"shop", "web", "x.json.new", "x.JSON"}


# The files and directories that may be damaged of a namespace, with what is good in them.
PLACES = {
    "record": "{definitions}/{name}.json",
    "being written": "{definitions}/{name}.json.new",
    "service": "{definitions}/services/{name}:idle.json",
    "state": "{base}/{name}/state.json",
    "reason": "{base}/{name}/failed",
    "holder": "{base}/{name}/holder.json",
    "note": "{base}/{name}/services/idle.json",
    "notes": "{base}/{name}/services",
    "pin": "{base}/{name}/mnt",
    "no pin": "{base}/{name}/net",
    "directory": "{base}/{name}",
    "closed": "{base}/.closed/{name}",
    "lock": "{base}/.locks/{name}",
    "output": "{logs}/{name}",
}


def place_of(which: str, name: str) -> pathlib.Path:
    directories = {"definitions": host_paths.DEFINITIONS, "base": host_paths.BASE}
    path = PLACES[which].format(**directories, logs=host_paths.LOGS, name=name)
    return pathlib.Path(path)


def put_aside(path: pathlib.Path) -> None:
    """Remove what is there, with what is mounted in it."""
    for each in reversed(table.read()):
        if layout.is_below(each.path, str(path)):
            mounts.umount(each.path, flags=mounts.MNT_DETACH)
    clear(path)


CASES = [
    (which, form)
    for which in PLACES
    for form in [
        holding("empty", b""),
        holding("garbage", b"\x1b[2J\xff\0garbage"),
        *kinds(pathlib.Path()),
    ]
    # Not of what is a directory, or has a mount on it.
    if "second name" not in form.title or which in ("record", "state", "lock")
]
random.Random(SEED).shuffle(CASES)


@pytest.fixture(scope="module")
def shop(nsctl: Nsctl, run_module: RunModule) -> t.Iterator[dict[str, t.Any]]:
    """What list says of a healthy namespace."""
    run_module("ns_namespace", {"name": "shop", "kinds": ["mnt", "uts"]})
    with named("shop"):
        (found,) = nsctl.data("list", "shop")
        assert found["state"] == "up", found
        yield found
    gone = run_module("ns_namespace", {"name": "shop", "state": "absent"})
    assert not gone.get("failed"), gone


@contextlib.contextmanager
def named(name: str) -> t.Iterator[str]:
    """A namespace with a mount in it, which lives."""
    try:
        made = NamespaceRequest(name, Properties(kinds=("mnt", "uts")))
        namespace.present(made, check=False)
        wanted = WantedMount("/mnt", "x", "tmpfs", ("size=1m",)).checked()
        mount.run(mount.MountRequest(Target(namespace=name), (wanted,)), check=False)
        yield name
    finally:
        namespace_removal.absent(name, check=False, force=True, lock_timeout=10)


@pytest.mark.parametrize("number", range(10 * TIMES))
def test_of_a_namespace_that_lives(
    number: int, nsctl: Nsctl, run_module: RunModule, shop: dict[str, t.Any]
) -> None:
    """Others are listed, brought up, shown and changed as before, and absent leaves nothing of it."""
    if number >= len(CASES):
        pytest.skip("there are no more cases")
    which, form = CASES[number]
    print(f"{form.title} as {which}")
    before = host_state()
    with contextlib.ExitStack() as stack:
        stack.enter_context(named("web"))
        path, theirs = place_of(which, "web"), place_of(which, "shop")
        if "another's" in form.title:
            form = next(each for each in kinds(theirs) if each.title == form.title)
        path.parent.mkdir(exist_ok=True)
        stack.callback(put_aside, path)
        if which == "service":
            service_file.write(ServiceSpec("web", "idle", Program(("true",))))
        put_aside(path)
        form.put(path)
        said = nsctl("list", "--json", code=None)
        no_defect(said)
        listed = {each["name"]: each for each in json.loads(said.stdout)}
        assert listed["shop"] == shop, said
        for words in (["list"], ["show", "web"], ["show", "shop"], ["up", "--all", "--check"]):
            no_defect(nsctl(*words, code=None))
        nsctl("exec", "shop", "--", "true")
        for module, args in (
            ("ns_info", {}),
            ("ns_mount_info", {"namespace": "shop"}),
            ("ns_namespace", {"name": "shop", "kinds": ["mnt", "uts"]}),
        ):
            result = run_module(module, args)
            assert not result.get("failed") and not result["changed"], result
        gone = run_module("ns_namespace", {"name": "web", "state": "absent"})
        assert not gone.get("failed"), gone
        no_defect(gone)
        assert host_state() == before
    assert nsctl.data("list", "shop") == [shop]
