# SPDX-License-Identifier: GPL-3.0-or-later
"""What the index, the manifest and the configuration of an image say, and what is none of these."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs import image_config
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources import (
    manifest,
    reference,
)
from ansible_collections.linux.namespaces.plugins.module_utils._core.rootfs.sources.reference import (
    Platform,
)

INDEX = "application/vnd.oci.image.index.v1+json"
DIGESTS = ["sha256:" + digit * 64 for digit in "0123456789"]
HERE = Platform("linux", "amd64")


def index(*platforms: dict[str, str], kind: str = INDEX) -> bytes:
    manifests = [
        {"digest": digest, "platform": platform} for digest, platform in zip(DIGESTS, platforms)
    ]
    return json.dumps({"mediaType": kind, "manifests": manifests}).encode()


ARM6 = {"os": "linux", "architecture": "arm", "variant": "v6"}
ARM7 = {"os": "linux", "architecture": "arm", "variant": "v7"}
WINDOWS = {"os": "windows", "architecture": "amd64"}
LINUX = {"os": "linux", "architecture": "amd64"}


@pytest.mark.parametrize(
    ("platform", "number"), [("linux/arm", 1), ("linux/arm/v7", 2), ("windows/amd64", 0)]
)
def test_the_manifest_for_a_platform(platform: str, number: int) -> None:
    text = index(WINDOWS, ARM6, ARM7)
    wanted = reference.platform_of(platform)
    assert manifest.chosen(text, wanted, image="x") == DIGESTS[number]


def test_without_one_for_the_platform_it_is_refused() -> None:
    with pytest.raises(Refused, match="has nothing for linux/amd64") as refused:
        manifest.chosen(index(WINDOWS), HERE, image="x")
    assert refused.value.hint == "It is there for: windows/amd64."


def test_of_many_that_it_is_there_for_some_are_named() -> None:
    many = [{"os": f"os{number}"} for number in range(1_000)]
    text = json.dumps({"manifests": [{"digest": DIGESTS[0], "platform": each} for each in many]})
    with pytest.raises(Refused) as refused:
        manifest.chosen(text.encode(), HERE, image="x")
    assert len(refused.value.hint) < 300


def test_a_manifest_that_is_no_index_is_the_image_itself() -> None:
    assert manifest.chosen(b'{"layers": []}', HERE, image="x") == ""


def test_what_skopeo_takes_for_missing_is_missing() -> None:
    described = {"digest": DIGESTS[1], "platform": LINUX, "annotations": 7}
    nameless = {"digest": "", "platform": None}
    text = json.dumps({"mediaType": None, "manifests": [nameless, described]}).encode()
    assert manifest.chosen(text, HERE, image="x") == DIGESTS[1]
    assert manifest.chosen(b'{"manifests": null}', HERE, image="x") == ""


DEEP = 100_000
NO_JSON = [
    b"",
    b"[]",
    b"null",
    b"7",
    b"<html>",
    b"\xff",
    b'"manifests"',
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": ' + b"9" * 4_000_000 + b"}",
    b'{"a": -' + b"9" * 30 + b"}",
    b'{"manifests": [], "manifests": []}',
    b'{"config": {"digest": 1, "digest": 2}}',
    '{"manifests": []}'.encode("utf-16"),
]


@pytest.mark.parametrize("text", NO_JSON, ids=[repr(text[:30]) for text in NO_JSON])
def test_what_is_no_document_is_refused(text: bytes) -> None:
    for read in (manifest.config_of, manifest.manifest_of, manifest.only_manifest):
        with pytest.raises(Refused, match="of x is damaged"):
            read(text, image="x")
    with pytest.raises(Refused, match="of x is damaged"):
        manifest.chosen(text, HERE, image="x")
    assert manifest.referred(text) == set()


@pytest.mark.parametrize(
    "manifests",
    [
        {},
        "text",
        7,
        ["text"],
        [7],
        [None],
        [[]],
        [{"platform": LINUX}],
        [{"digest": None, "platform": LINUX}],
        [{"digest": 7, "platform": LINUX}],
        [{"digest": ["sha256:" + "a" * 64], "platform": LINUX}],
        [{"digest": "sha256:../../../../etc/shadow", "platform": LINUX}],
        [{"digest": "sha256:" + "a" * 63 + "\n", "platform": LINUX}],
        [{"digest": "sha256:" + "A" * 64, "platform": LINUX}],
        [{"digest": "md5:" + "a" * 32, "platform": LINUX}],
        [{"digest": "", "platform": LINUX}],
        [{"digest": DIGESTS[0], "platform": "linux/amd64"}],
        [{"digest": DIGESTS[0], "platform": []}],
        [{"digest": DIGESTS[0], "platform": {"os": 7, "architecture": "amd64"}}],
        [{"digest": DIGESTS[0], "platform": {"os": ["linux"], "architecture": "amd64"}}],
        [{"digest": DIGESTS[0], "platform": {"os": "\x1b[2J"}}],
        [{"digest": DIGESTS[0], "platform": {"os": "x" * 1_000}}],
        [{"digest": DIGESTS[0], "Digest": DIGESTS[1], "platform": LINUX}],
        [{"digest": DIGESTS[0], "platform": {**LINUX, "OS": "windows"}}],
    ],
    ids=repr,
)
def test_an_index_that_is_none_is_refused(manifests: t.Any) -> None:
    text = json.dumps({"mediaType": INDEX, "manifests": manifests}).encode()
    with pytest.raises(Refused, match="the manifest of x is damaged"):
        manifest.chosen(text, HERE, image="x")


def test_what_go_reads_in_place_of_another_field_is_refused() -> None:
    """To skopeo "Config" is "config" as well, and the last one counts."""
    elsewhere = "sha256:../../../../etc/shadow"
    for other in ("Config", "CONFIG", "con\N{LATIN SMALL LIGATURE FI}g"):
        text = json.dumps({"config": {"digest": elsewhere}, other: {"digest": DIGESTS[0]}})
        with pytest.raises(Refused, match="damaged"):
            manifest.manifest_of(text.encode(), image="x")
    text = json.dumps({"config": {"Env": [], "env": ["LD_PRELOAD=/evil.so"]}})
    with pytest.raises(Refused, match="written in another way"):
        manifest.config_of(text.encode(), image="x")


def test_a_manifest() -> None:
    text = json.dumps(
        {"config": {"digest": DIGESTS[0], "size": -7}, "layers": [{"digest": DIGESTS[1]}]}
    ).encode()
    found = manifest.manifest_of(text, image="x")
    assert found == manifest.Manifest(DIGESTS[0], (DIGESTS[1],))
    assert manifest.referred(text) == {DIGESTS[0]}
    assert manifest.referred(index(LINUX, ARM6)) == {DIGESTS[0], DIGESTS[1]}
    assert manifest.referred(b'{"config": {"digest": []}, "manifests": [7, {}]}') == set()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"config": None},
        {"config": []},
        {"config": {}},
        {"config": {"digest": "sha256:../x"}},
        {"config": {"digest": DIGESTS[0]}, "layers": {}},
        {"config": {"digest": DIGESTS[0]}, "layers": [None]},
        {"config": {"digest": DIGESTS[0]}, "layers": [{"digest": "../../x"}]},
        {"config": {"digest": DIGESTS[0]}, "layers": [{"digest": 7}]},
    ],
    ids=repr,
)
def test_a_manifest_that_is_none_is_refused(document: t.Any) -> None:
    with pytest.raises(Refused, match="the manifest of x is damaged"):
        manifest.manifest_of(json.dumps(document).encode(), image="x")


@pytest.mark.parametrize(
    "manifests",
    [None, {}, [], [7], [{}], [{"digest": "sha256:../x"}], [{"digest": DIGESTS[0]}] * 2],
)
def test_a_layout_without_the_one_image_is_refused(manifests: t.Any) -> None:
    with pytest.raises(Refused, match="the index of x is damaged"):
        manifest.only_manifest(json.dumps({"manifests": manifests}).encode(), image="x")


@pytest.mark.parametrize("text", [b"{}", b'{"config": null}', b'{"config": {"Env": null}}'])
def test_an_image_that_says_nothing(text: bytes) -> None:
    config = manifest.config_of(text, image="x")
    assert config["argv"] == []
    assert config["environment"] == {}
    assert config["chdir"] == "/"
    assert config["user"] == config["group"] == config["stop_signal"] == ""


def test_what_is_not_known_is_left_out() -> None:
    said = {"Cmd": ["/bin/sh"], "Memory": 7, "OnBuild": "x"}
    whole = {"config": said, "rootfs": {"diff_ids": 7}, "history": "none", "created": []}
    config = manifest.config_of(json.dumps(whole).encode(), image="x")
    assert config["argv"] == ["/bin/sh"]
    assert set(config) == {
        "argv", "entrypoint", "cmd", "environment", "user", "group", "chdir", "stop_signal",
        "ports", "volumes", "labels", "healthcheck",
    }  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        {"Entrypoint": "a string"},
        {"Entrypoint": [["nested"]]},
        {"Cmd": [1, 2]},
        {"Cmd": [None]},
        {"Cmd": ["null \0 character"]},
        {"Cmd": ["lone surrogate \udcff"]},
        {"Env": {"A": "b"}},
        {"Env": ["=nameless"]},
        {"Env": ["__ansible_type=Deprecated"]},
        {"Env": ["__ansible_vault=x"]},
        {"Env": ["A"]},
        {"Env": [""]},
        {"Env": ["A=\0"]},
        {"Env": ["\ud800=x"]},
        {"User": 0},
        {"User": ["root"]},
        {"User": "root\0"},
        {"WorkingDir": 7},
        {"WorkingDir": {}},
        {"StopSignal": 9},
        {"StopSignal": ["TERM"]},
        {"ExposedPorts": 80},
        {"ExposedPorts": [80, "x"]},
        {"Volumes": "/data"},
        {"Volumes": ["/data"]},
        {"Volumes": {"/da\0ta": {}}},
        {"Labels": {"a": [1]}},
        {"Labels": {"a": "null \0 character"}},
        {"Labels": {"__ansible_unsafe": "x"}},
        {"Labels": ["a"]},
        {"Healthcheck": 7},
        {"healthcheck": {}},
        {"Healthcheck": {"Test": "words"}},
        {"Healthcheck": {"Test": ["CMD", 7]}},
        {"Healthcheck": {"Test": ["CMD", "\ud800"]}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Interval": "30s"}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Interval": -1}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Timeout": 10**400}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Retries": -1}},
        {"Healthcheck": {"Test": ["CMD", "x"], "Retries": True}},
        "words",
        [],
        7,
        True,
    ],
    ids=repr,
)
def test_a_configuration_that_is_none_is_refused(config: t.Any) -> None:
    with pytest.raises(Refused, match="configuration of x is damaged"):
        manifest.config_of(json.dumps({"config": config}).encode(), image="x")


def said(**fields: t.Any) -> tuple[dict[str, t.Any], list[str]]:
    """What is made of a configuration with these fields, and the warnings."""
    warnings: list[str] = []
    text = json.dumps({"config": fields}).encode()
    return manifest.config_of(text, image="x", warn=warnings.append), warnings


@pytest.mark.parametrize(
    ("word", "signal"),
    [("SIGRTMIN+3", "RTMIN+3"), ("37", "RTMIN+3"), ("sigterm", "TERM"), ("SIGQUIT", "QUIT")],
)
def test_the_stop_signal_is_what_services_take(word: str, signal: str) -> None:
    config, warnings = said(StopSignal=word)
    assert (config["stop_signal"], warnings) == (signal, [])


@pytest.mark.parametrize(
    "word", ["FOO", "0", "65", "-1", "RTMIN+99", "TERM\nUser=root", "9" * 5000]
)
def test_a_stop_signal_that_is_none_is_left_out(word: str) -> None:
    config, (warning,) = said(StopSignal=word)
    assert config["stop_signal"] == ""
    assert "the StopSignal of x is left out" in warning
    assert len(warning) < 200


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/"), ("/srv/", "/srv"), ("app", "/app"), ("//srv//x/.", "/srv/x"),
        ("/../../etc", "/etc"), ("/a/../../b", "/b"), ("/a\nb", "/a\nb"), ("...", "/..."),
    ],
)  # fmt: skip
def test_paths_are_clean(given: str, path: str) -> None:
    config, warnings = said(WorkingDir=given, Volumes={given: {}})
    assert config["chdir"] == path
    assert config["volumes"] == ([] if path == "/" else [path])
    assert warnings == []


@pytest.mark.parametrize(
    ("test", "argv"),
    [
        (["CMD", "/bin/probe", "-q"], ["/bin/probe", "-q"]),
        (["CMD-SHELL", "probe || exit 1"], ["/bin/ash", "-c", "probe || exit 1"]),
        (["NONE"], None),
        ([], None),
        (["CMD"], None),
        (["ELSE", "x"], None),
    ],
)
def test_how_it_is_found_to_be_well(test: list[str], argv: list[str] | None) -> None:
    times = {"Interval": 1_500_000_000, "Timeout": 3_000_000_000, "Retries": 4}
    config, _warnings = said(Healthcheck={"Test": test, **times}, Shell=["/bin/ash", "-c"])
    expected = {
        "argv": argv, "interval": 1.5, "timeout": 3.0, "start_period": 0.0, "start_interval": 0.0,
        "retries": 4,
    }  # fmt: skip
    assert config["healthcheck"] == (expected if argv else {})


def test_a_configuration_is_read_as_it_was_kept() -> None:
    """Of this version, and of one before, which had less."""
    config, _warnings = said(
        StopSignal="37",
        Labels={"a": "{{ b }}"},
        Healthcheck={"Test": ["CMD", "x"]},
        Volumes={"/d": {}},
    )
    assert image_config.checked(json.loads(json.dumps(config))) == config
    older = {key: value for key, value in config.items() if key not in ("labels", "healthcheck")}
    older["stop_signal"] = "RTMIN+3"
    assert image_config.checked(older) == {**config, "labels": {}, "healthcheck": {}}
