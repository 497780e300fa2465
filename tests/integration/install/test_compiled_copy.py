# SPDX-License-Identifier: GPL-3.0-or-later
"""Which code a module runs that Ansible has sent: the host's copy where it is the same.

What it does not have is compiled each time, but once.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t
import zipfile

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl, startup
from ansible_collections.linux.namespaces.plugins.module_utils._core.install import sources
from ansible_collections.linux.namespaces.plugins.module_utils._core.startup import compiled_copy

LIBRARY = pathlib.Path(startup.LIBRARY)
CORE = pathlib.Path(compiled_copy.__file__).parents[1]
PACKAGE = "ansible_collections.linux.namespaces.plugins.module_utils._core"
# What a module imports: something of nsctl's, of a package of it, and something it does without.
LOOK = f"""
import json, sys
import {PACKAGE}.mount.compare, {PACKAGE}.rootfs.in_use, {PACKAGE}.mount.explain.pivot
from {PACKAGE} import nsctl
from {PACKAGE}.install import sources
from {PACKAGE}.startup import compiled_copy
names = [name for name in sys.modules if name.startswith("{PACKAGE}.")]
whole = compiled_copy.in_step
files = {{name[len("{PACKAGE}."):]: sys.modules[name].__file__ for name in names}}
print(json.dumps([whole, files, sorted(sources.of(nsctl))]))
"""
# What Python compiles meanwhile, and what is the same in another way of asking for it.
COMPILED = f"""
import collections, inspect, json, pkgutil
compiled = collections.Counter()
sys.addaudithook(lambda event, given: event == "compile" and compiled.update([str(given[1])]))
from {PACKAGE} import nsctl
from {PACKAGE}.mount import compare, explain
assert explain.__path__ == [explain.__file__.rpartition("/")[0]], explain.__path__
assert inspect.getsource(compare) == pkgutil.get_data(compare.__name__, "compare.py").decode()
try:
    from {PACKAGE}.mount import nonesuch
except ImportError:
    print(json.dumps([compare.__file__, explain.__file__, compiled]))
"""


@pytest.fixture
def library() -> t.Iterator[pathlib.Path]:
    """An installed copy, as host_command.py makes it."""
    texts = sources.of(nsctl)
    library = LIBRARY / sources.digest_of(texts)
    for path, text in texts.items():
        (library / path).parent.mkdir(parents=True, exist_ok=True)
        (library / path).write_text(text)
    (library / compiled_copy.CONTENTS).write_text(compiled_copy.contents_of(texts))
    yield library
    shutil.rmtree(LIBRARY)


def send(archive: pathlib.Path, changed: str = "", without: str = "") -> None:
    """Make an archive of the sources, as Ansible does."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as entries:
        for number in range(1, PACKAGE.count(".") + 1):
            folder = "/".join(PACKAGE.split(".")[:number])
            entries.writestr(f"{folder}/__init__.py", "")
        for path in sorted(CORE.rglob("*.py")):
            name = str(path.relative_to(CORE))
            text = path.read_text() + ("# changed\n" if name == changed else "")
            if name != without:
                entries.writestr(f"{PACKAGE.replace('.', '/')}/{name}", text)


def run_with(archive: pathlib.Path, script: str) -> t.Any:
    """What a Python prints that imports from the archive."""
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(archive)!r})\n{script}"]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


class Look:
    """What a process saw that imports from an archive with everything but ``without``."""

    def __init__(self, archive: pathlib.Path, changed: str = "", without: str = "") -> None:
        send(archive, changed, without)
        self.in_step, self.files, self.carried = run_with(archive, LOOK)
        self.from_archive = {
            name for name, file in self.files.items() if file.startswith(str(archive))
        }


def test_what_the_host_has_comes_from_there(library: pathlib.Path, tmp_path: pathlib.Path) -> None:
    look = Look(tmp_path / "sent.zip")
    assert look.in_step == str(library)
    assert look.files["mount.compare"] == f"{library}/_core/mount/compare.py"
    # What did this.
    assert look.from_archive == {"startup", "startup.compiled_copy", "startup.sent_archive"}
    assert look.carried == sorted(sources.of(nsctl))


def test_a_module_of_a_package_that_the_host_has_in_part(
    library: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (library / "_core/mount/compare.py").unlink()
    look = Look(tmp_path / "sent.zip")
    assert "mount.compare" in look.from_archive
    assert "mount.options" not in look.from_archive


@pytest.mark.usefixtures("library")
def test_another_version_is_left_alone(tmp_path: pathlib.Path) -> None:
    look = Look(tmp_path / "sent.zip", changed="errors.py")
    assert look.in_step == ""
    assert look.from_archive == set(look.files)


@pytest.mark.usefixtures("library")
def test_an_archive_without_all_of_nsctl_does_not_tell_whether_it_is_in_step(
    tmp_path: pathlib.Path,
) -> None:
    look = Look(tmp_path / "sent.zip", without="nsctl/manual.py")
    assert look.in_step == ""
    assert "errors" not in look.from_archive


@pytest.mark.parametrize("spoil", ["writable", "another's", "garbage", "empty", "gone"])
def test_a_copy_that_is_not_to_be_trusted(
    library: pathlib.Path, tmp_path: pathlib.Path, spoil: str
) -> None:
    if spoil == "writable":
        library.chmod(0o775)
    elif spoil == "another's":
        os.chown(library, 65534, 65534)
    elif spoil == "garbage":
        (library / compiled_copy.CONTENTS).write_bytes(b"\xff\0 garbage")
    elif spoil == "empty":
        (library / compiled_copy.CONTENTS).unlink()
    else:
        shutil.rmtree(library)
    look = Look(tmp_path / "sent.zip")
    assert look.in_step == ""
    assert look.from_archive == set(look.files)


def test_without_nsctl_everything_comes_from_the_archive(tmp_path: pathlib.Path) -> None:
    assert not LIBRARY.exists()
    look = Look(tmp_path / "sent.zip")
    assert look.from_archive == set(look.files)


def test_what_comes_from_the_archive_is_compiled_once(tmp_path: pathlib.Path) -> None:
    archive = tmp_path / "sent.zip"
    send(archive)
    module, package, compiled = run_with(archive, COMPILED)
    core = f"{archive}/{PACKAGE.replace('.', '/')}"
    assert module == f"{core}/mount/compare.py"
    assert package == f"{core}/mount/explain/__init__.py"
    # What sees to it, and what that lies in.
    first = {
        f"{core}/{name}.py" for name in ("__init__", "startup/__init__", "startup/sent_archive")
    }
    ours = {name: number for name, number in compiled.items() if name.startswith(core)}
    assert len(ours) > 10
    assert {name for name, number in ours.items() if number > 1} == first
