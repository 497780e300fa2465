# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a namespace and of its services, as they are asked for."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations import (
    definition_files,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.operations.definition_request import (
    DefinitionRequest,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.options import definition

Entry = dict[str, t.Any]
HOME = "/var/lib/linux-namespaces-web"
CONFIG = {"dest": f"{HOME}/site/x.conf", "content": "a", "validate": ["/bin/test", "%s"]}


def request_of(**entry: t.Any) -> DefinitionRequest:
    listed = definition.listed([{"name": "web", **entry}])
    (found,) = definition.requests_of(listed, lock_timeout=0)
    return found


def test_what_is_left_out() -> None:
    files = [
        {"dest": f"{HOME}/a", "content": "é\n"},
        {"dest": f"{HOME}//b/", "state": "directory"},
    ]
    one, other = request_of(files=files).files
    assert (one.file.mode, one.file.owner, one.file.group) == (0o644, "root", "root")
    assert one.content == "é\n".encode()
    assert (other.file.mode, other.file.is_directory) == (0o755, True)
    assert (other.file.dest, other.content) == (f"{HOME}/b", b"")


def test_those_of_a_service_know_it() -> None:
    service = {"name": "x", "argv": ["/x"], "files": [{"dest": f"{HOME}/a", "content": ""}]}
    (found,) = request_of(services=[service]).files
    assert found.file.service == "x"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([{"dest": "a", "content": ""}], "files[0]: dest must be an absolute path"),
        ([{"dest": "/etc/passwd", "content": ""}], f"/etc/passwd, which is not below {HOME}"),
        ([{"dest": HOME, "content": ""}], "which is not below"),
        ([{"dest": f"{HOME}x/a", "content": ""}], "which is not below"),
        ([{"dest": f"{HOME}/../x", "content": ""}], "must not hold '..'"),
        ([{"dest": f"{HOME}/rootfs/x", "content": ""}], "where its root is"),
        ([{"dest": f"{HOME}/upper", "state": "directory"}], "where its root is"),
        ([{"dest": f"{HOME}/a"}], "has no content"),
        ([{"dest": f"{HOME}/a", "state": "directory", "content": ""}], "which has no content"),
        ([{"dest": f"{HOME}/a", "content": "", "mode": 420}], "mode is 420, which is no mode"),
        ([{"dest": f"{HOME}/a", "content": "", "mode": "u=rw"}], "which is no mode"),
        ([{"dest": f"{HOME}/a", "content": "", "mode": "99"}], "which is no mode"),
        ([{"dest": f"{HOME}/a", "content": "", "owner": ""}], "owner is '', which is no name"),
        ([{"dest": f"{HOME}/a", "content": "", "validate": ["/x"]}], "where the file goes"),
        ([{"dest": f"{HOME}/a", "contents": ""}], "files[0] has 'contents', which is unknown"),
        (
            [{"dest": f"{HOME}/a", "content": ""}, {"dest": f"{HOME}//a", "content": ""}],
            f"files[1]: {HOME}/a is listed twice",
        ),
        (
            [{"dest": f"{HOME}/a/b", "content": ""}, {"dest": f"{HOME}/a", "content": ""}],
            f"{HOME}/a/b is to be below {HOME}/a, which is a file",
        ),
    ],
)
def test_what_makes_no_sense(files: list[Entry], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        request_of(files=files)
    assert refused.value.reason.startswith("namespaces[0]")
    assert reason in refused.value.reason


def test_one_file_for_a_service_and_its_namespace() -> None:
    service = {"name": "x", "argv": ["/x"], "files": [{"dest": f"{HOME}/a", "content": ""}]}
    with pytest.raises(Refused, match=r"services\[0\] \('x'\): files\[0\]: .* is listed twice"):
        request_of(files=[{"dest": f"{HOME}/a", "content": ""}], services=[service])


@pytest.mark.parametrize(
    ("mounts", "inside"),
    [
        ([], f"{HOME}/site/x.conf"),
        ([("/srv", f"{HOME}/site")], "/srv/x.conf"),
        ([("/srv", HOME), ("/etc", f"{HOME}/site")], "/etc/x.conf"),
        ([("/srv", HOME), ("/etc", f"{HOME}/sit")], "/srv/site/x.conf"),
    ],
)
def test_what_it_is_called_inside(mounts: list[tuple[str, str]], inside: str) -> None:
    listed = [{"path": path, "src": src, "opts": "bind"} for path, src in mounts]
    request = request_of(mounts=listed, files=[CONFIG])
    assert definition_files.seen_inside(request, CONFIG["dest"]) == inside


@pytest.mark.parametrize(
    "mounts",
    [
        [],
        [{"path": "/srv", "src": f"{HOME}/site/x.conf", "opts": "bind"}],
        [{"path": "/srv", "src": f"{HOME}/site", "opts": "bind", "src_in": "namespace"}],
    ],
)
def test_nothing_inside_could_validate_it(mounts: list[Entry]) -> None:
    with pytest.raises(Refused, match="no mount shows"):
        request_of(rootfs={"directory": "/srv/tree"}, mounts=mounts, files=[CONFIG])
