# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of services: files for the program alone, and variables that nobody else gets to see."""

from __future__ import annotations

import os
import pathlib
import signal
import stat
import typing as t

import pytest
from processes_inside import inside
from results import RunModule
from stub_systemd import stub_systemd
from units import Systemd, environment_of, systemd
from unshared_process import Unshared
from waiting import has_ended, wait_until
from web_service import NOBODY, Web, make_web, open_text, web

from ansible_collections.linux.namespaces.plugins.module_utils._core import host_paths
from ansible_collections.linux.namespaces.plugins.module_utils._core.definition import service_note
from ansible_collections.linux.namespaces.plugins.module_utils._core.mount import table

__all__ = ["make_web", "stub_systemd", "systemd", "web"]

SECRETS = {"tls.key": "of iron\n", "password": "correct horse", "empty": ""}
SLEEP = ["/bin/sleep", "infinity"]


@pytest.fixture(autouse=True)
def empty_directory() -> t.Iterator[None]:
    """Where the namespace shares the host's /run, what was made there is taken away, but for this."""
    yield
    directory = pathlib.Path("/run/credentials")
    if directory.exists():
        directory.rmdir()


def directory_of(web: Web) -> str:
    return f"/run/credentials/{web.name}:idle"


def mounts_of(pid: int, path: str) -> list[table.Mount]:
    return [row for row in table.read(f"/proc/{pid}/mountinfo") if row.path == path]


def assert_are_the_programs(web: Web, pid: int, uid: int) -> None:
    path = f"/proc/{pid}/root{directory_of(web)}"
    assert {name: open_text(f"{path}/{name}") for name in os.listdir(path)} == SECRETS
    for each, mode in ((path, 0o500), *((f"{path}/{name}", 0o400) for name in SECRETS)):
        found = os.stat(each)
        assert stat.S_IMODE(found.st_mode) == mode, each
        assert (found.st_uid, found.st_gid) == (uid, uid), each
    (mount,) = mounts_of(pid, directory_of(web))
    assert mount.fstype == "ramfs"
    assert {"nosuid", "nodev", "noexec"} <= set(mount.flags)
    assert "ro" in mount.options
    assert environment_of(pid)["CREDENTIALS_DIRECTORY"] == directory_of(web)


def assert_nothing_is_left(web: Web) -> None:
    def left() -> list[str]:
        rows = [row.path for row in table.read() if row.path.startswith("/run/credentials")]
        return rows + [name for name in os.listdir("/run/credentials") if web.name in name]

    assert inside(web.name, left, ["mnt"]) == []
    assert not os.path.exists(directory_of(web))


@pytest.fixture(params=["none", "systemd"])
def service(request: pytest.FixtureRequest, web: Web) -> Web | Systemd:
    """Services of either supervisor."""
    return web if request.param == "none" else t.cast(Systemd, request.getfixturevalue("systemd"))


def web_of(service: Web | Systemd) -> Web:
    return service.web if isinstance(service, Systemd) else service


def task(service: Web | Systemd, **options: t.Any) -> t.Any:
    if isinstance(service, Systemd):
        return service.task(**options)
    always = options.get("state") == "restarted"
    return service.task(**options) if always else service.converge(**options)


def test_from_start_to_end(service: Web | Systemd) -> None:
    web = web_of(service)
    done = task(service, argv=SLEEP, user="nobody", credentials=SECRETS)
    pid = done["service"]["pid"]
    assert_are_the_programs(web, pid, NOBODY)
    assert not mounts_of(os.getpid(), directory_of(web))
    assert os.listdir(directory_of(web)) == []  # what lies below the mount, on the host
    assert open_text(f"/proc/{pid}/cmdline") == "/bin/sleep\0infinity\0"
    again = task(service, state="restarted")["service"]["pid"]
    assert_are_the_programs(web, again, NOBODY)
    for secret in ("of iron", "correct horse"):
        assert secret not in str(done)
    task(service, state="stopped")
    assert_nothing_is_left(web)
    assert_are_the_programs(web, task(service)["service"]["pid"], NOBODY)
    changed = task(service, argv=SLEEP)
    assert "credentials: {'tls.key': '(secret)'" in changed["diff"]["before"]
    assert_nothing_is_left(web)
    assert "CREDENTIALS_DIRECTORY" not in environment_of(changed["service"]["pid"])
    task(service, state="absent")


