# SPDX-License-Identifier: GPL-3.0-or-later
"""What the upper layer of an overlay hides of a new root below it: as the kernel shows it.

Each upper layer is one that the kernel has written, in a mount namespace of its own.
"""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import stat
import subprocess
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.hidden import (
    Hidden,
    hiding,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# Who changes what is inside, with the overlay as the working directory.
CHANGES: dict[str, tuple[str, str, str, list[str]]] = {
    # What is in the root, what was done inside, what another root has otherwise; what is hidden.
    "a file": ("echo 1 > f", "echo own > f", "echo 22 > f", ["/f"]),
    "of the same size": ("echo 1 > f", "echo 3 > f", "echo 2 > f", ["/f"]),
    "a file that stays": ("echo 1 > f; echo 1 > g", "echo own > f", "echo 2 > g", []),
    "rewritten the same": ("echo 1 > f", "echo own > f", "rm f; echo 1 > f", []),
    "what is the new one by now": ("echo 1 > f", "echo 2 > f", "echo 2 > f", []),
    "only the time": ("echo 1 > f", "echo own > f", "touch -d @1 f", []),
    "a new file": ("true", "echo own > f", "echo 2 > f", ["/f"]),
    "one that is gone": ("echo 1 > f", "echo own > f", "rm f", []),
    "a mode": ("echo 1 > f", "echo own > f", "chmod 4755 f", ["/f"]),
    "an owner": ("echo 1 > f", "echo own > f", "chown 3:4 f", ["/f"]),
    "a link": ("ln -s a l", "ln -sfn own l", "ln -sfn b l", ["/l"]),
    "an equal link": ("ln -s a l", "ln -sfn b l", "ln -sfn b l", []),
    "a device": ("mknod d c 1 3", "rm d; mknod d c 1 5", "rm d; mknod d c 1 7", ["/d"]),
    "a fifo": ("mkfifo p", "rm p; echo own > p", "chmod 600 p", ["/p"]),
    "a removed file": ("echo 1 > f; echo 1 > g", "rm f g", "echo 2 > f", ["/f"]),
    "a removed directory": ("mkdir -p d/e; echo 1 > d/e/f", "rm -r d", "echo 2 > d/e/f", ["/d"]),
    "removed, and all the same": ("mkdir -p d/e; echo 1 > d/e/f", "rm -r d", "echo 2 > g", []),
    "a directory made anew": (
        "mkdir -p d/e d/s; echo 1 | tee d/f d/g d/e/h d/s/i",
        "rm -r d; mkdir d; echo own > d/g",
        "echo 2 | tee d/f d/g d/e/h d/new; chmod 700 d/s",
        ["/d/e/h", "/d/f", "/d/g", "/d/new", "/d/s"],
    ),
    "below one made anew": (
        "mkdir -p d/e; echo 1 > d/e/f",
        "rm -r d; mkdir -p d/e; echo own > d/e/g",
        "echo 2 | tee d/e/f d/e/g",
        ["/d/e/f", "/d/e/g"],
    ),
    "a directory for a file": ("echo 1 > x", "rm x; mkdir x; echo own > x/y", "echo 2 > x", ["/x"]),
    "a file for a directory": (
        "mkdir x; echo 1 > x/y",
        "rm -r x; echo own > x",
        "echo 2 > x/y",
        ["/x"],
    ),
    "a file that is a directory now": (
        "echo 1 > x",
        "echo own > x",
        "rm x; mkdir x; echo 2 > x/y",
        ["/x"],
    ),
    "a file that is a link now": ("echo 1 > x", "echo own > x", "ln -sfn y x", ["/x"]),
    "the mode of a directory": ("mkdir d; echo 1 > d/f", "echo own > d/f", "chmod 711 d", ["/d"]),
    "the mode of one that nobody wrote to": ("mkdir d", "echo own > f", "chmod 711 d", []),
    "the mode of the root": ("true", "echo own > f", "chmod 751 .", ["/"]),
    "merged": ("mkdir d; echo 1 > d/f", "echo own > d/g", "echo 2 | tee d/f d/h", []),
    "through a link": (
        "mkdir d; ln -s d l; echo 1 > d/f",
        "echo own > l/f",
        "echo 2 > d/f",
        ["/d/f"],
    ),
    "a renamed directory": (
        "mkdir -p d; echo 1 | tee d/f d/g",
        "mv d e; echo own > e/f",
        "echo 2 | tee d/f d/g",
        ["/d", "/e/f"],
    ),
    "a directory in the place of a renamed one": (
        "mkdir -p d e; echo 1 | tee d/f e/f",
        "mv d x; mv e d; echo own > d/f; rmdir x 2> /dev/null || true",
        "echo 2 | tee d/f",
        ["/d"],
    ),
    "moved into one that was made": (
        "mkdir -p d; echo 1 | tee d/f d/g",
        "mkdir new; mv d new/d; echo own > new/d/f",
        "echo 2 | tee d/f d/g",
        ["/d", "/new/d/f"],
    ),
    "metadata alone": ("echo 1 > f", "chmod 600 f", "echo 22 > f", ["/f"]),
    "metadata alone, and its mode": (
        "echo 1 > f",
        "chmod 600 f",
        "echo 22 > f; chmod 600 f",
        ["/f"],
    ),
    "metadata alone, of a renamed one": (
        "echo 1 > f",
        "chmod 600 f; mv f g",
        "echo 3 > g; chmod 600 g",
        ["/g"],
    ),
}
ROUNDS = 10
FEATURES = ["redirect_dir=off,metacopy=off", "redirect_dir=on,metacopy=on"]
# What it is only with these features.
ONLY_WITH = {
    "a renamed directory": FEATURES[1],
    "a directory in the place of a renamed one": FEATURES[1],
    "moved into one that was made": FEATURES[1],
}


class Layers(t.NamedTuple):
    """The directories of an overlay."""

    old: pathlib.Path
    new: pathlib.Path
    upper: pathlib.Path
    options: str

    def hidden(self, *, most: int = 20) -> Hidden:
        return hiding(str(self.upper), str(self.old), str(self.new), most)

    def merged(self, lower: pathlib.Path, script: str) -> str:
        """Run the script with the overlay as the working directory; what it writes."""
        layers = f"lowerdir={lower},upperdir={self.upper},workdir={self.upper.parent}/work"
        mount = f"mount -t overlay -o {layers},{self.options} tests {self.upper.parent}/merged"
        argv = [
            "unshare",
            "--mount",
            "sh",
            "-euc",
            f"{mount}; cd {self.upper.parent}/merged; {script}",
        ]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def make_layers(top: pathlib.Path, options: str, *, before: str, inside: str, after: str) -> Layers:
    for name in ("old", "upper", "work", "merged"):
        (top / name).mkdir()
    layers = Layers(top / "old", top / "new", top / "upper", options)
    run_in(layers.old, before)
    layers.merged(layers.old, inside)
    subprocess.run(["cp", "-a", layers.old, layers.new], check=True)
    run_in(layers.new, after)
    return layers


def run_in(directory: pathlib.Path, script: str) -> None:
    subprocess.run(["sh", "-euc", script], check=True, cwd=directory, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("case", "options"),
    [(case, each) for case in CHANGES for each in FEATURES if ONLY_WITH.get(case, each) == each],
)
def test_what_is_hidden(case: str, options: str, tmp_path: pathlib.Path) -> None:
    before, inside, after, hidden = CHANGES[case]
    layers = make_layers(tmp_path, options, before=before, inside=inside, after=after)
    assert layers.hidden() == (hidden, len(hidden))
    assert bool(hidden_by_kernel(layers)) == bool(hidden)


# Path, kind and permissions, owner, target and device; then size and content of each file. What is
# left of a file whose content was in the lower layer alone cannot be looked at.
FACTS = (
    "find . -printf '%P|%M|%U|%G|%l|' -exec stat -c '%t.%T' '{}' ';' -type f"
    " -printf '%s\\n' -exec md5sum '{}' ';' 2> /dev/null || true"
)


def facts_of(text: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    path = ""
    for line in text.splitlines():
        if "|" not in line:
            facts[path] += f" {line.split(' ')[0]}"
        else:
            path = line.split("|")[0]
            facts[path] = line
    return facts


def hidden_by_kernel(layers: Layers) -> set[str]:
    """The paths of all that the new root has otherwise, and that the overlay shows otherwise."""
    old, new = (
        facts_of(
            subprocess.run(
                ["sh", "-c", FACTS], check=True, cwd=each, stdout=subprocess.PIPE, text=True
            ).stdout
        )
        for each in (layers.old, layers.new)
    )
    merged = facts_of(layers.merged(layers.new, FACTS))
    return {
        f"/{path}" for path, facts in new.items() if facts not in (old.get(path), merged.get(path))
    }


def is_covered(path: str, by: t.Collection[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in by)


def change(draw: random.Random, top: str, *, times: int) -> str:
    """A script that makes, changes, moves and removes a few of a few names."""
    lines = []
    for _time in range(times):
        paths = [
            "/".join(draw.choice("abc") for _level in range(draw.randint(1, 3)))
            for _which in range(2)
        ]
        one, other = paths
        lines.append(
            draw.choice(
                [
                    f"echo {draw.randint(0, 2)} > {one}",
                    f"mkdir -p {one}",
                    f"rm -rf {one}",
                    f"rm -rf {one}; mkdir {one}; echo {top} > {one}/a",
                    f"chmod {draw.choice(['700', '755'])} {one}",
                    f"ln -sfn {draw.choice('xy')} {one}",
                    f"mv -T {one} {other}",
                    f"mkdir -p {one}; echo {draw.randint(0, 2)} > {one}/b",
                ]
            )
        )
    return "exec 2> /dev/null; set +e; umask 022; " + "; ".join(lines) + "; true"


# With metacopy the kernel shows nothing at all of a directory where what a file was made of is gone.
@pytest.mark.parametrize(
    "options", ["redirect_dir=off,metacopy=off", "redirect_dir=on,metacopy=off"]
)
def test_whatever_was_done_is_told_as_the_kernel_shows_it(
    options: str, tmp_path: pathlib.Path
) -> None:
    draw = random.Random(options)
    total = 0
    for number in range(ROUNDS):
        top = tmp_path / str(number)
        top.mkdir()
        before, inside, after = (
            change(draw, word, times=times)
            for word, times in (("before", 25), ("inside", 12), ("after", 12))
        )
        layers = make_layers(top, options, before=before, inside=inside, after=after)
        told = layers.hidden(most=1000)
        shown = hidden_by_kernel(layers)
        left = {path for path in shown if not is_covered(path, told.paths)}
        assert left == set(), (before, inside, after)
        if options.startswith("redirect_dir=off"):
            # What was moved hides also what is new where it came from, and so has another path.
            more = [
                path for path in told.paths if not any(is_covered(each, [path]) for each in shown)
            ]
            assert more == [], (before, inside, after)
        assert told.paths == sorted({*told.paths})
        assert told.total == len(told.paths)
        total += told.total
    assert total > ROUNDS


def test_the_first_are_told_and_all_are_counted(tmp_path: pathlib.Path) -> None:
    layers = make_layers(
        tmp_path,
        FEATURES[0],
        before="for name in $(seq 100 150); do echo 1 > $name; done",
        inside="for name in $(seq 100 150); do echo own > $name; done",
        after="for name in $(seq 100 150); do echo 2 > $name; done",
    )
    assert layers.hidden(most=3) == (["/100", "/101", "/102"], 51)


def test_names_of_any_bytes_are_printable(tmp_path: pathlib.Path) -> None:
    layers = make_layers(tmp_path, FEATURES[0], before="true", inside="echo own > f", after="true")
    name = b"\x1b[2J\n\xff"
    for each in (layers.upper, layers.new):
        with open(os.path.join(os.fsencode(each), name), "wb") as file:
            file.write(os.fsencode(each))
    assert layers.hidden() == (["/\\x1b[2J\\x0a\\udcff"], 1)


@pytest.mark.parametrize("options", FEATURES)
def test_of_metadata_alone_the_content_is_the_new_one(options: str, tmp_path: pathlib.Path) -> None:
    layers = make_layers(
        tmp_path,
        options,
        before="echo 1 > f",
        inside="chmod 600 f",
        after="echo 2 > f; chmod 600 f",
    )
    shown = layers.merged(layers.new, "cat f")
    assert shown == {FEATURES[0]: "1\n", FEATURES[1]: "2\n"}[options]
    assert layers.hidden().paths == (["/f"] if shown == "1\n" else [])


def test_what_a_lower_layer_has_as_removed_is_not_there(tmp_path: pathlib.Path) -> None:
    layers = make_layers(
        tmp_path,
        FEATURES[0],
        before="echo 1 > f; mknod g c 0 0",
        inside="echo own > f; echo own > g",
        after="rm f; mknod f c 0 0; rm g; echo 2 > g",
    )
    assert layers.hidden() == (["/g"], 1)


def test_nothing_outside_is_looked_at(tmp_path: pathlib.Path) -> None:
    layers = make_layers(
        tmp_path, FEATURES[0], before="mkdir d", inside="echo own > d/f", after="true"
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("outside")
    # A link in the place of a directory leads nowhere, in whichever layer.
    for each in (layers.new, layers.upper):
        shutil.rmtree(each / "d")
        (each / "d").symlink_to(outside)
        assert layers.hidden().paths in ([], ["/d"])
    # What is mounted there is none of it.
    for each in (layers.new, layers.upper):
        (each / "d").unlink()
        (each / "d").mkdir()
    (layers.upper / "d/f").write_text("own")
    mounts.mount(str(outside), str(layers.new / "d"), flags=mounts.MS_BIND)
    try:
        assert layers.hidden() == ([], 0)
    finally:
        mounts.umount(str(layers.new / "d"))
    # What an attribute leads to lies in the layer.
    os.setxattr(layers.upper / "d", "trusted.overlay.redirect", b"/../outside")
    assert layers.hidden() == ([], 0)


def test_a_hole_of_a_terabyte_is_not_read(tmp_path: pathlib.Path) -> None:
    layers = make_layers(tmp_path, FEATURES[0], before="true", inside="echo own > f", after="true")
    for each in (layers.old, layers.new):
        with (each / "f").open("wb") as file:
            file.truncate(1 << 40)
    assert layers.hidden() == ([], 0)
    with (layers.new / "f").open("r+b") as file:
        file.seek(1 << 39)
        file.write(b"x")
    assert layers.hidden() == (["/f"], 1)


def test_a_whiteout_by_an_attribute(tmp_path: pathlib.Path) -> None:
    layers = make_layers(
        tmp_path, FEATURES[0], before="true", inside="true", after=": > f; chmod 644 f"
    )
    (layers.upper / "f").touch()
    (layers.upper / "f").chmod(0o644)
    assert stat.S_IMODE((layers.new / "f").stat().st_mode) == 0o644
    assert layers.hidden() == ([], 0)
    os.setxattr(layers.upper / "f", "trusted.overlay.whiteout", b"")
    assert layers.hidden() == (["/f"], 1)
