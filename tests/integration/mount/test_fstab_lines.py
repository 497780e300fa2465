# SPDX-License-Identifier: GPL-3.0-or-later
"""The example that turns lines of an /etc/fstab into mounts: as libmount reads the same file."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

from disks import attached, new_ext4
from processes_inside import inside
from results import Converge
from tasks import RunTasks, examples_of

FSTAB = r"""
# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
UUID=29e5b2a4-5b6c-4e0e-a0a8-8f9a1b2c3d4e /               ext4    errors=remount-ro 0       1
UUID="8A2B-1C3D"  /boot/efi       vfat    umask=0077      0       1
LABEL=my\040disk	/data\040of\040mine	auto	defaults,nofail,x-systemd.device-timeout=5s	0	2
   # indented

/swapfile                                 none            swap    sw              0       0
/dev/mapper/vg-swap swap swap defaults 0 0
PARTUUID=6c1b-01 /home xfs rw,noatime
tmpfs /tmp tmpfs nosuid,nodev,size=2G,mode=1777 0 0
/srv/a\134040b /srv/tab\011bed none bind,ro,X-mount.mkdir 0 0  # a note
server:/export /net nfs4 _netdev,noauto 0 0
proc /proc proc
"""
FSTAB += "\t \n#last"


def converted(run_tasks: RunTasks, fstab: str, where: pathlib.Path) -> list[dict[str, str]]:
    """The list of mounts that the expression of the example makes of the text."""
    (example,) = [task for task in examples_of("ns_mount") if "vars" in task]
    expression = example["linux.namespaces.ns_mount"]["mounts"]
    assert expression.startswith("{{") and expression.endswith("}}")
    content = f"{expression[:-2]} | to_json }}}}"
    copy = {"content": content, "dest": str(where), "mode": "0600"}
    run_tasks([{"ansible.builtin.copy": copy, "vars": {"fstab": fstab}}], cleanup=[])
    return list(json.loads(where.read_text()))


def read_by_libmount(fstab: str, where: pathlib.Path) -> list[dict[str, str]]:
    where.write_text(fstab)
    words = ["findmnt", "--json", "--list", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS", "--tab-file"]
    done = subprocess.run([*words, str(where)], check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout)["filesystems"])


def test_it_reads_what_libmount_reads(run_tasks: RunTasks, tmp_path: pathlib.Path) -> None:
    found = converted(run_tasks, FSTAB, tmp_path / "found")
    there = [
        {
            "src": row["source"],
            "path": row["target"],
            "fstype": row["fstype"],
            "opts": row["options"],
        }
        for row in read_by_libmount(FSTAB, tmp_path / "fstab")
        if row["fstype"] != "swap" and row["target"] != "/"
    ]
    assert len(found) == 7
    for ours, theirs in zip(found, there):
        assert ours == {key: value for key, value in theirs.items() if key in ours}


def test_a_section_as_it_is(
    converge: Converge,
    run_tasks: RunTasks,
    new_name: t.Callable[[], str],
    tmp_path: pathlib.Path,
) -> None:
    """What it says of this host is mounted, once; what is not there and need not be is left out."""
    name = new_name()
    label = f"d {name}"[-16:]
    places = [tmp_path / each for each in ("with space", "tmp", "bound", "gone", "later")]
    for place in places:
        place.mkdir()
    disk, tmp, bound, gone, later = (str(place).replace(" ", "\\040") for place in places)
    fstab = f"""
LABEL={label.replace(" ", chr(92) + "040")}  {disk}  auto  noatime,nofail,x-systemd.growfs 0 2
tmpfs {tmp} tmpfs size=1m,users 0 0
/usr/share {bound} none bind,ro 0 0
UUID=none-such {gone} ext4 defaults,nofail 0 2
tmpfs {later} tmpfs noauto 0 0
/swapfile none swap sw 0 0
"""
    with attached(new_ext4(tmp_path / "image", label=label)) as device:
        converge("ns_namespace", {"name": name, "kinds": ["mnt"]})
        wanted = converted(run_tasks, fstab, tmp_path / "found")
        made = converge("ns_mount", {"namespace": name, "mounts": wanted})
        assert [mount["path"] for mount in made["mounts"]] == [
            str(place) for place in places if place.name != "gone"
        ]
        assert made["mounts"][0]["src"] == device
        assert {"nosuid", "nodev", "noexec"} <= set(made["mounts"][1]["opts"])
        text = inside(name, lambda: pathlib.Path("/proc/self/mountinfo").read_text())
        assert f"{gone} " not in text
        converge("ns_namespace", {"name": name, "state": "absent"})
