# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop of the README and the guides: a root file system with a small server, /usr/bin/shop."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import shutil
import subprocess
import typing as t

from module_server import CHECKOUT

from ansible_collections.linux.namespaces.plugins.module_utils._core.syscalls import mounts

# Perl is on every Debian, and small. It takes a socket from who starts it, and tells its version.
_SHOP = """\
#!/usr/bin/perl
use IO::Socket::INET;
my $server = $ENV{LISTEN_FDS}
    ? IO::Socket::INET->new_from_fd(3, "+<")
    : IO::Socket::INET->new(LocalAddr => "127.0.0.1:8000", Listen => 5, ReuseAddr => 1) or die;
while (my $client = $server->accept) { print $client "shop VERSION\\n"; close $client; }
"""
_BROKEN = """\
#!/usr/bin/perl
die "no license for version 3\\n";
"""
_PASSWD = "root:x:0:0::/:/bin/sh\nshop:x:61600:61600::/:/bin/sh\n"


def make_tree(top: pathlib.Path) -> None:
    """Make the root file system, with a user shop."""
    perl = str(pathlib.Path(shutil.which("perl") or "perl").resolve())
    needed = subprocess.run(["ldd", perl], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in needed.split() if word.startswith("/")]
    show = ["perl", "-e", "print join ' ', grep { m(/perl-base$) } @INC"]
    modules = subprocess.run(show, check=True, capture_output=True, text=True).stdout.split()
    top.mkdir(parents=True)
    # The names of libraries may be links, and lead through some.
    subprocess.run(["cp", "-rL", "--parents", perl, *libraries, *modules, top], check=True)
    program = top / "usr/bin/shop"
    program.write_text(_SHOP.replace("VERSION", "1"))
    program.chmod(0o755)
    (top / "etc").mkdir()
    (top / "etc/passwd").write_text(_PASSWD)
    (top / "etc/group").write_text("root:x:0:\nshop:x:61600:\n")


@contextlib.contextmanager
def on_host() -> t.Iterator[None]:
    """Have what the examples find on a host: /srv/shop.tar, two later versions, /srv/tree and /srv/shop/data.

    /srv and /var/lib are ours meanwhile, and can hold the upper directory of an overlay.
    """
    with contextlib.ExitStack() as stack:
        for path in ("/srv", "/var/lib"):
            mounts.mount("tests", path, fstype="tmpfs", data="mode=755")
            stack.callback(mounts.umount, path, flags=mounts.MNT_DETACH)
        tree = pathlib.Path("/srv/tree")
        make_tree(tree)
        versions = [("-2", _SHOP.replace("VERSION", "2")), ("-3", _BROKEN)]
        for name, text in [*versions, ("", _SHOP.replace("VERSION", "1"))]:
            (tree / "usr/bin/shop").write_text(text)
            subprocess.run(["tar", "-cf", f"/srv/shop{name}.tar", "-C", tree, "."], check=True)
        pathlib.Path("/srv/shop/data").mkdir(parents=True)
        yield


@contextlib.contextmanager
def on_this_host() -> t.Iterator[None]:
    """The same on the host of the tests, whose network others have as well: the port of the shop is ours meanwhile."""
    with (CHECKOUT / ".build/port-of-shop").open("w") as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        with on_host():
            yield
