# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds a path, as far as mount tables and texts say it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.facts import (
    holders,
    holders_kernel,
    holders_mounts,
    holders_remedy,
    holders_spaces,
    holders_subject,
    holders_users,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts.holders_mounts import (
    Known,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts.holders_spaces import (
    Space,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.facts.holders_subject import (
    Part,
    Subject,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table

HOST = table.parse(
    """\
1 0 254:0 / / rw shared:1 - ext4 /dev/vda rw
2 1 0:20 / /proc rw shared:2 - proc proc rw
3 1 254:1 / /data rw shared:3 - ext4 /dev/vdb rw
4 1 254:0 /srv/web /web rw shared:1 - ext4 /dev/vda rw
5 1 0:30 / /run/linux-namespaces rw - tmpfs linux-namespaces rw
6 5 0:4 mnt:[402] /run/linux-namespaces/web/mnt rw - nsfs nsfs rw
7 5 0:4 mnt:[403] /run/linux-namespaces/.closed/db/mnt rw - nsfs nsfs rw
8 1 0:4 mnt:[404] /run/other rw - nsfs nsfs rw
9 1 0:4 net:[405] /run/linux-namespaces/web/net rw - nsfs nsfs rw
"""
)
# One that came along, one that is bound, and an overlay.
WEB = table.parse(
    """\
11 10 254:0 / / rw - ext4 /dev/vda rw
13 11 254:1 / /data rw - ext4 /dev/vdb rw
14 11 254:1 /sub /here rw - ext4 /dev/vdb rw
15 11 0:40 / /merged rw - overlay none rw,lowerdir=/data/low\\:er:/usr,upperdir=/data/up,workdir=/data/wo
16 11 254:1 /gone//deleted /old rw - ext4 /dev/vdb rw
"""
)
FOLLOWS = table.parse(
    """\
21 20 254:0 / / rw master:1 - ext4 /dev/vda rw
23 21 254:1 / /data rw master:3 - ext4 /dev/vdb rw
"""
)
DATA = Subject("/data", "/data", "mount", True, (Part("254:1", "/"),))


def space(number: int, mounts: t.Sequence[table.Mount], name: str = "", pid: int = 0) -> Space:
    pins = (f"/run/linux-namespaces/{name}/mnt",) if name else ()
    return Space(number, number == 401, name, pins, pid, mounts)


SPACES = [space(401, HOST), space(402, WEB, "web"), space(403, FOLLOWS, pid=77)]
SHOWN = {each.id for there in SPACES for each in there.mounts if DATA.is_of(each)}


def test_the_part_that_a_path_leads_to() -> None:
    assert holders_subject.part_at(HOST, "/") == Part("254:0", "/")
    assert holders_subject.part_at(HOST, "/data/x") == Part("254:1", "/x")
    assert holders_subject.part_at(HOST, "/database") == Part("254:0", "/database")
    assert holders_subject.part_at(HOST, "/web/x") == Part("254:0", "/srv/web/x")
    assert holders_subject.part_at((), "/") == Part("", "")
    on_top = [*HOST, HOST[2]._replace(id=99, device="254:9")]
    assert holders_subject.part_at(on_top, "/data") == Part("254:9", "/")


@pytest.mark.parametrize(
    ("path", "answers", "kind", "part"),
    [
        ("/data", False, "mount", Part("254:1", "/")),
        ("/data", True, "absent", Part("254:1", "/")),
        ("/data/x", False, "absent", Part("254:1", "/x")),
    ],
)
def test_what_only_its_text_tells(path: str, answers: bool, kind: str, part: Part) -> None:
    found = holders_subject.by_text(path, HOST, answers=answers)
    assert (found.kind, found.parts) == (kind, (part,))


def test_what_lies_in_it() -> None:
    directory = Subject("/web", "/web", "directory", True, (Part("254:0", "/srv/web"),))
    assert directory.covers(Part("254:0", "/srv/web/x"))
    assert not directory.covers(Part("254:0", "/srv/website"))
    assert not directory.covers(Part("254:1", "/srv/web"))
    # What was removed is another one, unless nothing is there now.
    assert not directory.covers(Part("254:0", "/srv/web//deleted"))
    assert directory._replace(kind="absent").covers(Part("254:0", "/srv/web//deleted"))
    assert directory.within(HOST[0]) == "/srv/web"
    assert directory.within(HOST[3]) == "/web"
    assert directory.within(HOST[2]) == ""
    btrfs = HOST[2]._replace(device="0:50")
    assert not DATA.is_of(btrfs)
    assert DATA._replace(names=frozenset({"/dev/vdb"})).is_of(btrfs)


def test_pins_and_names() -> None:
    found = holders_spaces.pins_in(HOST)
    assert sorted(found) == [402, 403, 404]
    names = [holders_spaces.name_by(found[number]) for number in sorted(found)]
    assert names == ["web", "db", ""]
    assert holders_spaces.name_by(["/run/linux-namespaces/.next.web/mnt"]) == ""


def test_how_each_came_to_be_there() -> None:
    known = {402: Known(frozenset({11, 13}), frozenset({"/here"}))}
    found = holders_mounts.of(DATA, SPACES, SHOWN, known)
    assert [(each.space.id, each.mount.id, each.how, each.follows) for each in found] == [
        (401, 3, "host", False),
        (402, 13, "copy", False),
        (402, 14, "bind", False),
        (402, 16, "bind", False),
        (403, 23, "propagated", True),
    ]
    origins = [each.origin for each in found]
    assert origins[0] == "ext4 of /dev/vdb"
    assert "what the host unmounts stays mounted here" in origins[1]
    assert origins[2] == "a bind of /data/sub, as its definition says"
    assert origins[3] == "a bind of /gone, which was removed since"
    assert origins[4].endswith("it is a slave of peer group 3 with /data of the host")


def test_what_the_kernel_holds() -> None:
    texts = [each.text for each in holders_kernel.overlays(DATA, SPACES)]
    where = "the overlay on /merged in namespace web"
    assert texts == [
        f"{where} has /data/low:er as its lowerdir",
        f"{where} has /data/up as its upperdir",
        f"{where} has /data/wo as its workdir",
    ]
    swaps = "Filename Type Size Used Priority\n/data/a\\040b file 1 0 -2\n/swap file 1 0 -2\n"
    assert [each.text for each in holders_kernel.swaps(DATA, SPACES, swaps)] == [
        "/data/a b is used for swap"
    ]


def test_units() -> None:
    assert holders.unit_of("0::/system.slice/nginx.service\n") == "nginx.service"
    assert holders.unit_of("1:name=systemd:/a.slice/b.service/deep\n0::/\n") == "b.service"
    assert holders.unit_of("4:memory:/x.service\n") == holders.unit_of("odd") == ""


def test_which_mount_a_path_is_on() -> None:
    wanted = holders_users.Wanted(DATA, SPACES, SHOWN, {"7": "/data/s", "8": "/x"})
    assert wanted.mount_of("/data/x", 402) == 13
    assert wanted.mount_of("/here", 402) == 14
    assert wanted.mount_of("/here", 401) == wanted.mount_of("/data", 999) == -1
    assert wanted.sockets == {"7": "/data/s"}
    assert wanted.in_maps == {b"fe:01": "254:1"}
    # Mapped in another namespace, and where none has it any more.
    assert wanted.mount_of_mapped("/here/x", "254:1", 401) == 14
    assert wanted.mount_of_mapped("/nosuch", "254:1", 401) == 0


def test_what_to_do_in_order() -> None:
    uses = (holders_users.Use("directory", -1, "", "/data", 3),)
    unit = "linux-namespaces:web:nginx.service"
    found = holders.Found(
        DATA,
        SPACES,
        holders_mounts.of(DATA, SPACES, SHOWN, {402: Known(None, frozenset())}),
        [],
        [holders.Holder(5, 0, "nginx", unit, 402, uses), holders.Holder(6, 0, "sh", "", 401, uses)],
        [*holders_kernel.overlays(DATA, SPACES)],
        [],
    )
    assert found.is_busy
    here, elsewhere = holders_remedy.of(found)
    assert here[0].startswith("stop the service nginx of namespace web (systemctl stop ")
    assert here[1:3] == [
        "end, or have them let go of it: 6 (sh)",
        "unmount /data on the host: umount /data",
    ]
    assert here[3].startswith("umount --lazy only takes it out of sight")
    assert elsewhere[:2] == [
        "unmount the overlay on /merged in namespace web",
        "unmount /data in namespace web: nsctl exec web -- umount /data",
    ]
    # What goes with the host's needs no step of its own.
    assert not any("nsenter" in step for step in elsewhere)


def test_names_are_quoted() -> None:
    odd = Space(9, False, "", ("/run/a b",), 0, ())
    mount = HOST[2]._replace(path="/it's; reboot")
    holding = holders_mounts.Holding(odd, mount, "mount", "ext4", False, ())
    found = holders.Found(DATA, SPACES, [holding], [], [], [], [])
    (step,) = holders_remedy.of(found).here
    assert step.endswith("nsenter --mount='/run/a b' -- umount '/it'\"'\"'s; reboot'")
