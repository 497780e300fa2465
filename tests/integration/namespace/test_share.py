# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds that a named namespace has from another: ns_namespace, and what nsctl says and does of it."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import typing as t

import pytest
from command import Nsctl
from named_namespaces import id_inside, ids_of, netns_list, present, record_of, refused
from processes_inside import inside, living
from reboots import reboot
from results import Converge, RunModule
from shared_kinds import Pair, line_of, names, pair
from stub_systemd import StubSystemd, stub_systemd

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins
from ansible_collections.linux.namespaces.plugins.module_utils._core.process import proc
from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

__all__ = ["names", "pair", "stub_systemd"]


def test_both_have_it(names: Pair, converge: Converge) -> None:
    front, shop = names
    owner = present(converge, front, kinds=["mnt", "net", "ipc"])
    done = converge("ns_namespace", {"name": shop, "share": {"net": front}})
    assert done["actions"] == [
        f"record namespace {shop}",
        "create mnt",
        f"share net of {front}",
    ]
    found = done["namespace"]
    assert found["kinds"]["net"] == {
        "id": owner["kinds"]["net"]["id"],
        "path": f"{host_paths.directory(shop)}/net@{front}",
        "shared_with": front,
    }
    assert "shared_with" not in found["kinds"]["mnt"]
    assert ids_of(found)["mnt"] != ids_of(owner)["mnt"]
    assert id_inside(shop, "net") == ids_of(owner)["net"]
    assert present(converge, front, kinds=["mnt", "net", "ipc"])["shared_by"] == [shop]
    assert netns_list() == [front]
    with living(front) as pid:
        listener, port = _listening(front)
        with listener:
            assert inside(shop, lambda: _is_reached(port))
        assert proc.ids_of_process(pid, ["net"])["net"] == ids_of(found)["net"]
    with pytest.raises(ConnectionRefusedError):
        _is_reached(port)


def _listening(name: str) -> tuple[socket.socket, int]:
    """A socket in its net, and its port."""
    ours, theirs = socket.socketpair()

    def listen() -> int:
        listener = socket.socket()  # no names of hosts: nothing can be loaded inside
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port: int = listener.getsockname()[1]
        socket.send_fds(theirs, [b"x"], [listener.fileno()])
        return port

    with ours, theirs:
        port = inside(name, listen, ["net"])
        _data, fds, _flags, _address = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=fds[0]), port


def _is_reached(port: int) -> bool:
    with socket.socket() as client:
        client.connect(("127.0.0.1", port))
        return True


@pytest.mark.parametrize("kind", ["cgroup", "ipc", "pid", "time", "uts"])
def test_the_other_kinds(kind: str, names: Pair, converge: Converge, nsctl: Nsctl) -> None:
    front, shop = names
    owner = present(converge, front, kinds=["mnt", kind])
    present(converge, shop, share={kind: front})
    link = nsctl("exec", shop, "--", "readlink", f"/proc/thread-self/ns/{kind}").stdout
    if kind != "pid":  # the /proc is that of the host
        assert proc.parse_link(link.strip()) == ids_of(owner)[kind]
    assert id_inside(shop, kind) == ids_of(owner)[kind]
    assert line_of(nsctl, shop)[1:3] == ["up", f"mnt,{kind}@{front}"]


def test_a_user_namespace_beside_it(names: Pair, converge: Converge) -> None:
    front, shop = names
    owner = present(converge, front, kinds=["mnt", "net", "user"])
    present(converge, shop, kinds=["mnt"], share={"net": front})
    assert id_inside(shop, "net") == ids_of(owner)["net"]


def test_a_service_runs_in_it(pair: Pair, converge: Converge, run_module: RunModule) -> None:
    front, shop = pair
    service = {"namespace": shop, "name": "idle", "supervisor": "none"}
    done = converge("ns_service", {**service, "argv": ["/usr/bin/sleep", "1000"]})
    found = proc.ids_of_process(done["service"]["pid"])
    assert found["net"] == pins.pinned(front)["net"]
    assert found["mnt"] == pins.pinned(shop)["mnt"]
    gone = run_module("ns_namespace", {"name": front, "state": "absent", "force": True})
    assert gone["failed"]
    assert proc.process_facts(done["service"]["pid"]) is not None
    converge("ns_service", {**service, "state": "absent"})


