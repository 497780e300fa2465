# SPDX-License-Identifier: GPL-3.0-or-later
"""An overlay that is not mounted: which of its directories is wrong, and how."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

import pytest
from explained import failed, without
from results import Result, RunModule
from unshared_process import Unshared

Kernel = dict[str, str]
Refused = t.Callable[..., Result]


@pytest.fixture
def here(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("mnt", "low", "low2", "up", "up/in", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    return tmp_path


@pytest.fixture
def refused(run_module: RunModule, target: Unshared, here: pathlib.Path) -> Refused:
    """The result of mounting an overlay of directories below ``here``, which fails."""

    def mount(*words: str, src_in: str = "host", env: Kernel | None = None) -> Result:
        args: dict[str, t.Any] = {"pid": target.pid, "path": f"{here}/mnt", "fstype": "overlay"}
        opts = [word.replace("{}", str(here)) for word in words]
        result = run_module("ns_mount", {**args, "opts": opts, "src_in": src_in}, env=env)
        assert target.mounted_on(f"{here}/mnt") == []
        return result

    return mount


@pytest.fixture(params=["the kernel's log", "no log"])
def log(request: pytest.FixtureRequest) -> t.Iterator[None]:
    """With what the kernel says of it, and without: the directories are looked at in both cases."""
    with without("/dev/kmsg") if request.param == "no log" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def mounted(*words: str) -> t.Iterator[None]:
    subprocess.run(["mount", *words], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", words[-1]], check=True)


@pytest.mark.parametrize("src_in", ["host", "namespace"])
@pytest.mark.parametrize("which", ["lowerdir", "upperdir", "workdir"])
def test_a_directory_that_is_missing_or_none(
    refused: Refused, here: pathlib.Path, kernel: Kernel, src_in: str, which: str
) -> None:
    where = "on the host" if src_in == "host" else "in the target"
    good = {"lowerdir": "{}/low", "upperdir": "{}/up", "workdir": "{}/work"}
    for name, errno, reason, hint in (
        ("none", "ENOENT", f"names a directory that does not exist {where}", "Create it first."),
        ("file", "ENOTDIR", f"names no directory {where}", "Name a directory."),
        ("file/x", "ENOTDIR", f"names no directory {where}", "Name a directory."),
    ):
        words = [f"{key}={value}" for key, value in {**good, which: f"{{}}/{name}"}.items()]
        result = refused(*words, src_in=src_in, env=kernel)
        failed(result, "fsconfig", errno, f"{which}={here}/{name} {reason}", hint)
    words = ["lowerdir={}/low:{}/none", "upperdir={}/up", "workdir={}/work"]
    reason = f"lowerdir={here}/none names a directory that does not exist {where}"
    failed(refused(*words, src_in=src_in), "fsconfig", "ENOENT", reason, "Create it first.")


WRONG = {
    "no lower one": (["upperdir={}/up", "workdir={}/work"], "EINVAL",
                     "an overlay shows lower directories, and opts name none", "Add lowerdir="),
    "no workdir": (["lowerdir={}/low", "upperdir={}/up"], "EINVAL",
                   "an overlay with an upperdir needs a workdir as well", "Add workdir="),
    "one lower one": (["lowerdir={}/low"], "EINVAL",
                      "an overlay without an upperdir needs two lower directories", "Add another"),
    "workdir in upperdir": (["lowerdir={}/low", "upperdir={}/up", "workdir={}/up/in"], "EINVAL",
                            "workdir {}/up/in and upperdir {}/up overlap", "side by side"),
    "upperdir in workdir": (["lowerdir={}/low", "upperdir={}/up/in", "workdir={}/up"], "EINVAL",
                            "upperdir {}/up/in and workdir {}/up overlap", "side by side"),
    "upperdir as workdir": (["lowerdir={}/low", "upperdir={}/up", "workdir={}/up"], "EINVAL",
                            "upperdir {}/up and workdir {}/up are the same directory",
                            "side by side"),
    "the same twice": (["lowerdir={}/low:{}/low"], "ELOOP",
                       "lowerdir {}/low and lowerdir {}/low are the same directory",
                       "of which none lies in another"),
    "one in another": (["lowerdir={}/up/in:{}/up"], "ELOOP",
                       "lowerdir {}/up/in and lowerdir {}/up overlap", "of which none lies"),
    "upper as lower": (["lowerdir={}/up", "upperdir={}/up", "workdir={}/work"], "ELOOP",
                       "lowerdir {}/up and upperdir {}/up are the same directory", "none lies"),
}  # fmt: skip


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("case", WRONG)
def test_directories_that_do_not_go_together(
    refused: Refused, here: pathlib.Path, kernel: Kernel, case: str
) -> None:
    words, errno, reason, hint = WRONG[case]
    for src_in in ("host", "namespace"):
        result = refused(*words, env=kernel, src_in=src_in)
        failed(result, "fsconfig", errno, reason.replace("{}", str(here)), hint)


@pytest.mark.usefixtures("log")
def test_upper_directories_on_mounts_that_cannot_serve(
    refused: Refused, here: pathlib.Path, kernel: Kernel
) -> None:
    for name in ("tmp", "bound", "ro"):
        (here / name).mkdir()
    words = ["lowerdir={}/low", "upperdir={}/up", "workdir={}/tmp/work"]
    with mounted("-t", "tmpfs", "tests", f"{here}/tmp"):
        for name in ("up", "work"):
            (here / "tmp" / name).mkdir()
        reason = f"upperdir {here}/up and workdir {here}/tmp/work lie on different file systems"
        result = refused(*words, env=kernel)
        failed(result, "fsconfig", "EINVAL", reason, "on the same mount, side by side")
        with mounted("--bind", f"{here}/work", f"{here}/bound"):
            words = ["lowerdir={}/low", "upperdir={}/up", "workdir={}/bound"]
            reason = f"upperdir {here}/up and workdir {here}/bound lie on two mounts of one file"
            result = refused(*words, env=kernel)
            failed(result, "fsconfig", "EINVAL", reason, "on the same mount, side by side")
        with mounted("--bind", "-o", "ro", f"{here}/tmp", f"{here}/ro"):
            words = ["lowerdir={}/low", "upperdir={}/ro/up", "workdir={}/ro/work"]
            reason = f"upperdir {here}/ro/up lies on a mount that can only be read: {here}/ro"
            failed(refused(*words, env=kernel), "fsconfig", "EINVAL", reason, "leave both out")


@pytest.mark.usefixtures("log")
def test_overlays_on_overlays(refused: Refused, here: pathlib.Path, kernel: Kernel) -> None:
    with contextlib.ExitStack() as stack:
        lower = f"{here}/low"
        for name in ("one", "two"):
            (here / name).mkdir()
            layers = f"lowerdir={lower}:{here}/low2"
            stack.enter_context(mounted("-t", "overlay", "-o", layers, "tests", f"{here}/{name}"))
            lower = f"{here}/{name}"
        reason = f"lowerdir {here}/two lies on overlay already ({here}/two)"
        result = refused("lowerdir={}/two:{}/up", env=kernel)
        failed(result, "fsconfig", "EINVAL", reason, "Name the directories that lie beneath")
    with mounted("-t", "proc", "tests", f"{here}/up/in"):
        reason = f"lowerdir {here}/up/in lies on a proc"
        result = refused("lowerdir={}/up/in:{}/low", env=kernel)
        failed(result, "fsconfig", "EINVAL", reason, "Name another directory.")


def test_directories_that_another_overlay_has(refused: Refused, here: pathlib.Path) -> None:
    (here / "other").mkdir()
    layers = f"lowerdir={here}/low,upperdir={here}/up,workdir={here}/work"
    words = ["lowerdir={}/low2", "upperdir={}/up", "workdir={}/work", "index=on"]
    with mounted("-t", "overlay", "-o", f"{layers},index=on", "tests", f"{here}/other"):
        reason = f"its upperdir or workdir is in use by another overlay on {here}/other"
        failed(refused(*words), "fsconfig", "EBUSY", reason, "Unmount that one first")
    reason = "its upperdir or workdir comes from an overlay with another lowerdir"
    failed(refused(*words), "fsconfig", "ESTALE", reason, "an empty upperdir and workdir")


def test_options_that_exclude_each_other(refused: Refused) -> None:
    words = ["lowerdir={}/low", "upperdir={}/up", "workdir={}/work", "userxattr", "metacopy=on"]
    result = refused(*words)
    assert (result["syscall"], result["errno"]) == ("fsconfig", "EINVAL")
    if "the kernel says" not in result["reason"]:
        pytest.skip("/dev/kmsg cannot be read")
    reason = "the kernel says: overlayfs: conflicting options: userxattr,metacopy=on"
    failed(result, "fsconfig", "EINVAL", reason, "Correct opts.")