def test_one_that_ends_by_itself(service: Web | Systemd) -> None:
    web = web_of(service)
    pid = task(service, argv=SLEEP, credentials=SECRETS)["service"]["pid"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: has_ended(pid))
    pid = task(service)["service"]["pid"]
    assert_are_the_programs(web, pid, 0)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: has_ended(pid))
    # Also where they are not wanted any more.
    pid = task(service, argv=SLEEP)["service"]["pid"]
    assert_nothing_is_left(web)
    pid = task(service, argv=SLEEP, credentials=SECRETS)["service"]["pid"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: has_ended(pid))
    task(service, state="absent")
    assert_nothing_is_left(web)


def test_one_that_cannot_be_run(service: Web | Systemd) -> None:
    web = web_of(service)
    options: dict[str, t.Any] = {"argv": ["/no/such"], "credentials": SECRETS}
    failure = web.task(**options) if isinstance(service, Web) else service.fails(**options)
    assert "/no/such does not exist" in failure["reason"]
    assert "correct horse" not in str(failure)
    assert_nothing_is_left(web)
    task(service, state="absent")


def test_others_cannot_read_them(web: Web) -> None:
    pid = web.started(argv=SLEEP, user="nobody", credentials=SECRETS)
    words = ("cat", f"{directory_of(web)}/password")
    for uid, said in ((NOBODY, SECRETS["password"]), (0, SECRETS["password"]), (4711, "")):
        who = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        assert Unshared(pid).run(*who, *words, check=False) == said
    web.converge(state="absent")


@pytest.mark.parametrize("umask", [0, 0o777])
def test_modes_do_not_depend_on_the_umask(service: Web | Systemd, umask: int) -> None:
    web = web_of(service)
    before = os.umask(umask)
    try:
        pid = task(service, argv=SLEEP, user="nobody", credentials=SECRETS)["service"]["pid"]
        assert_are_the_programs(web, pid, NOBODY)
        for path in ("/run/credentials", directory_of(web)):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o755
    finally:
        os.umask(before)
        task(service, state="absent")


def test_a_copy_that_another_has_is_empty_in_the_end(web: Web) -> None:
    """A service with mounts of its own has copies of all that was mounted when it started."""
    web.started(argv=SLEEP, credentials=SECRETS)
    other = web.task(argv=SLEEP, name="other", kinds=["mnt"])["service"]["pid"]
    copy = f"/proc/{other}/root{directory_of(web)}"
    held = os.open(f"{copy}/password", os.O_RDONLY)
    assert set(os.listdir(copy)) == set(SECRETS)
    web.converge(state="stopped")
    assert not os.path.exists(copy) or os.listdir(copy) == []
    os.close(held)
    web.converge(name="other", state="absent")


def test_a_removed_namespace_leaves_no_place(web: Web, run_module: RunModule) -> None:
    web.started(argv=SLEEP, credentials=SECRETS)
    assert os.path.exists(directory_of(web))
    run_module("ns_namespace", {"name": web.name, "state": "absent", "force": True})
    assert not os.path.exists(directory_of(web))


# --- namespaces


