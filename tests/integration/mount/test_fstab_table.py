# SPDX-License-Identifier: GPL-3.0-or-later
"""ns_mount and mount(8) with the same lines of fstab(5), in the same namespace one after the other.

The lines, and what is different about some of them, are in fstab_lines.py.
"""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import re
import subprocess
import typing as t
import uuid

import fstab_lines
import pytest
from disks import attached, new_file, run
from fstab_lines import DIFFERENT, LINES, MOUNTED_BY_MOUNT, REFUSED, Line
from results import Result, RunModule
from unshared_process import Unshared, UnsharedProcess

# How many lines came to what, by the group.
FIGURES: dict[str, collections.Counter[str]] = {}

_MAKE: dict[str, tuple[str, list[str]]] = {
    "ext2": ("16m", ["mkfs.ext2", "-q"]),
    "ext3": ("16m", ["mkfs.ext3", "-q"]),
    "ext4": ("16m", ["mkfs.ext4", "-q"]),
    "auto": ("16m", ["mkfs.ext4", "-q"]),
    "xfs": ("300m", ["mkfs.xfs", "-q"]),
    "btrfs": ("110m", ["mkfs.btrfs", "-q"]),
    "squashfs": ("0", ["mksquashfs", "{tree}", "{image}", "-quiet", "-no-progress", "-noappend"]),
    "erofs": ("0", ["mkfs.erofs", "--quiet", "{image}", "{tree}"]),
}
_UUID = {"xfs": ("-m", "uuid={}")}
# Of the image whose line says offset=.
_OFFSET = 1 << 20


class Bench:
    """What the lines are about: devices, images, directories; and a namespace to mount in."""

    def __init__(self, stack: contextlib.ExitStack, directory: pathlib.Path, target: Unshared):
        self._stack = stack
        self._directory = directory
        self._target = target
        # Of a line's source: what it is here, and the device that holds it.
        self._sources: dict[str, str] = {}
        self._devices: dict[str, str] = {}
        (directory / "content").mkdir()
        (directory / "content/file").write_text("a file")

    def line(self, line: Line, number: int, who: str) -> Line:
        """The line with sources that are there, and a mount point of its own."""
        place = self._directory / who / f"{number}{line.path}"
        words = line.opts.split(",")
        src, opts = line.src, line.opts
        if line.fstype in _MAKE and "bind" not in words:
            src = self._source(line, words)
        elif "bind" in words or "rbind" in words:
            src = self._in_tree(line.src, who)
        elif line.fstype == "overlay":
            opts = re.sub("(?<=[=:])/[^,:]+", lambda each: self._in_tree(each[0], who), opts)
        elif line.fstype == "cgroup2" and who == "theirs":
            # ns_mount leaves the host's one as it is; mount(8) takes what is not named from all.
            opts = ",".join([opts, *flags_of_cgroup2()])
        if line.path.startswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        return Line(src, str(place) if line.path.startswith("/") else line.path, line.fstype, opts)

    def tree(self, who: str) -> pathlib.Path:
        """The directories that are bound and overlaid, each with its own: an overlay leaves traces."""
        return self._directory / f"tree of {who}"

    def _in_tree(self, path: str, who: str) -> str:
        there = self.tree(who) / path.strip("/")
        (there / "inner").mkdir(parents=True, exist_ok=True)
        return str(there)

    def _source(self, line: Line, words: list[str]) -> str:
        if line.src not in self._sources:
            source = named(line.src)
            image = self._image(line, source)
            if "loop" in words or "offset=" in line.opts or line.src.endswith(".snap"):
                source = str(image)
            else:
                device = self._stack.enter_context(attached(image))
                self._devices[line.src] = device
                source = device if line.src.startswith("/") else source
            self._sources[line.src] = source
        if line.fstype == "btrfs":
            self._subvolumes(self._devices[line.src], words)
        return self._sources[line.src]

    def _image(self, line: Line, source: str) -> pathlib.Path:
        image = self._directory / f"{len(self._sources)}.img"
        size, argv = _MAKE[line.fstype]
        tag, _equals, value = source.partition("=")
        argv = [each.format(tree=self._directory / "content", image=image) for each in argv]
        if tag == "UUID":
            option, text = _UUID.get(line.fstype, ("-U", "{}"))
            argv += [option, text.format(value)]
        elif tag == "LABEL":
            argv += ["-L", value]
        if size == "0":
            run(*argv)
            return image
        new_file(image, size)
        if "offset=" in line.opts:
            run(*argv, "-E", f"offset={_OFFSET}", str(image), "8m")
        else:
            run(*argv, str(image))
        return image

    def _subvolumes(self, device: str, words: list[str]) -> None:
        names = [word.partition("=")[2] for word in words if word.startswith("subvol=")]
        if not names:
            return
        scratch = self._directory / "scratch"
        scratch.mkdir(exist_ok=True)
        self._target.run("mount", "-t", "btrfs", device, str(scratch))
        for name in names:
            above = scratch
            for part in name.strip("/").split("/"):
                above = above / part
                there = self._target.run("sh", "-c", f"test -e {above} && echo yes", check=False)
                if not there:
                    self._target.run("btrfs", "-q", "subvolume", "create", str(above))
        self._target.run("umount", str(scratch))


