# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command on a host that runs another one inside the namespaces of a target.

`nsctl exec` where the host has it, else nsenter(1) after the same checks. Which of the two it is
the host finds out in the same round trip. Pure: what is here are texts. Ansible compiles it for
each task, with all that it imports: that is little.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.linux.namespaces.plugins.module_utils._core import kinds
from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused
from ansible_collections.linux.namespaces.plugins.module_utils._core.host_paths import (
    CLOSED,
    COMMAND,
    checked_name,
    closed_directory,
    directory,
    environment_of,
)
from ansible_collections.linux.namespaces.plugins.plugin_utils._heard import for_people

# They never ask for a password: what they read would be the input of the command.
ESCALATIONS = {"none": "", "sudo": "LC_ALL=C sudo -n ", "doas": "LC_ALL=C doas -n "}

# All of the environment inside: nothing of the host's is passed on.
_ENVIRONMENT = tuple(f"{name}={value}" for name, value in environment_of().items())
_NSFS_MAGIC = "6e736673"  # statfs(2), as stat(1) prints it
_OPTIONS = {kind: "--mount" if kind == "mnt" else f"--{kind}" for kind in kinds.NAMES}

# $h is what has a command run with the mounts of the host: see namespace/host_mounts.py.
_OTHER_MOUNTS = (
    "h=; m=$(readlink /proc/1/ns/mnt) && r=$(stat -c %d:%i /proc/1/root/run 2>/dev/null)"
    ' && [ "$r" = "$(stat -c %d:%i /run)" ] && { [ "$m" = "$(readlink /proc/self/ns/mnt)" ]'
    ' && [ "$(stat -c %d:%i /)" = "$(stat -c %d:%i /proc/1/root/)" ]'
    ' || h="nsenter --mount=/proc/1/ns/mnt --"; };'
)

_NOT_STARTED = (125, 126, 127)  # of nsctl: not entered, no such program, not executable
_COMPLAINT = re.compile(r"^(?:nsctl exec|linux\.namespaces): (.+?)\r?$", re.MULTILINE)
# What the way in may have said, and a command inside as well.
_SUSPICION = re.compile(
    rf"^(?:sudo|doas|nsenter|unshare|mount): |{re.escape(COMMAND)}: |sudoers|not allowed to execute",
    re.MULTILINE,
)
_NO_PYTHON = re.compile(r"python[0-9.]*: (?:command )?not found|python[0-9.]*: No such file")


