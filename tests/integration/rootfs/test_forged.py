# SPDX-License-Identifier: GPL-3.0-or-later
"""A marker counts only where only root can have written it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tarfile

import pytest
from hostile_archives import member, write
from images import umoci
from named_namespaces import BASE, NOBODY, NewName
from results import Result, RunModule
from trees import Roots, archives, deep, digest_of, facts_of, failed, roots

from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import marker
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["archives", "deep", "roots"]

IDS = [{"inside": 0, "outside": 100_000, "count": 65_536}]


def attributes_of(path: pathlib.Path) -> dict[str, bytes]:
    """What a marker of a root is, without the part of the name that says who can write it."""
    found = {}
    for name in os.listxattr(path):
        _kind, _dot, rest = name.partition(".")
        if rest.startswith("linux_namespaces."):
            found[rest] = os.getxattr(path, name)
    assert set(found) == {"linux_namespaces.digest", "linux_namespaces.source"}
    return found


def forge(path: pathlib.Path, attributes: dict[str, bytes], *, form: str, owner: int) -> None:
    """Have a directory there that holds only ``evil``, with the marker of another root."""
    path.mkdir()
    (path / "evil").touch()
    if form == "user":
        for name, value in attributes.items():
            os.setxattr(path, f"user.{name}", value)
    else:
        text = b"\n".join(attributes[f"linux_namespaces.{part}"] for part in ("digest", "source"))
        (path / marker.FILE).write_bytes(text)
        os.chown(path / marker.FILE, owner, owner)
    os.chown(path, owner, owner)


@pytest.mark.parametrize("owner", [NOBODY, 0, 100_000])
@pytest.mark.parametrize("form", ["user", "file"])
def test_a_directory_of_somebody_else(
    form: str, owner: int, roots: Roots, run_module: RunModule
) -> None:
    """Of a plain user, of root without capabilities (in a container), of root of a user namespace."""
    genuine = {"path": str(roots.top / "genuine"), "archive": roots.first}
    assert run_module("ns_rootfs", genuine)["changed"]
    forge(roots.path, attributes_of(roots.top / "genuine"), form=form, owner=owner)
    args: Result = {"path": str(roots.path), "archive": roots.first}
    for digest in ({}, {"digest": digest_of(roots.first)}):
        failed(run_module("ns_rootfs", {**args, **digest}), "not made by")
    assert os.listdir(roots.path).count("evil") == 1
    assert run_module("ns_rootfs", {**args, "force": True})["changed"]
    assert facts_of(roots.path) == facts_of(roots.top / "genuine")


@pytest.mark.parametrize("owner", [NOBODY, 0])
def test_what_a_killed_run_is_said_to_have_left(
    owner: int, roots: Roots, run_module: RunModule
) -> None:
    """On a mount point it would have all that is there taken for its own, and removed."""
    genuine = {"path": str(roots.top / "genuine"), "archive": roots.first}
    assert run_module("ns_rootfs", genuine)["changed"]
    roots.path.mkdir()
    mounts.mount("tmpfs", str(roots.path), fstype="tmpfs")
    try:
        (roots.path / "precious").touch()
        hidden = roots.path / ".linux-namespaces.new"
        hidden.mkdir()
        attributes = attributes_of(roots.top / "genuine")
        forge(hidden / "root", attributes, form="user", owner=owner)
        os.chown(hidden, owner, owner)
        args: Result = {"path": str(roots.path), "archive": roots.first}
        failed(run_module("ns_rootfs", args), "not made by")
        assert (roots.path / "precious").exists()
    finally:
        mounts.umount(str(roots.path))


def test_what_somebody_else_has_made_is_not_built_in(roots: Roots, run_module: RunModule) -> None:
    work = roots.top / ".root.new"
    (work / "root").mkdir(parents=True)
    os.chown(work, NOBODY, NOBODY)
    held = os.open(work, os.O_RDONLY)
    try:
        assert run_module("ns_rootfs", {"path": str(roots.path), "archive": roots.first})["changed"]
        assert roots.content() == "first"
        assert os.fstat(held).st_nlink == 0  # another one was made
    finally:
        os.close(held)


@pytest.mark.parametrize("fstype", ["tmpfs", "ramfs"])
def test_inside_a_user_namespace(
    fstype: str, run_module: RunModule, new_name: NewName, roots: Roots
) -> None:
    """Root inside can do as it likes; nobody else there can."""
    genuine = {"path": str(roots.top / "genuine"), "archive": roots.first}
    assert run_module("ns_rootfs", genuine)["changed"]
    attributes = attributes_of(roots.top / "genuine")
    name = new_name()
    kinds = {"name": name, "kinds": ["user", "mnt"], "id_map": {"uid": IDS, "gid": IDS}}
    assert run_module("ns_namespace", kinds)["changed"]
    mount = {"namespace": name, "path": "/mnt", "src": "m", "fstype": fstype}
    assert run_module("ns_mount", mount)["changed"]
    enter = ["nsenter", f"--user={BASE}/{name}/user", f"--mount={BASE}/{name}/mnt"]
    form = "user" if fstype == "tmpfs" else "file"
    program = (
        "import os, sys; top, owner, mode, form, digest, source, above = sys.argv[1:]\n"
        "os.umask(0o022); os.makedirs(top); open(top + '/evil', 'w').close()\n"
        "attributes = {'digest': bytes.fromhex(digest), 'source': bytes.fromhex(source)}\n"
        "if form == 'user':\n"
        "    for name, value in attributes.items():\n"
        "        os.setxattr(top, 'user.linux_namespaces.' + name, value)\n"
        "else:\n"
        f"    path = top + '/{marker.FILE}'\n"
        "    open(path, 'wb').write(attributes['digest'] + b'\\n' + attributes['source'])\n"
        "    os.chmod(path, 0o600)\n"
        "    os.chown(path, int(owner), int(owner))\n"
        "os.chmod(top, int(mode, 8)); os.chown(top, int(owner), int(owner))\n"
        "os.chown(os.path.dirname(top), int(above), int(above))\n"
    )
    values = [attributes[f"linux_namespaces.{part}"].hex() for part in ("digest", "source")]

    def asked(top: str, owner: int, mode: str, above: int) -> Result:
        words = [top, str(owner), mode, form, *values, str(above)]
        subprocess.run([*enter, "/usr/bin/python3", "-IS", "-c", program, *words], check=True)
        args = {"namespace": name, "path": top, "archive": roots.first}
        return run_module("ns_rootfs", {**args, "digest": digest_of(roots.first)})

    for number, (owner, mode, above) in enumerate(
        [(1, "755", 0), (0, "777", 0), (0, "775", 0), (0, "755", 1), (65_534, "755", 0)]
    ):
        result = asked(f"/mnt/{number}/root", owner, mode, above)
        if (owner, mode, above) == (0, "775", 0):  # of root's own group
            assert result["actions"] == [f"record the root at /mnt/{number}/root"]
        else:
            failed(result, "not made by")
    own = asked("/mnt/own/root", 0, "755", 0)
    assert own["actions"] == ["record the root at /mnt/own/root"]


@pytest.mark.parametrize(("mode", "owner"), [(0o777, 0), (0o755, 1)])
def test_a_root_that_could_not_be_told_from_a_forged_one(
    mode: int, owner: int, run_module: RunModule, new_name: NewName, tmp_path: pathlib.Path
) -> None:
    """It is refused in a user namespace, and made on the host."""
    root = member("./", tarfile.DIRTYPE, mode=mode, uid=owner)
    archive = write(tmp_path / "a.tar", [(root, b""), (member("file"), b"")])
    assert run_module("ns_rootfs", {"path": str(tmp_path / "root"), "archive": str(archive)})[
        "changed"
    ]
    again = run_module("ns_rootfs", {"path": str(tmp_path / "root"), "archive": str(archive)})
    assert again["changed"] is False
    name = new_name()
    kinds = {"name": name, "kinds": ["user", "mnt"], "id_map": {"uid": IDS, "gid": IDS}}
    assert run_module("ns_namespace", kinds)["changed"]
    mount = {"namespace": name, "path": "/mnt", "src": "m", "fstype": "tmpfs"}
    assert run_module("ns_mount", mount)["changed"]
    args = {"namespace": name, "path": "/mnt/root", "archive": str(archive)}
    failed(run_module("ns_rootfs", args), "has to be root's own")


# --- what is brought along


def test_a_copy_brings_no_markers_along(roots: Roots, run_module: RunModule) -> None:
    """Not of the directory itself, and not of one below it that would pass for another root."""
    source = roots.top / "source"
    assert run_module("ns_rootfs", {"path": str(source), "archive": roots.first})["changed"]
    digest = digest_of(roots.first)
    nested = source / "srv/nested"
    nested.parent.mkdir()
    assert run_module("ns_rootfs", {"path": str(nested), "archive": roots.first})["changed"]
    (nested / "evil").touch()
    os.setxattr(nested / "etc", "trusted.overlay.opaque", b"y")
    (nested / "etc" / marker.FILE).touch()
    args = {"path": str(roots.path), "directory": str(source)}
    done = run_module("ns_rootfs", args)
    assert done["changed"], done
    assert done["digest"] != digest
    copied = roots.path / "srv/nested"
    assert os.listxattr(copied) == []
    assert "trusted.overlay.opaque" not in os.listxattr(copied / "etc")
    assert not (copied / "etc" / marker.FILE).exists()
    below = {"path": str(copied), "archive": roots.first, "digest": digest}
    failed(run_module("ns_rootfs", below), "not made by")
    assert run_module("ns_rootfs", args)["changed"] is False


def test_an_image_brings_no_markers_along(
    roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    genuine = {"path": str(roots.top / "genuine"), "archive": roots.first}
    assert run_module("ns_rootfs", genuine)["changed"]
    headers = {
        f"SCHILY.xattr.{kind}.{name}": value.decode("latin-1")
        for name, value in attributes_of(roots.top / "genuine").items()
        for kind in ("trusted", "user")
        if name.endswith("digest")
    }
    headers["SCHILY.xattr.trusted.overlay.opaque"] = "y"
    members = [
        (member("./", tarfile.DIRTYPE, mode=0o755, pax_headers=headers), b""),
        (member("nested", tarfile.DIRTYPE, mode=0o755, pax_headers=headers), b""),
        (member("nested/evil"), b""),
    ]
    layer = write(tmp_path / "layer.tar", members)
    layout = tmp_path / "layout"
    for words in (
        ["init", "--layout", layout],
        ["new", "--image", f"{layout}:tag"],
        ["raw", "add-layer", "--image", f"{layout}:tag", layer],
    ):
        umoci(*map(str, words))
    done = run_module("ns_rootfs", {"path": str(roots.path), "image": f"oci:{layout}:tag"})
    assert done["changed"], done
    assert os.listxattr(roots.path / "nested") == []
    assert os.getxattr(roots.path, "trusted.linux_namespaces.digest").decode() == done["digest"]


def test_an_archive_with_a_marker_further_down_is_refused(
    roots: Roots, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    members = [(member(f"nested/{marker.FILE}"), b"sha256:")]
    archive = write(tmp_path / "a.tar", members)
    result = run_module("ns_rootfs", {"path": str(roots.path), "archive": str(archive)})
    failed(result, "is no name for an entry")


def test_a_tree_that_is_very_deep(deep: pathlib.Path, run_module: RunModule) -> None:
    source, root = deep / "source", str(deep / "root")
    source.mkdir()
    fd = os.open(source, os.O_RDONLY)
    for _depth in range(1_500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    done = run_module("ns_rootfs", {"path": root, "directory": str(source)})
    assert done.get("changed"), done
    assert run_module("ns_rootfs", {"path": root, "state": "absent"})["changed"]