def test_in_the_root_of_an_image(web: Web, run_module: RunModule, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    mounts: list[dict[str, t.Any]] = [
        {"path": str(root), "src": "root", "fstype": "tmpfs", "opts": "X-mount.mkdir"}
    ]
    for path in ("/usr", "/lib", "/lib64", "/bin"):
        bind = {"path": f"{root}{path}", "src": path, "opts": "rbind,ro,X-mount.mkdir"}
        mounts += [bind] if os.path.isdir(path) else []
    run_module("ns_mount", {"namespace": web.name, "mounts": mounts})
    run_module("ns_pivot_root", {"namespace": web.name, "new_root": str(root)})
    pid = web.started(argv=["/usr/bin/sleep", "infinity"], user="4711", credentials=SECRETS)
    assert_are_the_programs(web, pid, 4711)
    assert not os.path.exists(directory_of(web))
    web.converge(state="stopped")
    assert os.listdir(f"/proc/{web.started(argv=SLEEP)}/root/run/credentials") == []


def test_in_a_user_namespace(make_web: t.Callable[..., Web], run_module: RunModule) -> None:
    ids = [{"inside": 0, "outside": 100000, "count": 65536}]
    web = make_web(kinds=["mnt", "user"], id_map={"uid": ids, "gid": ids})
    failure = web.task(argv=SLEEP, credentials=SECRETS)  # the host's /run is not its own
    assert f"{directory_of(web)} cannot be made inside: Permission denied" in failure["reason"]
    mount = {"namespace": web.name, "path": "/run", "src": "t", "fstype": "tmpfs"}
    assert run_module("ns_mount", mount)["changed"]
    pid = web.started(argv=SLEEP, user="4711", credentials=SECRETS)
    assert_are_the_programs(web, pid, 100000 + 4711)
    failure = web.task(argv=SLEEP, user="70000", credentials=SECRETS)
    assert "credentials cannot belong to uid 70000" in failure["reason"]
    assert "Map them" in failure["hint"]
    web.converge(state="absent")
    assert not os.path.exists(directory_of(web))


@pytest.mark.parametrize("kinds", [["mnt"], ["mnt", "user"], ["pid"], ["net", "uts"]], ids="+".join)
def test_with_namespaces_of_its_own(web: Web, kinds: list[str]) -> None:
    pid = web.started(argv=SLEEP, kinds=kinds, credentials=SECRETS)
    assert_are_the_programs(web, pid, 0)
    web.converge(state="absent")
    assert_nothing_is_left(web)


def test_where_they_would_be_the_hosts(make_web: t.Callable[..., Web], stub_systemd: t.Any) -> None:
    web = make_web(kinds=["net"])
    options: dict[str, t.Any] = {"argv": SLEEP, "credentials": SECRETS}
    for more in ({}, {"supervisor": "systemd", "env": stub_systemd.env}):
        failure = web.task(**options, **more)
        assert failure["reason"] == "credentials of service idle would be mounted on the host"
        assert "Add mnt to kinds" in failure["hint"]
    assert not os.path.exists(directory_of(web))
    pid = web.started(**options, kinds=["mnt"])
    assert_are_the_programs(web, pid, 0)
    web.converge(state="absent")
    assert not os.path.exists(directory_of(web))  # in the host's /run


def test_a_user_namespace_needs_mounts_of_its_own(web: Web) -> None:
    failure = web.task(argv=SLEEP, credentials=SECRETS, kinds=["user"])
    assert "from a user namespace of its own" in failure["reason"]
    assert "step" not in failure


def make_odd(path: str, how: str, elsewhere: pathlib.Path) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if how == "a link":
        os.symlink(elsewhere, path)
    elif how == "a link to nothing":
        os.symlink("/nowhere", path)
    elif how == "a file":
        pathlib.Path(path).touch()
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("how", ["a link", "a link to nothing", "a file", "a FIFO"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_never_through_links(
    web: Web, run_module: RunModule, tmp_path: pathlib.Path, how: str, depth: int
) -> None:
    place = "/".join(directory_of(web).split("/")[: depth + 1])
    mount = {"namespace": web.name, "src": "t", "fstype": "tmpfs"}
    if depth == 1:
        run_module("ns_mount", {**mount, "path": "/mnt"})
        inside(web.name, lambda: make_odd("/mnt/run", how, tmp_path), ["mnt"])
        for path in ("/usr", "/lib", "/lib64", "/bin"):
            bind = {"src": path, "opts": "rbind,X-mount.mkdir", "path": f"/mnt{path}"}
            run_module("ns_mount", {"namespace": web.name, **bind})
        run_module("ns_pivot_root", {"namespace": web.name, "new_root": "/mnt"})
    else:
        run_module("ns_mount", {**mount, "path": "/run"})
        inside(web.name, lambda: make_odd(place, how, tmp_path), ["mnt"])
    failure = web.task(argv=["/usr/bin/sleep", "9"], credentials=SECRETS)
    assert failure["step"] == "give service idle its credentials"
    assert "there is no place for the credentials" in failure["reason"]
    assert f"{os.path.basename(place)} of {directory_of(web)} is no directory" in failure["reason"]
    assert os.listdir(tmp_path) == []
    web.converge(state="absent")


def test_on_a_read_only_root(web: Web, run_module: RunModule) -> None:
    mount = {"namespace": web.name, "path": "/run", "src": "t", "fstype": "tmpfs", "opts": "ro"}
    run_module("ns_mount", mount)
    failure = web.task(argv=SLEEP, credentials=SECRETS)
    assert f"{directory_of(web)} cannot be made inside: Read-only file" in failure["reason"]
    assert "Mount a tmpfs on /run" in failure["hint"]
    web.converge(state="absent")


def test_on_a_shared_mount(make_web: t.Callable[..., Web]) -> None:
    web = make_web(kinds=["mnt"], propagation="shared")
    failure = web.task(argv=SLEEP, credentials=SECRETS)
    assert "is shared with other mount namespaces" in failure["reason"]
    assert not mounts_of(os.getpid(), directory_of(web))
    web.converge(state="absent")


def test_what_others_have_mounted_there_is_theirs(
    web: Web, run_module: RunModule, tmp_path: pathlib.Path
) -> None:
    """A file system of somebody else is covered, not emptied."""
    args = {"namespace": web.name, "path": directory_of(web), "src": str(tmp_path)}
    run_module("ns_mount", {**args, "opts": "bind,X-mount.mkdir"})
    theirs = tmp_path / "theirs"
    theirs.touch()
    pid = web.started(argv=SLEEP, credentials=SECRETS)
    assert set(os.listdir(f"/proc/{pid}/root{directory_of(web)}")) == set(SECRETS)
    web.converge(state="absent")
    assert theirs.exists()
    run_module("ns_mount", {"namespace": web.name, "path": directory_of(web), "state": "unmounted"})
    os.rmdir(directory_of(web))


# --- input, results, notes


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"credentials": {"a/b": "x1"}}, "'a/b' cannot be the name of a credential"),
        ({"credentials": {"..": "x1"}}, "'..' cannot be the name"),
        ({"credentials": {"": "x1"}}, "'' cannot be the name"),
        ({"credentials": {"a:b": "x1"}}, "'a:b' cannot be the name"),
        ({"credentials": {"a\nb": "x1"}}, r"'a\nb' cannot be the name"),
        ({"credentials": {"a\0b": "x1"}}, r"'a\x00b' cannot be the name"),
        ({"credentials": {"n" * 256: "x1"}}, "cannot be the name"),
        ({"credentials": {"a": "x1" * (1 << 20)}}, "credentials hold 2097152 bytes"),
        ({"credentials": {"a": {"k": "the-secret"}}}, "the value of a must be a text, not a dict"),
        ({"credentials": {"a": ["the-secret"]}}, "the value of a must be a text, not a list"),
        ({"credentials": {"a": None}}, "the value of a must be a text, not nothing"),
        ({"secret_environment": {"A": ["the-secret"]}}, "must be a text, not a list"),
        ({"secret_environment": {"A=B": "the-secret"}}, "'A=B' cannot be the name"),
        ({"secret_environment": {"": "the-secret"}}, "'' cannot be the name"),
        (
            {"secret_environment": {"A": "the-secret\0"}},
            "A of secret_environment must not hold a null",
        ),
    ],
)
def test_bad_secrets_are_refused(web: Web, options: dict[str, t.Any], reason: str) -> None:
    failure = web.task(argv=SLEEP, **options)
    assert failure["failed"]
    assert reason in failure["reason"]
    assert "the-secret" not in str(failure)
    assert "step" not in failure


