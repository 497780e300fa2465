# SPDX-License-Identifier: GPL-3.0-or-later
"""The host of a soak test: what is mounted there, tasks that are run, and what is to be seen of them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import typing as t

import hypothesis
from module_server import KILL_AT
from processes_inside import inside
from results import Result, RunModule, has_diff
from soak_model import Model
from soak_parts import ABOVE, ROOT, Refusal, What

from ansible_collections.linux.namespaces.plugins.module_utils._core import nsctl

NAMES = tuple(f"soak{number}" for number in range(5))
SERVICES = ("one", "two")
_MKDIR = "X-mount.mkdir"
_DIRECTORIES = ("a/in", "in", "b", "old", "bin", "lib", "lib64", "dev")


@dataclasses.dataclass
class Counts:
    """What was done in all."""

    operations: dict[str, int] = dataclasses.field(default_factory=dict)
    changed: int = 0
    refused: int = 0
    killed: int = 0

    def add(self, what: str) -> None:
        self.operations[what] = self.operations.get(what, 0) + 1

    def __str__(self) -> str:
        each = ", ".join(f"{what} {number}" for what, number in sorted(self.operations.items()))
        return (
            f"{sum(self.operations.values())} operations ({each}): {self.changed} changed something,"
            f" {self.refused} were refused, {self.killed} were killed on the way first"
        )


_State = t.TypeVar("_State")


class Host:
    """What the machine acts on. ``home`` is a directory of the test."""

    def __init__(self, run_module: RunModule, home: pathlib.Path) -> None:
        self._run = run_module
        self.home = home
        self.counts = Counts()
        for place in ABOVE:
            (home / place).mkdir(parents=True, exist_ok=True)
        (home / "root/old").mkdir()
        self._make_sources()

    def _make_sources(self) -> None:
        for name in ("src0", "src1", "low0", "low1"):
            top = self.home / name
            for directory in _DIRECTORIES:
                (top / directory).mkdir(parents=True)
            (top / "mark").write_text(name)
            for path in _program():
                (top / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, top / path.lstrip("/"))
                (top / path.lstrip("/")).chmod(0o755)
            (top / "dev/null").touch()
            if name.startswith("src"):
                argv = ["tar", "-C", str(top), "-cf", f"{top}.tar", "."]
                subprocess.run(argv, check=True)
                image = self.home / f"disk{name[-1]}.img"
                argv = ["mkfs.ext4", "-q", "-d", str(top), str(image), "16m"]
                subprocess.run(argv, check=True, capture_output=True)

    # --- tasks

    def run(
        self,
        name: str,
        args: dict[str, t.Any],
        *,
        before: _State,
        promise: t.Callable[[], _State],
        acts_always: bool = False,
        kill_at: int = 0,
    ) -> _State:
        """Run a task as the ``promise`` of the model says it must go; the model afterwards.

        With ``kill_at`` it is killed before that change, first. ``acts_always`` is for what
        reports a change every time.
        """
        self.counts.add(f"{name} {args.get('state', '')}".strip())
        hypothesis.note(f"{name} {args} kill_at={kill_at}")
        try:
            after = promise()
        except Refusal:
            self.counts.refused += 1
            for check in (True, False):
                result = self._run(name, args, check=check)
                assert result.get("failed"), (check, result)
                assert "defect" not in result["msg"], result
            return before
        if kill_at:
            self.counts.killed += self._is_killed(name, args, kill_at)
        predicted = self._succeed(name, args, check=True)
        done = self._succeed(name, args)
        context = (predicted, done)
        assert predicted["changed"] == done["changed"], context
        assert predicted["actions"] == done["actions"], context
        assert bool(done["actions"]) == done["changed"], context
        for result in context:
            assert has_diff(result) == result["changed"], context
        if "diff" in done:
            assert predicted["diff"]["before"] == done["diff"]["before"], context
        if not kill_at:
            self.counts.changed += done["changed"]
            assert done["changed"] == (acts_always or after != before), (done, before, after)
        if not acts_always:
            again = self._succeed(name, args)
            assert not again["changed"] and again["actions"] == [], again
        return after

    def run_program(self, name: str, args: dict[str, t.Any], *, fails: bool = False) -> None:
        """Run a program that ends at once, in namespaces; or fail to."""
        self.counts.add(f"{name}{' nowhere' if fails else ''}")
        hypothesis.note(f"{name} {args}")
        result = self._run(name, {"argv": ["/bin/sleep", "0"], **args})
        if fails:
            assert result.get("failed") and "defect" not in result["msg"], result
        else:
            assert result["rc"] == 0 and result["changed"] and result["stderr"] == "", result

    def _succeed(self, name: str, args: dict[str, t.Any], *, check: bool = False) -> Result:
        result = self._run(name, args, check=check)
        assert not result.get("failed"), result
        assert not result.get("warnings"), result
        assert "stderr_of_module" not in result, result
        return result

    def _is_killed(self, name: str, args: dict[str, t.Any], number: int) -> bool:
        try:
            self._run(name, args, env={KILL_AT: str(number)})
        except AssertionError as error:
            assert "status -9" in str(error)
            return True
        return False

    def nsctl(self, *words: str, fails: bool = False) -> str:
        """What the command says, in a process of its own; it must succeed, or else fail."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                code = 70
                try:
                    for number, file in ((1, out), (2, err)):
                        os.dup2(file.fileno(), number)
                    with (
                        open(1, "w", closefd=False) as stdout,
                        open(2, "w", closefd=False) as stderr,
                    ):
                        sys.stdout, sys.stderr = stdout, stderr
                        code = nsctl.main(words)
                finally:
                    os._exit(code)
            _pid, status = os.waitpid(pid, 0)
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode())
        assert (status != 0) == fails, (words, status, texts)
        assert "defect" not in texts[1] and "Traceback" not in texts[1], texts
        return texts[0]

    def wanted(self, place: str, what: What) -> dict[str, t.Any]:
        """A mount in the form of ns_mount."""
        flag = "ro" if what.ro else "rw"
        args: dict[str, t.Any] = {"path": self.path(place)}
        if what.kind == "tmpfs":
            size = f"size={what.variant + 1}m"
            args.update(src="soak", fstype="tmpfs", opts=[size, flag, _MKDIR])
        elif what.kind == "bind":
            args.update(src=str(self.home / f"src{what.variant}"), opts=["bind", flag, _MKDIR])
        elif what.kind == "overlay":
            lower = [str(self.home / f"low{number ^ what.variant}") for number in (0, 1)]
            layers = f"lowerdir={':'.join(lower)}"
            args.update(src="soak", fstype="overlay", opts=[layers, flag, _MKDIR])
        else:
            image = str(self.home / f"disk{what.variant}.img")
            args.update(src=image, fstype="ext4", opts=["loop", flag, _MKDIR])
        if what.propagation:
            args["propagation"] = what.propagation
        return args

    def argv(self, name: str, service: str, program: int) -> list[str]:
        """A program that nothing else on the machine is."""
        return ["/bin/sleep", f"{self.marker}{NAMES.index(name)}{SERVICES.index(service)}{program}"]

    def source_of_root(self, source: str, number: int) -> str:
        """Where a root that is unpacked comes from: a directory or an archive."""
        return str(self.home / f"src{number}{'.tar' if source == 'archive' else ''}")

    def roots(self, beginning: str) -> dict[str, str]:
        """The roots that are there, and what may be left beside them, each with its mark."""
        above = self.home / "roots"
        names = os.listdir(above) if above.exists() else []
        return {name: (above / name / "mark").read_text() for name in names if beginning in name}

    @property
    def marker(self) -> str:
        return f"{10**6 + os.getpid()}."

    def path(self, place: str) -> str:
        return f"{self.home}/{place}"

    def path_now(self, model: Model, place: str) -> str:
        path = self.path(place)
        if model.pivoted:
            path = path[len(self.path(ROOT)) :] or "/"
        return path

    def in_mounts(self, name: str, function: t.Callable[[], t.Any]) -> t.Any:
        return inside(name, function, ["mnt"])


def _program() -> list[str]:
    """sleep(1) by the name it is started by, and what it loads."""
    shown = subprocess.run(["ldd", "/bin/sleep"], check=True, capture_output=True, text=True)
    words = shown.stdout.split()
    return ["/bin/sleep", *(word for word in words if word.startswith("/"))]