class Way(t.NamedTuple):
    """How to get in: the target, the kinds of its namespaces to join, how to become root before.

    The target is one of ``namespace``, ``pid`` and ``path``.
    """

    namespace: str | None = None
    pid: int | None = None
    path: str | None = None
    kinds: tuple[str, ...] | None = None
    escalation: str = "none"

    @property
    def target(self) -> str:
        """The target, for people."""
        if self.namespace is not None:
            return f"namespace {self.namespace}"
        return f"process {self.pid}" if self.path is None else for_people(self.path)

    def checked(self) -> Way:
        """This way when it makes sense by itself. Raises Refused."""
        targets = sum(value is not None for value in (self.namespace, self.pid, self.path))
        if targets != 1:
            raise Refused(
                f"{'more than one' if targets else 'no'} target is set",
                "Set one of ansible_ns_namespace, ansible_ns_pid and ansible_ns_path.",
            )
        if self.namespace is not None:
            checked_name(self.namespace)
        if self.pid is not None and self.pid < 1:
            raise Refused(f"ansible_ns_pid must be a positive number, not {self.pid}")
        if self.path is not None and (not self.path.startswith("/") or "\0" in self.path):
            raise Refused(f"ansible_ns_path must be an absolute path, not {self.path!r}")
        for kind in self.kinds or ():
            if kind not in kinds.KINDS:
                raise Refused(
                    f"there is no kind {kind!r}",
                    f"ansible_ns_kinds takes {', '.join(kinds.NAMES)}.",
                )
        return self

    def around(self, command: str) -> str:
        """A command for the host's shell that runs the shell command ``command`` inside.

        It is one line without an exclamation mark, since that shell is the user's and may be csh.
        It ends with the exit code of ``command``, or 128 and the number of the signal.
        """
        as_root = ESCALATIONS[self.escalation]
        nsctl = [COMMAND, "exec", *self._words(), "--clear-env"]
        nsctl += [f"--env={assignment}" for assignment in _ENVIRONMENT]
        script = ""
        if as_root:
            missing = _fail(f"there is no {self.escalation} on this host")
            script = f"command -v {self.escalation} >/dev/null || {missing}; "
        # In a session of its own, without the terminal of who runs the play (CVE-2017-5226). It is a
        # child for setsid(1), which does not wait for a program that it would have to make one.
        no_setsid = _fail("here is neither nsctl nor nsenter with setsid")
        nsenter = (
            f"command -v setsid >/dev/null || {no_setsid}; "
            f"{_OTHER_MOUNTS} "
            f'(exec setsid $h /bin/sh -c {shlex.quote(self._through_nsenter())} sh "$1"); exit $?'
        )
        script += (
            f'if [ -x {COMMAND} ]; then {as_root}{shlex.join(nsctl)} -- /bin/sh -c "$1"; '
            f'else {as_root}/bin/sh -c {shlex.quote(nsenter)} sh "$1"; fi; '
            # Not the shell's last command, so that it waits and a signal becomes an exit code.
            "exit $?"
        )
        return shlex.join(["/bin/sh", "-c", script, "sh", command])

    def _words(self) -> list[str]:
        """The target as options of nsctl."""
        words = [] if self.kinds is None else [f"--kinds={','.join(self.kinds)}"]
        if self.namespace is not None:
            return [self.namespace, *words]
        if self.pid is not None:
            return [f"--pid={self.pid}", *words]
        return [f"--path={self.path}", *words]

    def _through_nsenter(self) -> str:
        """A script that does what `nsctl exec` does, with its checks (namespace/target.py).

        A /bin/sh inside that is a link to /proc/self/exe has nsenter run inside, where its file can
        be opened by way of /proc/PID/exe (CVE-2019-5736). So where a root is joined nsenter is run
        from a read-only mount of it, in a mount namespace that nobody else is in.
        """
        tools = ("nsenter", "unshare", "mount")
        missing = _fail("here is neither nsctl nor nsenter, with unshare and mount")
        # The environment is made on the host: env(1) of the root inside may be anything.
        # Not --wd, which opens the host's directory before it enters.
        enter = f'{shlex.join(["exec", "env", "-i", *_ENVIRONMENT])} "$0" "$@"'
        read_only = (
            'f=$(readlink -f "$0") && mount -o bind "$f" "$f" &&'
            ' mount -o remount,bind,ro "$f" "$f" ||'
            f" {_fail('nsenter cannot be mounted read-only')};"
        )
        return " ".join(
            [
                f'[ "$(id -u)" = 0 ] || {_fail("this takes root")};',
                *(f"command -v {tool} >/dev/null || {missing};" for tool in tools),
                "c=$1; shift; m=;",
                *self._handles(),
                # Where it was before is the host's business.
                'set -- "$(command -v nsenter)" "$@" -- /bin/sh -c "cd /; unset OLDPWD; $c";',
                f'[ "$m" ] || exec /bin/sh -c {shlex.quote(enter)} "$@";',
                # Not exec: it is by our root that it finds a mount namespace, see _join().
                f'unshare -m /bin/sh -c {shlex.quote(f"{read_only} {enter}")} "$@"; exit $?',
            ]
        )

    def _handles(self) -> t.Iterator[str]:
        """Commands that make "$@" what nsenter(1) is to join."""
        if self.namespace is not None:
            return self._handles_of_name(self.namespace)
        if self.pid is not None:
            return self._handles_of_process(self.pid)
        return self._handle_of_file(str(self.path))

    def _handles_of_name(self, name: str) -> t.Iterator[str]:
        unknown = _fail(f"there is no namespace {name!r} on this host")
        closed = _fail(f"namespace {name!r} is not whole, and so is closed: run its play again")
        yield f"if [ -d {closed_directory(name)} ]; then {closed}; fi;"
        # It is looked at there, also while it is moved, and afterwards whether it is still in place:
        # so all of its pins are found, or none.
        yield f"cd {directory(name)} 2>/dev/null || {unknown};"
        for kind in kinds.NAMES:
            is_wanted = kind in (self.kinds or kinds.NAMES)
            join = _join(kind, f"{directory(name)}/{kind}") if is_wanted else ":"
            missing = ":"
            if self.kinds and is_wanted:
                missing = _fail(f"namespace {name!r} has no {kind} namespace")
            lost = f"namespace {name!r} has lost its {kind} namespace: run its play again"
            yield f'if [ "$(stat -f -c %t {kind} 2>/dev/null)" = {_NSFS_MAGIC} ]; then {join};'
            yield f"elif [ -e {kind} ]; then {_fail(lost)}; else {missing}; fi;"
        changed = _fail(
            f"namespace {name!r} is changed just now by another run: wait for it to end"
        )
        yield f"if [ -d {closed_directory(name)} ]; then {closed}; fi;"
        yield f'[ "$(stat -c %i .)" = "$(stat -c %i {directory(name)})" ] || {changed}; cd /;'
        yield f"[ $# -gt 0 ] || {unknown};"

    def _handles_of_process(self, pid: int) -> t.Iterator[str]:
        gone = _fail(f"there is no process {pid} on this host")
        for kind in self.kinds or kinds.NAMES:
            handle = f"/proc/{pid}/ns/{kind}"
            # A kind that the kernel lacks is left out; a zombie lives nowhere.
            yield f"if h=$(readlink /proc/self/ns/{kind}); then n=$(readlink {handle}) || {gone};"
            yield f'[ "$n" = "$h" ] || {{ {_if_not_closed(handle)} {_join(kind, handle)}; }}; fi;'
        yield f"[ $# -gt 0 ] || {_fail(f'process {pid} lives in the namespaces of the host')};"

    def _handle_of_file(self, path: str) -> t.Iterator[str]:
        # Below /proc a link names the kind; elsewhere the root of the mount does.
        yield f'p={shlex.quote(path)}; [ -e "$p" ] || {_fail(f"{path} cannot be opened")};'
        yield 'n=$(readlink "$p"); case $n in *:\\[*) ;; *) p=$(readlink -f "$p"); n=;'
        yield 'while read -r _ _ _ r m _; do [ "$(printf %b "$m")" = "$p" ] && n=$r; done'
        yield "</proc/self/mountinfo;; esac; k=${n%%:*}; k=${k%_for_children};"
        kind_names = "|".join(self.kinds or kinds.NAMES)
        wanted = " or ".join(self.kinds or ("any",))
        yield f"case $k in {kind_names}) ;;"
        yield f"*) {_fail(f'{path} is not a namespace file of {wanted} kind')};; esac;"
        yield '[ "$n" = "$(readlink "/proc/self/ns/$k")" ] &&'
        yield f"{_fail(f'{path} is a namespace of the host')};"
        yield _if_not_closed("$p")
        yield f'case $k in mnt) {_join("mnt", "$p")};; *) set -- "--$k=$p";; esac;'