def test_secrets_are_in_the_note_alone(web: Web) -> None:
    pathlib.Path(host_paths.services(web.name)).chmod(0o755)  # as version 0.1.0 left it
    done = web.converge(argv=SLEEP, secret_environment={"A": "the-secret", "N": 1234567})
    pid = done["service"]["pid"]
    environment = environment_of(pid)
    assert (environment["A"], environment["N"]) == ("the-secret", "1234567")
    path = pathlib.Path(service_note.path_of(web.name, "idle"))
    assert "the-secret" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(web.log.parent.stat().st_mode) == 0o750
    changed = web.converge(argv=SLEEP, secret_environment={"A": "the-other", "N": 1234567})
    assert "secret_environment: {'A': '(secret)', 'N': '(secret)'}" in changed["diff"]["before"]
    assert "{'A': '(secret, changes)', 'N': '(secret)'}" in changed["diff"]["after"]
    assert changed["actions"] == ["stop service idle", "start service idle"]
    for secret in ("the-secret", "the-other", "1234567"):
        assert secret not in str(done)
        assert secret not in str(changed)
    # Without argv they are what they were.
    assert not web.converge()["changed"]
    # They come before the others.
    web.converge(argv=SLEEP, environment={"A": "plain"}, secret_environment={"A": "the-third"})
    assert environment_of(web.started())["A"] == "the-third"
    web.converge(state="absent")
