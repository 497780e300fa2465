# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of a named namespace: its ordered steps, and the files it is kept in."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import (
    file as definitions,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.host_files import (
    HostFile,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.layout import (
    PivotNote,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.model import (
    Definition,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.properties import (
    Properties,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.root import OwnRoot
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.steps import (
    MountStep,
    PivotStep,
    RootStep,
    Step,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused


def mount(path: str, src: str = "tmpfs") -> MountStep:
    return MountStep(path, src, "tmpfs")


def pivot(new_root: str, put_old: str = "") -> PivotStep:
    return PivotStep(new_root, put_old)


def paths(steps: t.Iterable[Step]) -> list[str]:
    return [f"pivot {step.path}" if step.do == "pivot" else step.path for step in steps]


def sources(steps: t.Iterable[Step]) -> list[str | None]:
    return [step.src if isinstance(step, MountStep) else None for step in steps]


WEB = (mount("/srv/web"), mount("/srv/web/data"), pivot("/srv/web"), mount("/run"))


# The order of steps


def test_a_new_step_comes_last() -> None:
    found = Definition("web")
    for path in ("/b", "/a", "/c"):
        found = found.with_step(mount(path), persistent=True)
    assert paths(found.steps) == ["/b", "/a", "/c"]
    assert found.volatile == ()


def test_a_changed_step_stays_in_its_place() -> None:
    before = Definition(
        "web",
        steps=(
            mount("/b"),
            mount("/a"),
            mount("/c"),
        ),
    )
    after = before.with_step(mount("/a", "other"), persistent=True)
    assert sources(after.steps) == ["tmpfs", "other", "tmpfs"]
    # What it was made from is as it was.
    assert sources(before.steps) == ["tmpfs"] * 3
    assert before.with_step(mount("/a"), persistent=True) == before


def test_a_step_is_removed() -> None:
    before = Definition(
        "web",
        steps=(
            mount("/b"),
            mount("/a"),
        ),
        volatile=(mount("/c"),),
    )
    assert paths(before.without_step("mount", "/b").all_steps) == ["/a", "/c"]
    assert paths(before.without_step("mount", "/c").all_steps) == ["/b", "/a"]
    assert before.without_step("mount", "/none") == before
    assert before.without_step("unpack", "/b") == before


@pytest.mark.parametrize("path", ["/srv/web/data", "/data"])
def test_one_place_has_two_names_after_a_pivot(path: str) -> None:
    web = Definition("web", steps=WEB)
    assert web.find("mount", path) == mount("/srv/web/data")
    changed = web.with_step(mount(path, "other"), persistent=True)
    assert sources(changed.steps) == ["tmpfs", "other", None, "tmpfs"]
    assert paths(changed.steps) == paths(WEB)  # before the pivot /data is another place
    assert paths(web.without_step("mount", path).steps) == ["/srv/web", "pivot /srv/web", "/run"]


def test_the_root_after_a_pivot() -> None:
    web = Definition("web", steps=WEB)
    for path in ("/srv/web", "/"):
        assert web.find("mount", path) == mount("/srv/web")
    assert web.find("mount", "/srv/web/run") == mount("/run")


def test_what_lay_outside_of_a_new_root_is_another_place() -> None:
    web = Definition(
        "web",
        steps=(
            mount("/run"),
            *WEB[:3],
        ),
    )
    assert web.find("mount", "/run") is None
    after = web.with_step(mount("/run", "new"), persistent=True)
    assert paths(after.steps) == ["/run", "/srv/web", "/srv/web/data", "pivot /srv/web", "/run"]
    assert after.find("mount", "/run") == mount("/run", "new")
    assert after.without_step("mount", "/run") == web


def test_two_pivots() -> None:
    steps = (mount("/a"), mount("/a/b"), pivot("/a"), mount("/a/b/c"), pivot("/b"), mount("/d"))
    web = Definition("web", steps=steps)
    for path in ("/a/b/c", "/b/c", "/c"):
        assert web.find("mount", path) == mount("/a/b/c")
    for path in ("/a/b", "/b", "/"):
        assert web.find("mount", path) == mount("/a/b")
    assert web.find("pivot", "/b") == pivot("/b")
    # The mount of the first root is out of reach.
    assert web.find("mount", "/a/x") is None


def test_a_pivot_is_known_by_its_new_root() -> None:
    web = Definition("web", steps=WEB)
    again = web.with_step(pivot("/srv/web", put_old="/old"), persistent=True)
    assert paths(again.steps) == paths(WEB)
    assert again.find("pivot", "/srv/web") == pivot("/srv/web", put_old="/old")
    assert paths(web.without_step("pivot", "/srv/web").steps) == [
        "/srv/web",
        "/srv/web/data",
        "/run",
    ]


def test_mounts_and_unpacks_at_one_place_are_two_steps() -> None:
    unpack = RootStep("/a", archive="/x.tar", digest="x")
    found = Definition("web", steps=(mount("/a"),)).with_step(unpack, persistent=True)
    assert found.steps == (mount("/a"), unpack)
    assert found.find("unpack", "/a") == unpack


# What outlives a reboot


def test_a_volatile_step() -> None:
    web = Definition("web", steps=(mount("/a"),))
    found = web.with_step(mount("/b"), persistent=False)
    assert (paths(found.steps), paths(found.volatile)) == (["/a"], ["/b"])
    assert paths(found.all_steps) == ["/a", "/b"]


def test_a_step_changes_sides() -> None:
    web = Definition(
        "web",
        steps=(
            mount("/a"),
            mount("/b"),
        ),
        volatile=(mount("/c"),),
    )
    found = web.with_step(mount("/a", "x"), persistent=False)
    assert (paths(found.steps), paths(found.volatile)) == (["/b"], ["/c", "/a"])
    found = web.with_step(mount("/c", "x"), persistent=True)
    assert (paths(found.steps), paths(found.volatile)) == (["/a", "/b", "/c"], [])


def test_nothing_of_a_volatile_namespace_persists() -> None:
    web = Definition("web", persistent=False).with_step(mount("/a"), persistent=True)
    assert (web.steps, paths(web.volatile)) == ((), ["/a"])


STEPS = st.builds(mount, st.sampled_from(["/a", "/a/b", "/b", "/c/d"]), st.sampled_from("xy"))


@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=8))
def test_each_place_has_one_step(changes: list[tuple[MountStep, bool]]) -> None:
    found = Definition("web")
    last: dict[str, tuple[MountStep, bool]] = {}
    for step, persistent in changes:
        found = found.with_step(step, persistent=persistent)
        last[step.path] = (step, persistent)
    assert sorted(paths(found.all_steps)) == sorted(last)
    for path, (step, persistent) in last.items():
        assert found.find("mount", path) == step
        assert (step in found.steps) is persistent
    for path in last:
        found = found.without_step("mount", path)
    assert found == Definition("web")


def test_the_layout() -> None:
    note = PivotNote("/srv/web", 7, 5)
    web = Definition("web", steps=WEB[:3], volatile=WEB[3:], pivoted=(note,))
    assert web.layout.mounted == {"/srv/web", "/srv/web/data", "/run"}
    assert web.layout.noted == (note,)


# The files


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A host of its own: etc/ for definitions, run/ for what ends with a reboot."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(definitions, "DIRECTORY", str(tmp_path / "etc/namespaces"))
    monkeypatch.setattr(host_paths, "BASE", str(tmp_path / "run"))
    return tmp_path


def files(here: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())


def live(here: pathlib.Path, name: str) -> None:
    """As if the namespace were there."""
    (here / "run" / name).mkdir()


FULL = Definition(
    "web",
    Properties(hostname="wéb"),
    steps=WEB[:3],
    volatile=WEB[3:],
    pivoted=(PivotNote("/srv/web", 7, 5),),
)


def test_nothing_is_kept(here: pathlib.Path) -> None:
    assert definitions.load("web") is None
    assert definitions.names() == []
    assert not definitions.has_record("web")
    definitions.forget("web")
    assert files(here) == []


def test_who_names_another(here: pathlib.Path) -> None:
    """What has the name of a definition, and is none, is looked into by nobody: a fifo would hold whoever does."""
    definitions.save(FULL.replace(name="front"))
    sharing = Properties(kinds=("mnt",), share={"net": "front"})
    definitions.save(FULL.replace(name="worker", properties=sharing))
    os.mkfifo(here / "etc/namespaces/odd.json")
    (here / "etc/namespaces/bytes.json").write_bytes(b'"front" \xff')
    assert definitions.naming("front") == ["worker"]


def test_round_trip(here: pathlib.Path) -> None:
    live(here, "web")
    definitions.save(FULL)
    assert files(here) == ["etc/namespaces/web.json", "run/web/state.json"]
    assert definitions.load("web") == FULL
    assert (definitions.names(), definitions.has_record("web")) == (["web"], True)
    record = json.loads((here / "etc/namespaces/web.json").read_text())
    assert record["version"] == 1  # which earlier versions read as well
    assert record["steps"] == [step.to_data() for step in FULL.steps]
    assert (here / "etc/namespaces/web.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "more",
    [
        {"own_root": OwnRoot({"image": "docker://x"}, "/srv/web", volumes="/srv/data")},
        {"files": (HostFile("/srv/web/a", 0o640, "7", "8", service="x", validate=("a", "%s")),)},
        {"files": (HostFile("/srv/web/b", is_directory=True, read="sha256:0"),)},
        {"properties": Properties(kinds=("mnt",), share={"net": "front"})},
    ],
)
def test_what_earlier_versions_do_not_know(here: pathlib.Path, more: dict[str, t.Any]) -> None:
    """They are to refuse it, instead of making something else of it."""
    live(here, "web")
    definitions.save(FULL.replace(**more))
    assert definitions.load("web") == FULL.replace(**more)
    record = json.loads((here / "etc/namespaces/web.json").read_text())
    assert record["version"] == 2


def test_round_trip_of_a_volatile_namespace(here: pathlib.Path) -> None:
    live(here, "web")
    volatile = Definition("web", Properties(), persistent=False, volatile=WEB)
    definitions.save(volatile)
    assert files(here) == ["run/web/state.json"]
    assert definitions.load("web") == volatile
    assert definitions.names() == []


def test_after_a_reboot_the_definition_is_left(here: pathlib.Path) -> None:
    live(here, "web")
    definitions.save(FULL)
    (here / "run/web/state.json").unlink()
    (here / "run/web").rmdir()
    found = definitions.load("web")
    assert found == Definition("web", FULL.properties, steps=FULL.steps)
    # Nothing is written for a namespace that does not live.
    assert found is not None
    definitions.save(found)
    assert files(here) == ["etc/namespaces/web.json"]


def test_it_becomes_volatile(here: pathlib.Path) -> None:
    live(here, "web")
    definitions.save(FULL)
    definitions.save(Definition("web", persistent=False, volatile=WEB))
    assert files(here) == ["run/web/state.json"]
    assert not (here / "etc/namespaces").exists()


def test_it_is_forgotten(here: pathlib.Path) -> None:
    for name in ("web", "db"):
        definitions.save(Definition(name))
    definitions.forget("web")
    assert definitions.names() == ["db"]
    definitions.forget("db")
    assert definitions.names() == []
    assert not (here / "etc/namespaces").exists()


def test_what_is_unchanged_is_not_written(here: pathlib.Path) -> None:
    live(here, "web")
    definitions.save(FULL)
    before = {name: (here / name).stat() for name in files(here)}
    definitions.save(FULL)
    after = {name: (here / name).stat() for name in files(here)}
    assert {name: (each.st_ino, each.st_mtime_ns) for name, each in before.items()} == {
        name: (each.st_ino, each.st_mtime_ns) for name, each in after.items()
    }


def test_it_is_written_beside_and_renamed(
    here: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions.save(FULL)
    old = (here / "etc/namespaces/web.json").read_text()

    def crash(*_names: str, **_directories: int | None) -> None:
        raise OSError("the machine stops here")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", crash)
        with pytest.raises(OSError, match="stops here"):
            definitions.save(Definition("web", Properties(kinds=("net",))))
    # The old one is whole, and what was half written is neither read nor kept.
    assert (here / "etc/namespaces/web.json").read_text() == old
    assert definitions.load("web") == Definition("web", FULL.properties, steps=FULL.steps)
    assert definitions.names() == ["web"]
    definitions.save(Definition("web", Properties(kinds=("net",))))
    assert files(here) == ["etc/namespaces/web.json"]


def test_a_killed_first_write_is_cleaned_up(here: pathlib.Path) -> None:
    (here / "etc/namespaces").mkdir()
    (here / "etc/namespaces/web.json.new").write_text("{")
    assert definitions.load("web") is None
    assert definitions.names() == []
    definitions.forget("web")
    assert files(here) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b'{"version": 4}', "has version 4, this collection reads version 3"),
        (b"{}", "does not say of which version it is"),
        (b'{"version": [1]}', "does not say of which version it is"),
        (b"[]", "is damaged"),
        (b"3", "is damaged"),
    ],
)
@pytest.mark.parametrize("name", ["etc/namespaces/web.json", "run/web/state.json"])
def test_a_file_that_cannot_be_read(
    here: pathlib.Path, name: str, content: bytes, reason: str
) -> None:
    (here / name).parent.mkdir()
    (here / name).write_bytes(content)
    with pytest.raises(Refused) as refused:
        definitions.load("web")
    assert str(here / name) in refused.value.reason
    assert reason in refused.value.reason
    assert refused.value.hint


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("missing")])
def test_what_is_no_file(here: pathlib.Path, make: t.Callable[[pathlib.Path], None]) -> None:
    (here / "etc/namespaces").mkdir()
    make(here / "etc/namespaces/web.json")
    with pytest.raises(Refused, match="is damaged"):
        definitions.load("web")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "ä", "a\n"])
def test_a_name_that_cannot_be_a_file(here: pathlib.Path, name: str) -> None:
    for action in (definitions.load, definitions.forget, definitions.has_record):
        with pytest.raises(Refused, match="cannot be a name"):
            action(name)
    assert files(here) == []


def test_other_files_are_not_ours(here: pathlib.Path) -> None:
    definitions.save(Definition("web"))
    for name in ("README", ".web.json", "web.json.dpkg-old", "a b.json"):
        (here / "etc/namespaces" / name).touch()
    assert definitions.names() == ["web"]