def named(src: str) -> str:
    """A tag with a value that no device has: of the same test others may run at the same time."""
    tag, equals, value = src.partition("=")
    other = str(uuid.uuid4())
    if not equals:
        return src
    return f"{tag}={other}" if tag == "UUID" else f"{tag}={value[:8]}{other[:4]}"


def flags_of_cgroup2() -> list[str]:
    """Those that the host's cgroup2 has."""
    rows = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    words = {word for row in rows if " - cgroup2 " in row for word in row.split(" ")[-1].split(",")}
    return sorted(words - {"ro", "rw"})


def shown(target: Unshared, path: str, tree: pathlib.Path) -> dict[str, t.Any] | None:
    """What the one mount on the path shows, with paths from the tree.

    The lower directories of an overlay are one word.
    """
    lines = [line for line in target.mountinfo() if line.split(" ")[4] == _in_a_table(path)]
    if not lines:
        return None
    (line,) = lines
    mount, _dash, filesystem = line.replace(_in_a_table(tree), "").partition(" - ")
    fields = mount.split(" ")
    fstype, src, options = filesystem.split(" ")
    words = options.split(",")
    lower = [word.partition("=")[2] for word in words if word.startswith("lowerdir+=")]
    words = [word for word in words if not word.startswith("lowerdir+=")]
    words += [f"lowerdir={':'.join(lower)}"] if lower else []
    return {
        "root": fields[3],
        "flags": {*fields[5].split(",")},
        "type": fstype,
        # Of an image each of them may get another one.
        "src": re.sub(r"/dev/loop\d+", "/dev/loop", src),
        "options": {*words},
    }


def _in_a_table(path: pathlib.Path | str) -> str:
    return str(path).replace(" ", "\\040")


def mount_8(target: Unshared, line: Line, table: pathlib.Path) -> str:
    """Have mount(8) mount the line of this table; what it says where it cannot."""
    argv = ["nsenter", f"--mount=/proc/{target.pid}/ns/mnt", "mount", "-T", str(table), line.path]
    # What it has read of devices that were there before, it takes for true for minutes.
    cache = table.with_name("blkid.tab")
    cache.unlink(missing_ok=True)
    env = {**os.environ, "BLKID_FILE": str(cache)}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0 or done.stderr
    return done.stderr.strip() if done.returncode else ""


def task_of(line: Line) -> dict[str, str]:
    """The line as an item of ``mounts``."""
    return {"src": line.src, "path": line.path, "fstype": line.fstype, "opts": line.opts}


