# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for a list of mounts: which changes, in which order, and what is refused before any."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.layout import Layout
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import changes, compare
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import plan as plans
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.compare import (
    Identity,
    Observed,
    Source,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.table import Mount
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount.wanted import (
    WantedMount,
    surplus_below,
)

FILE = Identity(1, 2)
DIRECTORY_SOURCE = Source(FILE, 0)
FILE_SOURCE = Source(FILE, 0, is_directory=False)


def tmpfs(path: str, *words: str, **fields: t.Any) -> WantedMount:
    return WantedMount(path, "tmpfs", "tmpfs", words, **fields)


def bind(path: str, *words: str, **fields: t.Any) -> WantedMount:
    return WantedMount(path, "/srv", "", ("bind", *words), **fields)


def mounted(flags: str = "rw,relatime", fs: str = "rw", **fields: t.Any) -> Observed:
    peers = fields.pop("peers", ())
    there = Mount(
        9, 1, "0:41", "/", "/mnt", tuple(flags.split(",")), peers, "tmpfs", "tmpfs",
        tuple(fs.split(",")),
    )  # fmt: skip
    return Observed(exists=True, mount=there, identity=FILE, **fields)


EMPTY = Observed(exists=True)
MISSING = Observed(exists=False)


def plan(*pairs: tuple[WantedMount, Observed], **more: t.Any) -> list[changes.Change]:
    context: dict[str, t.Any] = {"layout": Layout(), "sources": {}, "recorded": {}, **more}
    planned = plans.plan([pair[0] for pair in pairs], [pair[1] for pair in pairs], **context)
    if len(pairs) == 1 and not context.get("surplus"):
        # Who asks this first plans only where there is something to plan.
        (wanted, seen) = pairs[0]
        nothing = compare.is_as_wanted(
            wanted,
            seen,
            source=context["sources"].get(0),
            recorded=context["recorded"].get(0),
            is_root=context["layout"].now(wanted.path) == "/",
        )
        assert nothing is (planned == [])
    return planned


def names(*pairs: tuple[WantedMount, Observed], **more: t.Any) -> list[str]:
    return [action.name for action in plan(*pairs, **more)]


def test_nothing_to_do() -> None:
    assert plan() == []
    assert plan((tmpfs("/mnt"), mounted())) == []
    assert plan((tmpfs("/mnt", state="unmounted"), EMPTY)) == []
    assert plan((tmpfs("/mnt", state="unmounted"), MISSING)) == []
    assert plan((bind("/mnt"), mounted()), sources={0: DIRECTORY_SOURCE}) == []


@pytest.mark.parametrize(
    ("wanted", "seen", "expected"),
    [
        (tmpfs("/mnt"), EMPTY, ["mount tmpfs on /mnt"]),
        (bind("/mnt"), EMPTY, ["mount bind of /srv on /mnt"]),
        (WantedMount("/mnt", "/srv", words=("rbind",)), EMPTY, ["mount rbind of /srv on /mnt"]),
        (tmpfs("/mnt", "X-mount.mkdir"), MISSING, ["mount tmpfs on /mnt"]),
        (tmpfs("/mnt", "mode=700"), mounted(),
         ["replace with tmpfs on /mnt (differs: option mode)"]),
        (tmpfs("/mnt", "mode=700"), mounted(stacked=2),
         ["replace with tmpfs on /mnt (differs: option mode)"]),
        (tmpfs("/mnt"), mounted(stacked=2), ["unstack the mounts on /mnt"]),
        (tmpfs("/mnt", "size=1m", "ro", propagation="shared"), mounted(stacked=1),
         ["unstack the mounts on /mnt", "change options of /mnt: size=1m,ro",
          "set flags of /mnt: ro,relatime", "make /mnt shared"]),
        (tmpfs("/mnt", state="unmounted"), mounted(), ["unmount /mnt"]),
        (tmpfs("/mnt", state="unmounted"), mounted(stacked=3), ["unmount /mnt"]),
        # Only changed is the one that is there, whatever it lies on.
        (tmpfs("/mnt", "ro", state="remounted"), mounted(stacked=1), ["set flags of /mnt: ro,relatime"]),
        (WantedMount("/mnt", words=("nosuid",), state="remounted"), mounted(),
         ["set flags of /mnt: rw,nosuid,relatime"]),
    ],
)  # fmt: skip
def test_one_mount(wanted: WantedMount, seen: Observed, expected: list[str]) -> None:
    sources = {0: DIRECTORY_SOURCE} if wanted.options.bind else {}
    actions = plan((wanted, seen), sources=sources)
    assert [action.name for action in actions] == expected
    assert {action.wanted for action in actions} == {wanted}
    assert [action.needs_source for action in actions] == [
        name.startswith(("mount", "replace")) for name in expected
    ]


def test_the_order_is_that_of_the_list() -> None:
    pairs = [(tmpfs("/b"), EMPTY), (tmpfs("/a"), mounted()), (tmpfs("/c"), EMPTY)]
    actions = plan(*pairs)
    assert [action.path for action in actions] == ["/b", "/c"]


# What a mount brings or takes along


def test_below_a_new_mount_everything_is_new() -> None:
    # What is seen at /mnt/a now is in the old /mnt.
    for below in (mounted(), EMPTY, MISSING):
        assert names((tmpfs("/mnt"), EMPTY), (tmpfs("/mnt/a"), below)) == [
            "mount tmpfs on /mnt",
            "mount tmpfs on /mnt/a",
        ]
    replaced = names((tmpfs("/mnt", "mode=700"), mounted()), (tmpfs("/mnt/a"), mounted()))
    assert replaced[1] == "mount tmpfs on /mnt/a"
    # A mount that is only changed keeps what is below.
    assert names((tmpfs("/mnt", "ro"), mounted()), (tmpfs("/mnt/a"), mounted()))[2:] == []
    # A neighbour with a longer name is not below.
    assert names((tmpfs("/mnt"), EMPTY), (tmpfs("/mnt2"), mounted())) == ["mount tmpfs on /mnt"]


def test_below_what_is_unmounted_everything_is_new() -> None:
    gone = tmpfs("/mnt", state="unmounted")
    assert names((gone, mounted()), (tmpfs("/mnt/a"), mounted())) == [
        "unmount /mnt",
        "mount tmpfs on /mnt/a",
    ]
    assert names((gone, EMPTY), (tmpfs("/mnt/a"), mounted())) == []
    assert names((tmpfs("/mnt/x/a"), mounted()), surplus=["/mnt/x"]) == [
        "unmount /mnt/x",
        "mount tmpfs on /mnt/x/a",
    ]


def test_nothing_is_unmounted_in_a_new_mount() -> None:
    gone = tmpfs("/mnt/a", state="unmounted")
    assert names((tmpfs("/mnt"), EMPTY), (gone, mounted())) == ["mount tmpfs on /mnt"]


def test_below_a_new_root_of_a_pivot() -> None:
    layout = Layout(pivoted=("/srv/web",))
    pairs = [(tmpfs("/srv/web/mnt"), EMPTY), (tmpfs("/mnt/a"), mounted())]
    assert names(*pairs, layout=layout)[1] == "mount tmpfs on /mnt/a"


# The root


def test_the_root_is_changed_but_not_replaced() -> None:
    assert names((tmpfs("/", "ro"), mounted()))[-1] == "set flags of /: ro,relatime"
    # What is stacked below a root was there before it: rootfs, or another root.
    assert names((tmpfs("/"), mounted(stacked=1))) == []
    with pytest.raises(Refused) as refused:
        plan((tmpfs("/", "mode=700"), mounted()))
    assert refused.value.reason == "/ is the root of the namespace and differs in option mode"
    with pytest.raises(Refused, match="cannot be unmounted"):
        plan((tmpfs("/", state="unmounted"), mounted()))
    after_pivot = Layout(pivoted=("/srv/web",))
    with pytest.raises(Refused, match="/srv/web is the root of the namespace"):
        plan((tmpfs("/srv/web", "mode=700"), mounted()), layout=after_pivot)


# Refusals


@pytest.mark.parametrize(
    ("wanted", "seen", "sources", "reason"),
    [
        (tmpfs("/mnt"), MISSING, {}, "/mnt does not exist in the target"),
        (bind("/mnt"), MISSING, {0: DIRECTORY_SOURCE}, "/mnt does not exist in the target"),
        (tmpfs("/mnt"), Observed(exists=True, is_directory=False), {},
         "/mnt is not a directory, but what is mounted on it is a directory"),
        (bind("/mnt"), Observed(exists=True, is_directory=False), {0: DIRECTORY_SOURCE},
         "/mnt is not a directory, but what is mounted on it is a directory"),
        (bind("/mnt"), EMPTY, {0: FILE_SOURCE},
         "/mnt is a directory, but what is mounted on it is not a directory"),
        (WantedMount("/mnt", state="remounted"), EMPTY, {},
         "nothing is mounted on /mnt, so there is nothing to remount"),
        (WantedMount("/mnt", state="remounted"), MISSING, {},
         "nothing is mounted on /mnt, so there is nothing to remount"),
    ],
)  # fmt: skip
def test_what_can_never_be_made(
    wanted: WantedMount, seen: Observed, sources: dict[int, Source], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        plan((wanted, seen), sources=sources)
    assert refused.value.reason == reason
    assert refused.value.hint


def test_a_file_goes_on_a_file() -> None:
    file = Observed(exists=True, is_directory=False)
    assert names((bind("/mnt"), file), sources={0: FILE_SOURCE}) == ["mount bind of /srv on /mnt"]


def test_a_source_inside_is_there_or_an_earlier_mount_brings_it() -> None:
    for src in ("/srv", "/srv/deep"):
        inner = WantedMount("/a", src, "", ("bind",), src_in="namespace")
        with pytest.raises(Refused) as refused:
            plan((inner, EMPTY))
        assert refused.value.reason == f"src {src} does not exist in the target"
        assert len(plan((tmpfs("/srv"), EMPTY), (inner, EMPTY))) == 2
        # In check mode an earlier task would have made it.
        assert len(plan((inner, EMPTY), may_be_missing=True)) == 1
        assert len(plan((inner, EMPTY), sources={0: DIRECTORY_SOURCE})) == 1


def test_one_place_has_one_mount() -> None:
    pairs = [(tmpfs("/mnt"), EMPTY._replace(name="/mnt")),
             (tmpfs("/link"), EMPTY._replace(name="/mnt"))]  # fmt: skip
    with pytest.raises(Refused) as refused:
        plan(*pairs)
    assert refused.value.reason == "/link is /mnt, and so is /mnt"
    # What is seen below a new mount says nothing.
    pairs = [(tmpfs("/mnt"), EMPTY._replace(name="/mnt")),
             (tmpfs("/mnt/a"), EMPTY._replace(name="/mnt"))]  # fmt: skip
    assert len(plan(*pairs)) == 2


# What nobody asked for


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ("/srv", ["/srv/b/deep", "/srv/a/x", "/srv/b"]),
        ("/", ["/srv/b/deep", "/srv/a/x", "/opt", "/srv", "/srv/b", "/srvx"]),
        ("/nothing", []),
    ],
)
def test_surplus_below(above: str, expected: list[str]) -> None:
    there = ["/", "/srv", "/srv/a", "/srv/a/x", "/srv/b", "/srv/b/deep", "/srvx", "/opt"]
    wanted = [tmpfs("/srv/a"), tmpfs("/srv/b", state="unmounted")]
    found = surplus_below(there, above, wanted, Layout())
    assert sorted(found) == sorted(expected)
    # What lies below another goes first.
    for index, path in enumerate(found):
        assert not any(later.startswith(f"{path}/") for later in found[index:])


