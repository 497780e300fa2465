# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition is checked whole before anything changes: each mistake is told with its place."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from written_definition import written

from ansible_collections.linux.namespaces.plugins.module_utils._core.definition.root import (
    home_of,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl import apply, diff
from ansible_collections.linux.namespaces.plugins.module_utils._core.nsctl.arguments import parse
from ansible_collections.linux.namespaces.plugins.module_utils._core.printable import printable

Entry = dict[str, t.Any]
TMPFS = {"fstype": "tmpfs", "src": "test"}
ALL_KINDS = ["mnt", "uts", "ipc", "net", "pid", "user", "time", "cgroup"]
# Its home is /var/lib/linux-namespaces-x.
HOME = home_of("x")


def refused(*entries: Entry, **file: t.Any) -> Refused:
    with pytest.raises(Refused) as found:
        apply.wish_of({"namespaces": list(entries), **file})
    error = found.value
    for text in (error.reason, error.hint):
        assert printable(text) == text
        assert len(text) < 600
    return error


def second(entry: Entry) -> Refused:
    """What is wrong with it, as the second of three."""
    error = refused({"name": "ok"}, {"name": "x", **entry}, {"name": "also-ok"})
    assert "namespaces[1]" in error.reason
    return error


def service(**options: t.Any) -> Entry:
    listed = [{"name": "a", "argv": ["a"]}, {"name": "b", "argv": ["b"], **options}]
    return {"kinds": ALL_KINDS, "services": listed}


def test_one_without_a_mistake() -> None:
    assert len(apply.wish_of(written()).requests) == len(written()["namespaces"])


@pytest.mark.parametrize(
    ("entry", "place", "nearest"),
    [
        ({"mount": []}, "namespaces[1] has 'mount'", "mounts"),
        ({"kinds": ["mnt", "nte"]}, "namespaces[1]: kinds[1] is 'nte'", "net"),
        ({"propagation": "slav"}, "namespaces[1]: propagation is 'slav'", "slave"),
        ({"time_offsets": {"monotonc": 1}}, "time_offsets has 'monotonc'", "monotonic"),
        ({"rootfs": {"imge": "x"}}, "namespaces[1]: rootfs has 'imge'", "image"),
        ({"rootfs": {"directory": "/a", "root": "overly"}}, "rootfs: root is 'overly'", "overlay"),
        ({"rootfs": {"bootstrap": {"suit": "x"}}}, "rootfs: bootstrap has 'suit'", "suite"),
        ({"mounts": [{"path": "/a"}, {"pth": "/b"}]}, "mounts[1] has 'pth'", "path"),
        ({"mounts": [{"path": "/a", "src_in": "hst"}]}, "mounts[0]: src_in is 'hst'", "host"),
        (service(argz=["a"]), "namespaces[1]: services[1] has 'argz'", "argv"),
        (service(ready={"prt": 80}), "services[1]: ready has 'prt'", "port"),
        (service(reload={"sgnal": "HUP"}), "services[1]: reload has 'sgnal'", "signal"),
        (service(restart_policy={"condition": "alway"}), "condition is 'alway'", "always"),
        (service(supervisor="sytemd"), "services[1]: supervisor is 'sytemd'", "systemd"),
        (service(state="restarted"), "services[1]: state is 'restarted'", "started"),
        (service(limits={"nofle": 1}), "'nofle' is not a resource limit", "nofile"),
        ({"steps": [{"do": "pivt"}]}, "namespaces[1]: steps[0]: do is 'pivt'", "pivot"),
        ({"steps": [{"do": "pivot", "newroot": "/"}]}, "steps[0] has 'newroot'", "new_root"),
        ({"files": [{"dst": "/a"}]}, "namespaces[1]: files[0] has 'dst'", "dest"),
    ],
)
def test_an_unknown_word_is_told_with_the_nearest(entry: Entry, place: str, nearest: str) -> None:
    error = second(entry)
    assert place in error.reason
    assert f"Did you mean {nearest}?" in error.hint


def test_of_a_word_that_is_near_to_none_the_known_ones_are_told() -> None:
    assert "Known are domainname, " in second({"quux": 1}).hint
    assert "Did you mean" not in second({"quux": 1}).hint
    assert refused(exclusve=True).hint == "Did you mean exclusive? Known are exclusive, namespaces."


def test_two_of_one_name() -> None:
    error = refused({"name": "a"}, {"name": "b"}, {"name": "a"})
    assert error.reason == "namespaces[2] ('a'): namespace a is listed twice"


@pytest.mark.parametrize("path", ["/a/b", "/a/b/", "/a//b", "//a/./b"])
def test_two_at_one_place(path: str) -> None:
    mounts = [{"path": "/a/b", **TMPFS}, {"path": "/a/c", **TMPFS}, {"path": path, **TMPFS}]
    assert "mounts[2]: /a/b is named twice" in second({"mounts": mounts}).reason
    for step in ({"do": "mount", **TMPFS}, {"do": "unpack", "directory": "/srv"}):
        steps = [{"path": "/a/b", **step}, {"path": path, **step}]
        assert "steps[1]: the " in second({"steps": steps}).reason
    steps = [{"do": "pivot", "new_root": "/a/b"}, {"do": "pivot", "new_root": path}]
    assert "steps[1]: the pivot to /a/b is listed twice" in second({"steps": steps}).reason


def test_two_services_of_one_name() -> None:
    error = second(service(name="a"))
    assert "services[1] ('a'): service a is listed twice" in error.reason


@pytest.mark.parametrize(
    "other", [HOME, f"{HOME}/", HOME.replace("/lib", "//lib"), f"{HOME}/below", "/var/lib"]
)
def test_two_roots_in_one_place(other: str) -> None:
    mine = {"name": "x", "rootfs": {"directory": "/srv"}}
    theirs = {"name": "y", "rootfs": {"directory": "/srv", "home": other}}
    for listed in ([mine, theirs], [theirs, mine]):
        error = refused(*listed)
        assert error.reason.startswith(f"namespaces[1] ('{listed[1]['name']}'): rootfs: its home ")
        assert f"namespace {listed[0]['name']}" in error.reason
    assert apply.wish_of({"namespaces": [mine, {**mine, "name": "y"}]}).requests


ROOT = {"directory": "/srv/tree"}
MISTAKES: list[tuple[Entry, str]] = [
    # What has to be there.
    ({"name": None}, "namespaces[1] has no name"),
    ({"mounts": [{"src": "/a"}]}, "mounts[0] has no path"),
    ({"services": [{"argv": ["a"]}]}, "services[0] has no name"),
    ({"services": [{"name": "a"}]}, "services[0] ('a'): it has no program"),
    (service(argv=None, image_config={}), "services[1] ('b'): it has no program"),
    (service(argv=[]), "services[1] ('b'): argv names no program"),
    (service(argv=[""]), "services[1] ('b'): argv names no program"),
    ({"rootfs": {}}, "rootfs: a root needs a source"),
    ({"rootfs": {"home": "/a/b"}}, "rootfs: a root needs a source"),
    ({"rootfs": {**ROOT, "archive": "/a"}}, "rootfs has archive and directory"),
    ({"steps": [{"path": "/a"}]}, "steps[0] has no do"),
    ({"steps": [{"do": "mount", "fstype": "tmpfs"}]}, "steps[0]: the step has no path"),
    ({"steps": [{"do": "unpack", "path": "/a"}]}, "steps[0]: the step has no archive"),
    ({"kinds": []}, "kinds is empty"),
    # What goes with it.
    ({"kinds": ["net"], "mounts": [{"path": "/a", **TMPFS}]}, "need the kind mnt"),
    ({"kinds": ["net"], "rootfs": ROOT}, "need the kind mnt"),
    ({"kinds": ["net"], "steps": [{"do": "pivot", "new_root": "/a"}]}, "need the kind mnt"),
    ({"hostname": "a"}, "hostname needs the kind uts"),
    ({"time_offsets": {"boottime": 1}}, "time_offsets needs the kind time"),
    ({"id_map": "root"}, "id_map needs the kind user"),
    ({"sysctl": {"net.core.somaxconn": 1}}, "sysctl net.core.somaxconn needs the kind net"),
    (
        {"steps": [{"do": "mount", "path": "/a", **TMPFS}], "mounts": [{"path": "/b", **TMPFS}]},
        "has steps, and mounts or a rootfs",
    ),
    ({"steps": [{"do": "mount", "path": "/a", **TMPFS}], "rootfs": ROOT}, "has steps, and mounts"),
    (
        {"steps": [{"do": "mount", "path": "/a", **TMPFS, "new_root": "/b"}]},
        "steps[0]: the step has new_root, which a mount does not take",
    ),
    ({"steps": [{"do": "pivot", "new_root": "/a", "path": "/b"}]}, "the step has path"),
    (service(ready={"port": 80, "file": "/a"}), "ready has port and file"),
    (service(reload={"signal": "HUP", "argv": ["a"]}), "reload has signal and argv"),
    (service(ready={"address": "::1"}), "ready has an address, and no port"),
    # Paths.
    ({"mounts": [{"path": "a", **TMPFS}]}, "mounts[0]: path must be an absolute path, not 'a'"),
    ({"mounts": [{"path": "", **TMPFS}]}, "mounts[0]: path must be an absolute path"),
    ({"mounts": [{"path": "/a/../b", **TMPFS}]}, "mounts[0]: path must not hold '..'"),
    ({"mounts": [{"path": "/", **TMPFS}]}, "mounts[0]: path is /, where its root is"),
    ({"mounts": [{"path": "/" + "a" * 256, **TMPFS}]}, "mounts[0]: path "),
    ({"mounts": [{"path": "/a" * 2_100, **TMPFS}]}, "is too long"),
    ({"mounts": [{"path": "/a", "src": "b", "opts": "bind"}]}, "src must be an absolute path"),
    ({"mounts": [{"path": "/a", "opts": "bind"}]}, "mounts[0]: the bind on /a needs src"),
    ({"rootfs": {"directory": "srv"}}, "rootfs: directory must be an absolute path"),
    ({"rootfs": {"archive": "../a.tar"}}, "rootfs: archive must be an absolute path"),
    ({"rootfs": {**ROOT, "home": "a"}}, "rootfs: home must be an absolute path"),
    ({"rootfs": {**ROOT, "home": "/"}}, "rootfs: home must not be / itself"),
    ({"rootfs": {**ROOT, "home": "/etc"}}, "rootfs: home must not be /etc, which is a directory"),
    (
        {"rootfs": {"directory": "/srv/a/tree", "home": "/srv/a"}},
        "directory is /srv/a/tree, and the home /srv/a: one lies in the other",
    ),
    ({"rootfs": {**ROOT, "home": "/srv/tree/x"}}, "one lies in the other"),
    ({"rootfs": {"archive": f"{HOME}/a.tar"}}, "one lies in the other"),
    (
        {"rootfs": {"image": "oci:/a:b", "authfile": "auth.json"}},
        "rootfs: authfile must be an absolute path",
    ),
    ({"steps": [{"do": "pivot", "new_root": "a"}]}, "steps[0]: new_root must be an absolute path"),
    ({"steps": [{"do": "pivot", "new_root": "/"}]}, "steps[0]: new_root is / already"),
    (
        {"steps": [{"do": "pivot", "new_root": "/a", "put_old": "/b"}]},
        "steps[0]: put_old /b does not lie below new_root /a",
    ),
    ({"steps": [{"do": "unpack", "path": "/", "directory": "/a"}]}, "path must not be / itself"),
    ({"steps": [{"do": "unpack", "path": "a", "directory": "/a"}]}, "steps[0]: path must be"),
    ({"steps": [{"do": "unpack", "path": "/a", "directory": "b"}]}, "steps[0]: directory must be"),
    (
        {"steps": [{"do": "unpack", "path": "/a", "archive": "/b", "digest": "x"}]},
        "steps[0]: digest must be sha256: and 64 hexadecimal digits",
    ),
    (service(chdir="srv"), "services[1] ('b'): chdir must be an absolute path"),
    (service(ready={"file": "run/a"}), "services[1] ('b'): file must be an absolute path"),
    # What a source is.
    ({"rootfs": {**ROOT, "digest": "a" * 64}}, "rootfs: digest must be sha256:"),
    ({"rootfs": {**ROOT, "digest": "sha256:" + "g" * 64}}, "rootfs: digest must be sha256:"),
    ({"rootfs": {**ROOT, "digest": "sha256:" + "a" * 63}}, "rootfs: digest must be sha256:"),
    ({"rootfs": {**ROOT, "size_limit": "many"}}, "rootfs: size_limit 'many' is no size"),
    ({"rootfs": {**ROOT, "size_limit": 0}}, "rootfs: size_limit must be more than nothing"),
    ({"rootfs": {"image": "nginx"}}, "rootfs: 'nginx' is not the name of an image"),
    ({"rootfs": {"image": ""}}, "rootfs: '' is not the name of an image"),
    ({"rootfs": {"bootstrap": {"suite": "../x"}}}, "rootfs: '../x' cannot stand in the suite"),
    # Names.
    ({"name": "a/b"}, "'a/b' cannot be a name"),
    ({"name": ""}, "'' cannot be a name"),
    ({"name": "a" * 65}, "cannot be a name"),
    (service(name="../b"), "services[1] ('../b'): '../b' cannot be a name"),
    ({"kinds": ["mnt", "uts"], "hostname": "a" * 65}, "hostname must have 1 to 64 bytes"),
    ({"kinds": ["mnt", "uts"], "hostname": ""}, "hostname must have 1 to 64 bytes"),
    ({"kinds": ["mnt", "uts"], "domainname": "é" * 33}, "domainname must have 1 to 64 bytes"),
    ({"share": {"net": "x"}}, "cannot share its net with itself"),
    ({"share": {"net": "../y"}}, "'../y' cannot be a name"),
    ({"share": {"net": None}}, "share: the value of net must be a text, not nothing"),
    ({"share": {"mnt": "y"}}, "the kind mnt is not for sharing"),
    ({"share": {"nte": "y"}}, "the kind nte is not for sharing"),
    ({"kinds": ["mnt", "net"], "share": {"net": "y"}}, "a net of its own, and that of y"),
    # Maps, parameters and clocks.
    ({"kinds": ["user"], "id_map": "rot"}, "id_map must be root, current, auto or a dictionary"),
    ({"kinds": ["user"], "id_map": []}, "id_map must be root"),
    ({"kinds": ["user"], "id_map": {"uid": []}}, "id_map must have uid and gid"),
    ({"kinds": ["user"], "id_map": {"uid": [], "gid": []}}, "uid of id_map must be a list"),
    (
        {"kinds": ["user"], "id_map": {"uid": [{"inside": 0}], "gid": [{"inside": 0}]}},
        "a range of uid in id_map has inside, outside and count",
    ),
    ({"kinds": ["mnt", "net"], "sysctl": {"vm.swappiness": 1}}, "belongs to no namespace"),
    ({"kinds": ["mnt", "net"], "sysctl": {"net.a.": 1}}, "is not the name of a kernel parameter"),
    ({"kinds": ["mnt", "net"], "sysctl": {"net.a": {}}}, "the value of net.a must be a text"),
    ({"kinds": ["uts"], "sysctl": {"kernel.hostname": "a"}}, "is not set by sysctl here"),
    ({"kinds": ["time"], "time_offsets": {"monotonic": -(10**9)}}, "would be below zero"),
    ({"kinds": ["time"], "time_offsets": {"boottime": 10**10}}, "or overflow"),
    ({"kinds": ["time"], "time_offsets": {"boottime": 1.5}}, "which is not a whole number"),
    # What a program runs with.
    (service(environment={"A=B": 1}), "'A=B' cannot be the name of"),
    (service(environment={"": 1}), "'' cannot be the name of an environment variable"),
    (service(environment={"A": "\0"}), "environment: 'A' must not hold a null character"),
    (service(environment={"A": None}), "environment: the value of A must be a text, not nothing"),
    (service(environment=["A=1"]), "services[1]: environment is a list, which is not an object"),
    (service(limits={"nofile": "many"}), "the limit nofile=many is no number"),
    (service(limits={"nofile": -1}), "the limit nofile=-1 is no number"),
    (service(limits={"nofile": 10**20}), "limits: 'nofile' is a number of more than 63 bits"),
    (service(limits={"nofile": "2:1"}), "the limit nofile=2:1 is above its own hard limit"),
    (service(limits={"nofile": "unlimited:1"}), "is above its own hard limit"),
    (service(user="a b"), "services[1] ('b'): "),
    (service(capabilities=["flying"]), "'flying' is not a capability"),
    (service(stop_signal="NONE"), "'NONE' is not a signal"),
    (service(stop_timeout=-1), "stop_timeout must be a number of seconds, not -1"),
    (service(stop_timeout=1e10), "services[1]: stop_timeout is no number of seconds"),
    (service(stop_timeout=float("nan")), "services[1]: stop_timeout is nan"),
    (service(ready={"port": 80, "timeout": -0.5}), "timeout of ready must be"),
    (service(ready={"port": 0}), "port must be a number from 1 to 65535, not 0"),
    (service(ready={"port": "http"}), "services[1]: ready: port is 'http'"),
    (service(restart_policy={"delay": -1}), "delay of restart_policy must be"),
    (service(restart_policy={"limit": -1}), "limit of restart_policy must be"),
    (service(credentials={"a/b": "x"}), "'a/b' cannot be the name of a credential"),
    # Types and texts.
    ({"mounts": "/a"}, "mounts[0] is no object"),
    ({"mounts": {"path": "/a"}}, "mounts is no list"),
    ({"mounts": [["/a"]]}, "mounts[0] is no object"),
    ({"rootfs": "/a"}, "rootfs is no object"),
    ({"kinds": {"mnt": True}}, "kinds is no list"),
    ({"persistent": "maybe"}, "persistent is 'maybe', which is not true or false"),
    ({"name": ["x"]}, "namespaces[1]: name is a list, which is not a text"),
    ({"kinds": ["uts"], "hostname": "a\0b"}, "hostname must not hold a null character"),
    ({"kinds": ["uts"], "hostname": "\ud800"}, "hostname must not hold a character that has no"),
    ({"mounts": [{"path": "/a", **TMPFS, "opts": ["a\0"]}]}, "mounts[0]: opts[0] must not hold"),
    ({"id_map": json.loads("[" * 90 + "]" * 90)}, "id_map[0] is nested too deep"),
    ({"loopback": 10**5000}, "loopback is a number of more than 63 bits"),
    (service(argv=["a\0"]), "services[1]: argv[0] must not hold a null character"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "reason"), MISTAKES, ids=[each for _entry, each in MISTAKES])
def test_a_mistake(entry: Entry, reason: str) -> None:
    assert reason in second(entry).reason


@pytest.mark.parametrize(
    "entry",
    [
        {"secret_environment": "TOKEN=hush"},
        {"secret_environment": ["hush"]},
        {"secret_environment": {"TOKEN": {"a": "hush"}}},
        {"secret_environment": {"TOKEN": "hush\0"}},
        {"credentials": {"key": ["hush"]}},
        {"credentials": "hush"},
        {"environment": "PASSWORD=hush"},
        {"environment": {"PASSWORD": ["hush"]}},
        {"environment": {"PASSWORD=hush": 1}},
        {"PASSWORD=hush": 1},
    ],
)
def test_a_secret_that_stands_where_it_should_not_is_not_told(entry: Entry) -> None:
    error = second(service(**entry))
    assert "hush" not in f"{error.reason}{error.hint}"


def test_neither_is_one_among_the_options_of_a_mount() -> None:
    for opts in ({"password": "hush"}, [["password=hush"]], [{"password": "hush"}]):
        error = second({"mounts": [{"path": "/a", "src": "b", "fstype": "cifs", "opts": opts}]})
        assert "hush" not in f"{error.reason}{error.hint}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([], "the file is no object"),
        ({}, "the file has no namespaces"),
        ({"namespaces": {}}, "the file: namespaces is no list"),
        ({"namespaces": ["a"]}, "the file: namespaces[0] is no object"),
        ({"namespaces": [], "exclusive": "perhaps"}, "the file: exclusive is 'perhaps'"),
    ],
)
def test_what_is_no_such_file(data: t.Any, reason: str) -> None:
    with pytest.raises(Refused, match=r"^the file") as found:
        apply.wish_of(data)
    assert reason in found.value.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"namespaces": [{"name": "a", "name": "b"}]}', "'name' stands twice in an object"),
        ("[" * 100_000, "nested too deep"),
        ("{", "is no JSON"),
        ("", "is no JSON"),
    ],
)
def test_what_is_no_json(text: str, reason: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(Refused) as found:
        diff.run("diff", parse(diff.VERB, [str(file)]))
    assert found.value.reason.startswith(str(file))
    assert reason in found.value.reason
