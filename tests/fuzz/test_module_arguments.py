# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module with odd values for each of its options, in check mode: an answer or a refusal."""

from __future__ import annotations

import importlib
import os
import typing as t

import hypothesis
import pytest
from ansible.module_utils import basic
from fuzzing import NUMBERS, TEXTS, VALUES, fuzz, no_defect
from host_state import host_state
from hypothesis import strategies as st
from module_server import CHECKOUT, MODULES
from results import RunModule

# With these alone each module has something to do, or to look at: LIVES is a namespace that lives.
LIVES = "fuzz"
GOOD: dict[str, dict[str, t.Any]] = {
    "ns_definition": {"namespaces": [{"name": LIVES, "kinds": ["mnt", "uts"]}]},
    "ns_info": {"namespace": LIVES},
    "ns_net_info": {"namespace": LIVES},
    "ns_link": {"namespace": LIVES, "name": "eth0", "kind": "veth", "peer": {"name": "fuzz0"}},
    "ns_mount": {"path": "/mnt", "src": "x", "fstype": "tmpfs", "namespace": LIVES},
    "ns_mount_info": {"namespace": LIVES},
    "ns_namespace": {"name": LIVES, "kinds": ["mnt", "uts"]},
    "ns_pivot_root": {"new_root": "/mnt", "namespace": LIVES},
    "ns_rootfs": {"path": "/run/fuzz", "directory": "/usr/share/doc/bash"},
    "ns_service": {"namespace": LIVES, "name": "idle", "argv": ["true"], "supervisor": "none"},
    "ns_setns_run": {"argv": ["true"], "namespace": LIVES},
    "ns_unshare_run": {"argv": ["true"]},
}
# These change nothing, whatever they are given: they are run in earnest as well.
HARMLESS = ("ns_info", "ns_mount_info", "ns_setns_run")
NAMES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("ns_*.py"))


class _Asked(Exception):
    """A module has said which options it has."""


def options_of(name: str) -> dict[str, t.Any]:
    """The argument_spec of a module."""
    module = importlib.import_module(f"{MODULES}.{name}")
    found: dict[str, t.Any] = {}

    def ask(_self: basic.AnsibleModule, argument_spec: dict[str, t.Any], **_rest: t.Any) -> None:
        found.update(argument_spec)
        raise _Asked

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Asked):
        patch.setattr(basic.AnsibleModule, "__init__", ask)
        module.main()
    return found


OPTIONS = {name: options_of(name) for name in NAMES}
# Texts that Ansible itself can log, and more of those that get further than their form.
ODD_TEXTS = [text for text in TEXTS if text.encode("utf-8", "replace") != b"?"] + [
    "/a\0b", "/dev/zero", "/proc/self/fd/0", "/proc/self/root/etc", "/etc/passwd", "/run",
    "mnt", "tmpfs", "overlay", "proc", "bind", "X-mount.mkdir=x", "X-mount.idmap=", "X-mount.idmap=u:0:0:x",
    "X-mount.owner=\0", "X-mount.subdir=/..", "size=-1", "lowerdir=/\0", "lowerdir=", "uid=x", "remount",
    "kernel.hostname", "net.ipv4.ip_forward", "../kernel.hostname", "nofile", "cap_sys_admin", "SIGHUP",
    "10.0.0.1/8", "::1/64", "default", "eth0", "lo", "-x", "a b", "a;b", "@.@", "02:00:00:00:00:01", "veth", "moved",
    "oci:/none-such", "oci:/dev/zero:x", "docker-archive:/dev/zero", "docker://127.0.0.1:1/\0", "linux/amd64",
]  # fmt: skip
RANGE = st.dictionaries(
    st.sampled_from(["inside", "outside", "count"]), st.sampled_from([0, 1, *NUMBERS, *TEXTS[:20]])
)
ID_MAP = st.fixed_dictionaries({"uid": st.lists(RANGE, max_size=2), "gid": st.lists(RANGE)})