def test_surplus_after_a_pivot_knows_both_names() -> None:
    layout = Layout(pivoted=("/new",))
    there = ["/", "/mnt", "/mnt/a", "/mnt/b"]
    for above, kept in (("/new/mnt", "/mnt/a"), ("/mnt", "/new/mnt/a")):
        assert surplus_below(there, above, [tmpfs(kept)], layout) == ["/mnt/b"]


def test_surplus_is_unmounted_first() -> None:
    actions = plan((tmpfs("/mnt"), EMPTY), surplus=["/mnt/a/b", "/mnt/a"])
    assert [(type(action), action.path) for action in actions] == [
        (changes.Unmount, "/mnt/a/b"),
        (changes.Unmount, "/mnt/a"),
        (changes.Attach, "/mnt"),
    ]


# Where what is there cannot be taken away


def test_what_would_be_replaced_is_covered() -> None:
    differs = (tmpfs("/mnt", "mode=700"), mounted())
    assert [type(action) for action in plan(differs)] == [changes.Replace]
    (action,) = plan(differs, covers=True)
    assert isinstance(action, changes.Attach)
    assert action.name == "mount tmpfs on /mnt"
    # What can be changed in place is.
    assert (
        names((tmpfs("/mnt", "ro"), mounted()), covers=True)[-1] == "set flags of /mnt: ro,relatime"
    )