def test_what_nsctl_says(pair: Pair, nsctl: Nsctl) -> None:
    front, shop = pair
    assert line_of(nsctl, shop)[:3] == [shop, "up", f"mnt,net@{front}"]
    assert line_of(nsctl, front)[:3] == [front, "up", "ipc,mnt,net"]
    shown, owner = nsctl.data("show", shop), nsctl.data("show", front)
    assert shown["kinds"]["net"]["shared_with"] == front
    assert shown["properties"]["share"] == {"net": front}
    assert (shown["shared_by"], owner["shared_by"]) == ([], [shop])
    text = nsctl("show", shop).stdout
    assert f"net  {pins.pinned(front)['net']}  {host_paths.directory(shop)}/net@{front}" in text
    assert f"  of {front}\n" in text
    assert "changes" not in text and "would" not in text
    assert f"shared by  {shop}\n" in nsctl("show", front).stdout


def test_it_moves(pair: Pair, converge: Converge, nsctl: Nsctl) -> None:
    front, shop = pair
    done = converge("ns_namespace", {"name": shop, "share": {"net": front, "ipc": front}})
    assert done["actions"] == [f"record namespace {shop}", f"share ipc of {front}"]
    done = converge("ns_namespace", {"name": shop, "kinds": ["mnt", "net"]})
    assert sorted(done["actions"][1:]) == [
        "create net",
        f"share ipc of {front} no more",
        f"share net of {front} no more",
        f"show {shop} to ip netns",
    ]
    assert sorted(netns_list()) == sorted(pair)
    assert id_inside(shop, "net") == pins.pinned(shop)["net"] != pins.pinned(front)["net"]
    done = converge("ns_namespace", {"name": shop, "share": {"net": front}})
    assert done["actions"][1:] == ["drop net", f"share net of {front}"]
    assert netns_list() == [front]
    assert line_of(nsctl, shop)[1] == "up"


def unmount_pin(pair: Pair) -> None:
    mounts.umount(pins.shared_path(pair.shop, "net", pair.front), flags=mounts.MNT_DETACH)


def unmount_and_remove_pin(pair: Pair) -> None:
    unmount_pin(pair)
    os.unlink(pins.shared_path(pair.shop, "net", pair.front))


def unmount_net_of_front(pair: Pair) -> None:
    mounts.umount(pins.path(pair.front, "net"), flags=mounts.MNT_DETACH)


@pytest.mark.parametrize(
    "drift", [unmount_pin, unmount_and_remove_pin, unmount_net_of_front], ids=lambda it: it.__name__
)
@pytest.mark.parametrize("by", ["play", "nsctl"])
def test_drift(
    drift: t.Callable[[Pair], None], by: str, pair: Pair, converge: Converge, nsctl: Nsctl
) -> None:
    front, shop = pair
    drift(pair)
    (listed,) = nsctl.data("list", shop)
    assert listed["state"] == "partial"
    assert f"does not share the net of {front}" in listed["reason"]
    assert nsctl.data("show", shop)["changes"] == [f"share net of {front}"]
    if drift is not unmount_and_remove_pin:
        assert "lost the net" in nsctl("exec", shop, "--", "true", code=125).stderr
    if by == "nsctl":
        brought = [f"bring up namespace {front}"] if drift is unmount_net_of_front else []
        said = f"{shop}: {'; '.join([*brought, f'share net of {front}'])}\n"
        assert nsctl("up", "--check", shop).stdout == said
        assert nsctl("up", shop).stdout == said
        assert nsctl("up", shop).stdout == f"{shop}: up already\n"
    else:
        present(converge, front, kinds=["mnt", "net", "ipc"])
        done = converge("ns_namespace", {"name": shop, "share": {"net": front}})
        assert done["actions"] == [f"share net of {front}"]
        assert "share" in str(done["diff"])
    assert id_inside(shop, "net") == pins.pinned(front)["net"]
    assert line_of(nsctl, shop)[1] == "up"


def test_the_owner_is_made_anew(
    pair: Pair, converge: Converge, run_module: RunModule, nsctl: Nsctl
) -> None:
    front, shop = pair
    was = pins.pinned(front)["net"]
    again = {"kinds": ["mnt", "net", "ipc"], "propagation": "slave", "recreate": True}
    done = run_module("ns_namespace", {"name": front, **again})
    assert f"remove namespace {front}" in done["actions"]
    assert pins.pinned(front)["net"] != was
    assert "lost the net" in nsctl("exec", shop, "--", "true", code=125).stderr
    done = converge("ns_namespace", {"name": shop, "share": {"net": front}})
    assert done["actions"] == [f"share net of {front}"]
    assert id_inside(shop, "net") == pins.pinned(front)["net"]