def failure(code: int, said: str) -> str | None:
    """Why nothing was started inside, by the way's exit code and what it wrote; None if it was."""
    found = _COMPLAINT.findall(said)
    return found[-1] if found and code in _NOT_STARTED else None


def lacks_python(code: int, said: str) -> bool:
    """Whether a shell inside has not found the Python that it was to run."""
    return code == _NOT_STARTED[-1] and _NO_PYTHON.search(said) is not None


def hint(way: Way, reason: str) -> str:
    """What to do about a reason that comes from who is to enter."""
    if "this takes root" in reason and way.escalation == "none":
        return "Set ansible_ns_escalation, to sudo or doas, or log in as root."
    if reason.startswith(f"{way.escalation}: "):
        return f"Let the login user run {COMMAND} on the host as root without a password."
    return ""


def suspicious(code: int, said: str) -> bool:
    """Whether the way in may have failed, or a command inside that talks like it."""
    return code in (1, *_NOT_STARTED) and _SUSPICION.search(said) is not None


def _join(kind: str, path: str) -> str:
    """A command that adds the namespace file ``path``, which may be $p, to "$@"."""
    if kind != "mnt":
        return f'set -- "$@" {_OPTIONS[kind]}={path}'
    # nsenter has a copy of our mounts, and none of the file of a mount namespace is copied
    # (mount_namespaces(7)).
    return f'm=1; set -- "$@" "--mount=/proc/$$/root{path}"'


def _if_not_closed(path: str) -> str:
    """A command that fails where the namespace file ``path``, which may be $p, is of a closed one."""
    closed = _fail(
        "it belongs to a namespace that is not whole, and so is closed: run its play again"
    )
    # One stat(1) for all: a host may have hundreds of them.
    number = "stat -L -c =%d:%i="
    return (
        f'i=$({number} "{path}"); case $({number} {CLOSED}/*/* 2>/dev/null) in'
        f' *"$i"*) {closed};; esac;'
    )


def _fail(reason: str) -> str:
    """A command that ends a script as `nsctl exec` ends when it cannot enter."""
    return f"{{ echo {shlex.quote(f'linux.namespaces: {reason}')} >&2; exit {_NOT_STARTED[0]}; }}"
