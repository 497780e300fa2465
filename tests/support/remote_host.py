# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own host as a remote one: with sshd on loopback, and users with sudo, with doas and without."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time
import typing as t

from module_server import CHECKOUT

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

TOOLS = CHECKOUT / ".build/cache/login-tools"
# Who may do what: by sudo and doas, and not at all.
ADMIN, PLAIN = "tester", "guest"
UIDS = {ADMIN: 61500, PLAIN: 61501}
_SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {keys}/host
AuthorizedKeysFile {keys}/client.pub
PidFile none
PermitRootLogin yes
StrictModes no
UsePAM no
Subsystem sftp /usr/lib/openssh/sftp-server
"""


@contextlib.contextmanager
def remote_host() -> t.Iterator[dict[str, t.Any]]:
    """Start it; the variables of a host that is reached there as root. It ends with the block."""
    subprocess.run([CHECKOUT / "tests/login-tools", TOOLS], check=True)
    keys = pathlib.Path("/etc/ssh/tests")
    keys.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, keys)
        for name in ("bin", "sbin", "libexec", "lib/openssh"):
            place = f"/usr/{name}"
            pathlib.Path(place).mkdir(exist_ok=True)
            mounts.mount("tests", place, fstype="overlay", data=f"lowerdir={TOOLS}{place}:{place}")
            stack.callback(mounts.umount, place, flags=mounts.MNT_DETACH)
        _make_users()
        for name in ("host", "client"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)]
            subprocess.run(argv, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        (keys / "sshd_config").write_text(_SSHD.format(port=port, keys=keys))
        # Also when the tests are killed, it does not stay behind.
        argv = [
            "setpriv",
            "--pdeathsig=TERM",
            "/usr/sbin/sshd",
            "-D",
            "-e",
            "-f",
            str(keys / "sshd_config"),
        ]
        libraries = {"LD_LIBRARY_PATH": f"{TOOLS}/usr/lib/x86_64-linux-gnu"}
        log = stack.enter_context(open(keys / "log", "wb"))
        sshd = subprocess.Popen(argv, stderr=log, env=libraries)
        stack.callback(sshd.wait)
        stack.callback(sshd.terminate)
        _wait(sshd, port, keys / "log")
        yield {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(keys / "client"),
            "ansible_ssh_extra_args": "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            "ansible_host_key_checking": False,
        }


def _make_users() -> None:
    """/etc is the tests' own, so nothing of this stays."""
    shutil.copytree(TOOLS / "etc", "/etc", dirs_exist_ok=True)
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    lines = {
        "passwd": "sshd:x:61499:65534::/run/sshd:/usr/sbin/nologin\n",
        "group": "",
        "shadow": "",
    }
    for name, uid in UIDS.items():
        lines["passwd"] += f"{name}:x:{uid}:{uid}::/:/bin/sh\n"
        lines["group"] += f"{name}:x:{uid}:\n"
        lines["shadow"] += f"{name}:*:19000:0:99999:7:::\n"
    for file, text in lines.items():
        with open(f"/etc/{file}", "a", encoding="utf-8") as database:
            database.write(text)
    _write("/etc/sudoers.d/tests", f"{ADMIN} ALL=(root) NOPASSWD: /usr/local/sbin/nsctl, /bin/sh\n")
    _write("/etc/doas.conf", f"permit nopass {ADMIN} as root\n")


def _write(path: str, text: str) -> None:
    pathlib.Path(path).write_text(text)
    pathlib.Path(path).chmod(0o440)


def _wait(sshd: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and sshd.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
