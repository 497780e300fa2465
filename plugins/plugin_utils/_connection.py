# Copyright: linux.namespaces contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the connection plugins add to Ansible's own ones.

PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound

from ansible_collections.linux.namespaces.plugins.module_utils._core.errors import Refused, in_words
from ansible_collections.linux.namespaces.plugins.plugin_utils import _entering, _no_init
from ansible_collections.linux.namespaces.plugins.plugin_utils._heard import for_people

# Who we are inside, whoever we are on the host.
USER_INSIDE = "root"
# What travels in one command: Ansible's own plugins keep what a command reads and writes in
# memory. A multiple of the block size.
_BLOCK = 65536
_CHUNK = 128 * _BLOCK

Done = tuple[int, bytes, bytes]


class Inside:
    """Mixed into a connection plugin of Ansible: runs its commands inside, and moves files there.

    Files are written and read by a process that is inside already, so no link of the root inside
    leads to the host (CVE-2015-6240).
    """

    # Of the plugin that this is mixed into.
    _display: t.Any
    _play_context: t.Any
    _shell: t.Any
    get_option: t.Callable[..., t.Any]

    def set_options(
        self,
        task_keys: dict[str, t.Any] | None = None,
        var_options: dict[str, t.Any] | None = None,
        direct: dict[str, t.Any] | None = None,
    ) -> None:
        """Take the options for a task. Raises AnsibleError for one that may not be run inside."""
        super().set_options(  # type: ignore[misc]
            task_keys=task_keys, var_options=var_options, direct=direct
        )
        # Before anything is run: an action plugin may well do nothing here in check mode.
        if task_keys:
            action, arguments = task_keys.get("action"), task_keys.get("args")
            self._refuse(_no_init.of_task(action or "", arguments or {}))

    def _refuse(self, what: str | None) -> None:
        if what is not None and not self.get_option("has_init"):
            raise AnsibleError(
                f"{what} is not for the inside of {self._way().target}, which has no init of its"
                " own: it would act on the host, or on nothing. Services inside are those of"
                " linux.namespaces.ns_service, in a task for the host. Where there is an init"
                " inside, or the host's is meant, set ansible_ns_has_init."
            )

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Done:
        """Run a command inside.

        Raises AnsibleConnectionFailure where that cannot be entered, AnsibleError for a command
        that may not be run there.
        """
        # What an action plugin does is known here only.
        self._refuse(_no_init.of_command(cmd) or _no_init.of_payload(in_data or b""))
        code, out, err = self._exec_inside(cmd, in_data, sudoable)
        return code, out if self.get_option("has_init") else _no_init.without_manager(out), err

    def _exec_inside(self, cmd: str, in_data: bytes | None, sudoable: bool) -> Done:
        way = self._way()
        if not self.get_option("has_init"):
            cmd = _no_init.OFFLINE + cmd
        try:
            code, out, err = self._exec_on_host(way.around(cmd), in_data, sudoable)
        except AnsibleConnectionFailure as error:
            # Of Ansible's plugin, with what the host said: a banner, or why ssh(1) is refused.
            raise type(error)(for_people(str(error))) from None
        except AnsibleError:
            # Who waits for a sign of `become` inside does not know that there is a way before it.
            self._check(way)
            raise
        # With a terminal all is in one.
        said = b"\n".join([out[-_BLOCK:], err]).decode("utf-8", "replace") if code else ""
        reason = _entering.failure(code, said)
        if reason is not None:
            raise self._unreachable(way, reason)
        if _entering.suspicious(code, said):
            self._check(way)
        if _entering.lacks_python(code, said):
            text = (
                f"There is no such Python inside {way.target}: what needs none is raw, and script."
            )
            err += f"{text}\n".encode()
        return code, out, err

    def _exec_on_host(self, cmd: str, in_data: bytes | None, sudoable: bool) -> Done:
        done: Done = super().exec_command(  # type: ignore[misc]
            cmd, in_data=in_data, sudoable=sudoable
        )
        return done

    def _way(self) -> _entering.Way:
        given = self.get_option("kinds")
        way = _entering.Way(
            self.get_option("namespace"),
            self.get_option("pid"),
            self.get_option("path"),
            tuple(given) if given else None,
            self.get_option("escalation"),
        )
        try:
            return way.checked()
        except Refused as error:
            # Ansible would add the cause once more.
            raise AnsibleConnectionFailure(in_words(error)) from None

    def _check(self, way: _entering.Way) -> None:
        """Enter and do nothing. Raises AnsibleConnectionFailure where that fails."""
        code, out, err = self._exec_on_host(way.around("exit 0"), None, False)
        if code:
            said = (err or out).decode("utf-8", "replace")
            raise self._unreachable(way, _entering.failure(code, said) or said)

    def _unreachable(self, way: _entering.Way, reason: str) -> AnsibleConnectionFailure:
        reason = for_people(reason).rstrip(".")
        words = [f"Cannot enter {way.target}: {reason}.", _entering.hint(way, reason)]
        return AnsibleConnectionFailure(" ".join(filter(None, words)))

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller to a path inside. Raises AnsibleError as exec_command()."""
        self._refuse(_no_init.of_file(out_path))
        self._tell(f"PUT {in_path} TO {out_path}")
        try:
            with open(in_path, "rb") as source:
                self._put(source, in_path, self._shell.quote(out_path))
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"file or module does not exist: {in_path}") from error

    def _put(self, source: t.BinaryIO, name: str, target: str) -> None:
        blocks = 0
        while (chunk := source.read(_CHUNK)) or not blocks:
            # The first one truncates. Any may come again, from a plugin that tries again.
            place = f"seek={blocks} conv=notrunc" if blocks else ""
            count = "" if chunk else "count=0"  # there is nothing to wait for
            self._transfer(f"dd of={target} bs={_BLOCK} {place} {count}", name, chunk)
            blocks += _CHUNK // _BLOCK
            if len(chunk) < _CHUNK:
                break

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file inside to a path of the controller."""
        self._tell(f"FETCH {in_path} TO {out_path}")
        source = self._shell.quote(in_path)
        with open(out_path, "wb") as target:
            while True:
                have = target.tell()
                # Not dd(1): from /proc it reads less than it could, unless an option says so that
                # not every dd has. The end of a pipe does not fail for its beginning: the first
                # chunk is read without one.
                head = f"head -c {_CHUNK}"
                skip = f"tail -c +{have + 1} < {source} | {head}"
                chunk = self._transfer(skip if have else f"{head} < {source}", in_path)
                target.write(chunk)
                if len(chunk) < _CHUNK:
                    break

    def _transfer(self, command: str, path: str, data: bytes | None = None) -> bytes:
        # Not sudoable: no terminal, which would change what passes through it.
        code, out, err = self._exec_inside(command, data or None, False)
        if code:
            raise AnsibleError(f"failed to transfer {for_people(path)}: {for_people(err)}")
        return out

    def _tell(self, line: str) -> None:
        # A path may be one that inside has named: its directory for what is temporary, or a result.
        self._display.vvv(for_people(line), host=self._play_context.remote_addr)
