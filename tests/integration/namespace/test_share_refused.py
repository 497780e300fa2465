# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused of kinds that a named namespace has from another, and what fails: nothing has changed."""

from __future__ import annotations

import json

from command import Nsctl
from host_state import host_state
from named_namespaces import NewName, id_inside, present, record_of, refused
from reboots import reboot
from results import Converge, RunModule
from shared_kinds import Pair, line_of, names, pair

from ansible_collections.linux.namespaces.plugins.module_utils._core.namespace import pins

__all__ = ["names", "pair"]


def test_the_owner_stays_while_others_share(
    pair: Pair, run_module: RunModule, nsctl: Nsctl
) -> None:
    front, shop = pair
    before = host_state()
    for force in (False, True):
        failed = refused(run_module, front, state="absent", force=force)
        assert failed["reason"] == f"namespaces share what is of {front}: {shop}"
        assert failed["shared_by"] == [shop]
        for words in ([], ["--check"]):
            said = nsctl("down", *(["--force"] if force else []), *words, front, code=1).stderr
            assert f"Namespaces share what is of {front}: {shop}" in said
    dropped = refused(run_module, front, kinds=["mnt", "ipc"])
    assert dropped["reason"] == f"namespaces share what is of {front}: {shop}"
    assert host_state() == before
    dropped = run_module("ns_namespace", {"name": front, "kinds": ["mnt", "net"]})
    assert dropped["actions"] == [f"record namespace {front}", "drop ipc"]


def test_refused(pair: Pair, run_module: RunModule, new_name: NewName, nsctl: Nsctl) -> None:
    front, shop = pair
    name = new_name()
    for share, reason in (
        ({"net": "nowhere"}, f"there is no namespace 'nowhere' on this host, whose net {name} is"),
        ({"uts": front}, f"{front} has no uts"),
        ({"net": shop}, f"{shop} has no net of its own: it shares that of {front}"),
        ({"net": name}, f"{name} cannot share its net with itself"),
        ({"mnt": front}, "the kind mnt is not for sharing"),
        ({"user": front}, "the kind user is not for sharing"),
        ({"nosuch": front}, "the kind nosuch is not for sharing"),
        ({"net": "../x"}, "'../x' cannot be a name"),
    ):
        assert refused(run_module, name, share=share)["reason"].startswith(reason)
    both = refused(run_module, name, kinds=["mnt", "net"], share={"net": front})
    assert both["reason"] == f"{name} is to have a net of its own, and that of {front}"
    nsctl("down", shop, front)
    down = refused(run_module, name, share={"net": front})
    assert down["reason"] == f"namespace {front}, whose net {name} shares, is not up"


def test_circles(pair: Pair, run_module: RunModule, converge: Converge, nsctl: Nsctl) -> None:
    front, shop = pair
    present(converge, shop, kinds=["mnt", "uts"], share={"net": front})
    owner = {"kinds": ["mnt", "net", "ipc"]}
    failed = refused(run_module, front, **owner, share={"uts": shop})
    circle = f"namespaces share of one another in a circle: {front} of {shop} of {front}"
    assert failed["reason"] == circle
    one = refused(run_module, front, kinds=["mnt", "ipc"], share={"net": shop})
    assert one["reason"] == f"{shop} has no net of its own: it shares that of {front}"
    # Somebody has edited it.
    record = record_of(front)
    whole = record.read_text()
    edited = json.loads(whole)
    edited["properties"]["share"] = {"uts": shop}
    record.write_text(json.dumps({**edited, "version": 2}))
    reboot()
    for name in pair:
        assert "in a circle" in nsctl("up", name, code=1).stderr
    assert nsctl("list").returncode == 0
    record.write_text(whole)
    nsctl("up", shop)


def test_what_does_not_last(
    names: Pair, run_module: RunModule, converge: Converge, nsctl: Nsctl
) -> None:
    front, shop = names
    present(converge, front, kinds=["net"], persistent=False)
    failed = refused(run_module, shop, share={"net": front})
    assert failed["reason"] == (
        f"{front} is not persistent: after a reboot {shop} had no net to share"
    )
    present(converge, shop, share={"net": front}, persistent=False)
    assert refused(run_module, front, state="absent")["shared_by"] == [shop]
    assert line_of(nsctl, shop)[1] == "up"


def test_what_fails_is_as_it_was(
    pair: Pair, converge: Converge, run_module: RunModule, nsctl: Nsctl
) -> None:
    """The kernel parameter is set last, and cannot be."""
    front, shop = pair
    present(converge, front, kinds=["mnt", "net", "ipc", "uts"])
    present(converge, shop, kinds=["mnt", "ipc"], share={"net": front})
    before = _without_mounts()
    wrong = {"name": shop, "kinds": ["mnt", "ipc"], "sysctl": {"kernel.shmmni": "no"}}
    for share in ({"net": front, "uts": front}, {"uts": front}, {}):
        failed = run_module("ns_namespace", {**wrong, "share": share})
        assert "kernel.shmmni" in failed["msg"]
        assert _without_mounts() == before
        assert id_inside(shop, "net") == pins.pinned(front)["net"]
        assert line_of(nsctl, shop)[1] == "up"


def _without_mounts() -> dict[str, list[str]]:
    """Which have new numbers where a pin was made again."""
    return {what: there for what, there in host_state().items() if what != "mounts"}


def test_a_new_one_that_fails_is_not_there(
    pair: Pair, run_module: RunModule, new_name: NewName
) -> None:
    front, _shop = pair
    name = new_name()
    args = {"name": name, "kinds": ["mnt", "ipc"], "share": {"net": front}}
    before = host_state()
    assert run_module("ns_namespace", {**args, "sysctl": {"kernel.shmmni": "no"}})["failed"]
    assert host_state() == before