def test_the_owner_stays_while_others_come_back_at_boot(
    pair: Pair, run_module: RunModule, converge: Converge, nsctl: Nsctl
) -> None:
    """One that is down needs none of it now: the owner can be taken down, and not removed."""
    front, shop = pair
    assert nsctl("down", shop).stdout
    assert nsctl.data("show", front)["shared_by"] == [shop]
    failed = refused(run_module, front, state="absent")
    assert failed["shared_by"] == [shop]
    assert nsctl("down", front).stdout
    assert nsctl("up", "--check", shop).stdout.startswith(f"{shop}: bring up namespace {front}; ")
    assert nsctl("up", shop).stdout == (
        f"{shop}: bring up namespace {front}; create mnt; share net of {front}\n"
    )
    assert [line_of(nsctl, name)[1] for name in pair] == ["up", "up"]
    for name in (shop, front):
        converge("ns_namespace", {"name": name, "state": "absent"})


def test_all_of_them_down_and_up(pair: Pair, nsctl: Nsctl) -> None:
    front, shop = pair
    for words in (["--check"], []):
        done = nsctl.data("down", *words, "--all")
        assert [(each["name"], each["failure"]) for each in done] == [(front, ""), (shop, "")]
    done = nsctl.data("up", "--all")
    assert [(each["name"], each["failure"]) for each in done] == [(front, ""), (shop, "")]
    assert id_inside(shop, "net") == pins.pinned(front)["net"]


def test_after_a_reboot(
    pair: Pair, nsctl: Nsctl, converge: Converge, stub_systemd: StubSystemd
) -> None:
    front, shop = pair
    env = stub_systemd.env
    converge("ns_namespace", {"name": shop, "share": {"net": front, "ipc": front}}, env=env)
    unit = host_paths.boot_unit_name(shop)
    told = pathlib.Path(f"{host_paths.drop_ins(unit)}/definition.conf").read_text().splitlines()
    assert f"Wants={host_paths.boot_unit_name(front)}" in told
    assert f"After={host_paths.boot_unit_name(front)}" in told
    reboot()
    assert [line_of(nsctl, name)[1] for name in pair] == ["down", "down"]
    nsctl("up", shop, env={**os.environ, **env})
    for kind in ("net", "ipc"):
        assert id_inside(shop, kind) == pins.pinned(front)[kind]
    reboot()
    assert not any(each["failure"] for each in nsctl.data("up", "--all"))
    for name in pair:
        assert nsctl("up", name).stdout == f"{name}: up already\n"
    converge("ns_namespace", {"name": shop, "share": {"net": front}}, env=env)
    for name in (shop, front):
        converge("ns_namespace", {"name": name, "state": "absent"}, env=env)


def test_the_owner_does_not_come_up(pair: Pair, nsctl: Nsctl) -> None:
    front, shop = pair
    record = record_of(front)
    whole = record.read_text()
    reboot()
    record.write_text(json.dumps({**json.loads(whole), "steps": [{"do": "nothing"}]}))
    said = nsctl("up", shop, code=1).stderr
    assert f"{record} is damaged" in said
    assert not pins.pinned(shop)
    record.write_text(whole)
    mount = {
        "do": "mount",
        "path": "/mnt",
        "src": "/nowhere/at/all",
        "fstype": "",
        "opts": ["bind"],
    }
    record.write_text(json.dumps({**json.loads(whole), "steps": [mount]}))
    said = nsctl("up", shop, code=1).stderr
    assert f"Namespace {front}, of which {shop} shares, could not be brought up: " in said
    for name in pair:
        (listed,) = nsctl.data("list", name)
        assert (listed["state"], "/nowhere/at/all" in listed["reason"]) == ("failed", True)
    record.write_text(whole)
    nsctl("up", shop)
    assert [line_of(nsctl, name)[1] for name in pair] == ["up", "up"]


def test_ip_netns_finds_it_at_its_owner(pair: Pair) -> None:
    front, _shop = pair
    shown = subprocess.run(
        ["ip", "netns", "exec", front, "readlink", "/proc/self/ns/net"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert proc.parse_link(shown.strip()) == pins.pinned(front)["net"]