def values_of(option: dict[str, t.Any]) -> st.SearchStrategy[t.Any]:
    """Odd values: most of the type that the option has, so that they get further."""
    texts = st.sampled_from(ODD_TEXTS)
    if "choices" in option:
        texts |= st.sampled_from(option["choices"])
    kind = option.get("type", "str")
    if kind in ("str", "path"):
        return texts | texts.map("/{}".format) | st.text(max_size=20)
    if kind in ("int", "float"):
        # Ansible cannot show a number of more digits than Python writes.
        texts = texts.filter(lambda text: len(text) < 4_000)
        return st.sampled_from([*NUMBERS, 1e300, -1e300]) | st.sampled_from(["nan", "inf"]) | texts
    if kind == "bool":
        return st.sampled_from(["yes", False, True, 2, "maybe"])
    if kind == "list":
        inner = dict(option, type=option.get("elements", "str"))
        return st.lists(values_of(inner), max_size=3) | texts
    if kind == "dict" and "options" in option:
        return of_options(option["options"]) | texts  # Ansible itself takes no lists here
    if kind == "dict":
        return st.dictionaries(texts, texts | st.sampled_from(NUMBERS), max_size=2) | VALUES
    return ID_MAP | VALUES


@st.composite
def of_options(draw: st.DrawFn, options: dict[str, t.Any]) -> dict[str, t.Any]:
    """Odd values for some of the options, and for those that have to be there."""
    chosen = draw(st.sets(st.sampled_from(sorted(options)), min_size=1, max_size=2))
    return {name: draw(values_of(option)) for name, option in options.items() if name in chosen}


def test_all_modules_are_tried() -> None:
    assert sorted(GOOD) == NAMES


@pytest.fixture
def living(run_module: RunModule, lives: str) -> None:
    """The namespace LIVES."""
    assert lives == LIVES
    done = run_module("ns_namespace", {**GOOD["ns_namespace"], "persistent": False})
    assert not done.get("failed"), done


@pytest.mark.usefixtures("living")
@fuzz(60, name=st.sampled_from(NAMES), data=st.data())
def test_odd_values(name: str, data: st.DataObject, run_module: RunModule) -> None:
    odd = data.draw(of_options(OPTIONS[name]))
    left_out = data.draw(st.sampled_from([*GOOD[name], *[""] * 20]))
    # Of sources and of targets there is one.
    for chosen in (_SOURCES, _TARGETS):
        if chosen & set(odd):
            odd = {**dict.fromkeys(chosen & set(GOOD[name])), **odd}
    args = {**GOOD[name], left_out: None, **odd}
    args.pop("", None)
    if os.path.normpath(str(args.get("directory"))) in ("/", "//"):
        hypothesis.reject()  # to look at all of the host takes its time
    before = host_state()
    is_check = name not in HARMLESS or data.draw(st.booleans())
    try:
        result = run_module(name, args, check=is_check)
    except AssertionError as error:
        # Ansible itself has a traceback for the number "inf", before the module begins.
        if "in _validate_argument_types" in str(error) and "/_core/" not in str(error):
            hypothesis.reject()
        raise
    no_defect(result)
    assert result.get("msg") or not result.get("failed"), result
    assert "stderr_of_module" not in result, result
    assert host_state() == before


_SOURCES = {"archive", "image", "directory", "bootstrap"}
_TARGETS = {"namespace", "pid", "namespace_path"}


@pytest.mark.usefixtures("living")
@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("ns_rootfs", "image", "oci:/\0:x"),
        ("ns_rootfs", "image", "docker://127.0.0.1:1/\0"),
        ("ns_rootfs", "size_limit", "9" * 5_000),
        ("ns_mount", "src", "a\0b"),
        ("ns_mount", "opts", ["size=1\0"]),
        ("ns_namespace", "hostname", "a\0"),
        ("ns_namespace", "time_offsets", {"monotonic": 10**30}),
        (
            "ns_namespace",
            "id_map",
            {"uid": [{"inside": "9" * 5_000, "outside": 0, "count": 1}], "gid": []},
        ),
        ("ns_info", "namespace_path", "/\0"),
        ("ns_service", "limits", {"nofile": 10**30}),
        ("ns_service", "limits", {"nofile": "9" * 5_000}),
        ("ns_service", "limits", {"nofile": "²"}),
        ("ns_service", "ready", {"file": "/\0"}),
        ("ns_setns_run", "timeout", 1e300),
        ("ns_setns_run", "secret_environment", {"TOKEN": "hush\0"}),
        ("ns_setns_run", "user", "9" * 5_000),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_was_taken_for_a_defect(
    name: str, option: str, value: t.Any, run_module: RunModule
) -> None:
    """Or was done, with what stood before the null character."""
    args = {**GOOD[name], option: value}
    for chosen in (_SOURCES, _TARGETS):
        if option in chosen:
            args = {key: each for key, each in args.items() if key == option or key not in chosen}
    result = run_module(name, args)
    no_defect(result)
    assert result.get("failed"), result
    word = "limit" if option == "limits" else repr(value)[:9] if option == "user" else option
    assert word in result["msg"].lower(), result
    assert "hush" not in str(result)