def mounted_twice(
    run_module: RunModule, target: Unshared, line: Line
) -> tuple[Result, Result | None]:
    """Mount the line, and the same once more where that went well."""
    args = {"pid": target.pid, "mounts": [task_of(line)]}
    first = run_module("ns_mount", args)
    assert first.get("failed") or first["changed"], first
    return first, None if first.get("failed") else run_module("ns_mount", args)


def unmounted(run_module: RunModule, target: Unshared, lines: t.Sequence[Line]) -> None:
    gone = [{"path": line.path, "state": "unmounted"} for line in lines]
    result = run_module("ns_mount", {"pid": target.pid, "mounts": gone})
    assert not result.get("failed"), result


@pytest.mark.parametrize("group", LINES)
def test_lines(
    group: str,
    run_module: RunModule,
    unshared_process: UnsharedProcess,
    tmp_path: pathlib.Path,
) -> None:
    target = unshared_process()
    lines = fstab_lines.parsed(LINES[group])
    figures: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, tmp_path, target)
        ours = {line: bench.line(line, at, "ours") for at, line in enumerate(lines)}
        theirs = {line: bench.line(line, at, "theirs") for at, line in enumerate(lines)}
        results = {line: mounted_twice(run_module, target, ours[line]) for line in lines}
        by_us = {line: shown(target, ours[line].path, bench.tree("ours")) for line in lines}
        unmounted(run_module, target, [ours[line] for line in lines if by_us[line]])
        table = tmp_path / "fstab"
        table.write_text("".join(f"{line.text()}\n" for line in theirs.values()))
        said = {line: mount_8(target, each, table) for line, each in theirs.items()}
        by_them = {line: shown(target, theirs[line].path, bench.tree("theirs")) for line in lines}
        unmounted(run_module, target, [theirs[line] for line in lines if by_them[line]])
        assert not [row for row in target.mountinfo() if str(tmp_path) in row]
    for line in lines:
        result, again = results[line]
        if again is None:
            figures["refused"] += 1
            if line.name not in REFUSED or REFUSED[line.name] not in result["reason"]:
                wrong.append(f"{line.text()}: {result['reason']}")
            if bool(by_them[line]) != (line.name in MOUNTED_BY_MOUNT):
                wrong.append(f"{line.text()}: mount(8): {said[line] or by_them[line]}")
        elif again["changed"]:
            wrong.append(f"{line.text()}: the second time: {again['actions']}")
        elif line.name in REFUSED:
            wrong.append(f"{line.text()}: is mounted")
        elif by_us[line] == by_them[line]:
            figures["same"] += 1
            if line.name in DIFFERENT:
                wrong.append(f"{line.text()}: is the same as with mount(8)")
        else:
            figures["different"] += 1
            if line.name not in DIFFERENT:
                theirs_shown = by_them[line] or said[line]
                wrong.append(
                    f"{line.text()}:\n  ns_mount: {by_us[line]}\n  mount(8): {theirs_shown}"
                )
    FIGURES[group] = figures
    assert not wrong, "\n".join(wrong)


def test_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Of all lines, how many are the same as with mount(8)."""
    if FIGURES.keys() != LINES.keys():
        pytest.skip("not all groups of lines were run")
    total = sum(FIGURES.values(), collections.Counter[str]())
    rows = [*FIGURES.items(), ("all", total)]
    words = ("same", "different", "refused")
    with capsys.disabled():
        print("\nLines of fstab(5) with ns_mount and with mount(8):")
        for name, figures in rows:
            print(f"  {name:24}", ", ".join(f"{figures[word]} {word}" for word in words))
    named = [*DIFFERENT, *REFUSED]
    known = {line.name for text in LINES.values() for line in fstab_lines.parsed(text)}
    assert {*named} <= known
    assert {*MOUNTED_BY_MOUNT} <= {*REFUSED}
    assert total.total() > 100
    assert total["same"] > 2 * (total["different"] + total["refused"])
