# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Why the program of a service of systemd has ended last.

systemd forgets it when it starts the program again, which it does a moment later. So what it tells
the last command of the unit is noted in /run/linux-namespaces/NAME/services/SERVICE.ended.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

from .. import host_paths
from ..storage import atomic, json_file
from .data import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t


def told(environment: t.Mapping[str, str]) -> dict[str, t.Any] | None:
    """What systemd says of it (systemd.exec(5), $SERVICE_RESULT), or None where it says nothing.

    ``result`` is systemd's word for it, such as success, exit-code, signal and timeout;
    ``exit_status`` is a number, or None where the program was ended by ``signal``, such as KILL.
    Pure.
    """
    result, code = environment.get("SERVICE_RESULT", ""), environment.get("EXIT_CODE", "")
    status = environment.get("EXIT_STATUS", "")
    if not result:
        return None
    has_exited = code == "exited" and status.isascii() and status.isdigit()
    return {
        "result": result,
        "exit_status": int(status) if has_exited else None,
        "signal": status if code in ("killed", "dumped") else None,
    }


def in_words(end: t.Mapping[str, t.Any]) -> str:
    """The same for people. Pure."""
    if end["signal"] is not None:
        how = f"SIG{end['signal']}"
    elif end["exit_status"] is not None:
        how = f"exit status {end['exit_status']}"
    else:
        return str(end["result"])
    return how if end["result"] in ("success", "exit-code", "signal") else f"{end['result']}, {how}"


def write(namespace: str, name: str, end: t.Mapping[str, t.Any]) -> None:
    """Note it, for as long as the namespace is up. Raises OSError."""
    json_file.write(_path(namespace, name), dict(end))


def read(namespace: str, name: str) -> dict[str, t.Any] | None:
    """What was noted; None where nothing was, or nothing that can be read."""
    try:
        found = json_file.read(_path(namespace, name))
        if found is None:
            return None
        fields = Fields(found, "the end")
        end = {
            "result": fields.take("result", str),
            "exit_status": fields.maybe("exit_status", int),
            "signal": fields.maybe("signal", str),
        }
        fields.done()
    except (OSError, ValueError):
        return None
    return end


def remove(namespace: str, name: str) -> None:
    """Forget it. Raises OSError."""
    atomic.remove(_path(namespace, name))


def _path(namespace: str, name: str) -> str:
    return f"{host_paths.services(namespace)}/{host_paths.checked_name(name)}.ended"
