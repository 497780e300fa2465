# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The host's command `nsctl`: named namespaces at the prompt, at boot, and in units.

A verb is imported when it is asked for, so that `nsctl exec` starts a program at once.
PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import os
import sys

from ..printable import printable, printable_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    _Run = t.Callable[[str, t.Sequence[str]], int]

# Of the command itself; `exec` and `enter` end with the program's own.
FAILED = 1
WRONG_USAGE = 2
# What env(1), timeout(1) and others that become a program use for their own failures.
NOT_STARTED = 125

_ENTERING = ("exec", "enter", "service")


def main(words: t.Sequence[str]) -> int:
    """Carry out the command line ``words``; return the exit code."""
    verb = words[0] if words else ""
    if verb in ("-h", "--help", "help") or words[1:2] in (["-h"], ["--help"]):
        from . import manual

        return manual.show(words[1] if verb == "help" and len(words) > 1 else verb)
    run = _verb(verb)
    if run is None:
        return complain("", f"no verb {verb!r}" if verb else "name a verb", WRONG_USAGE)
    failed = NOT_STARTED if verb in _ENTERING else FAILED
    if os.geteuid() != 0:
        return complain(verb, "this takes root", failed)
    from ..errors import Refused, StepFailed, in_words
    from .arguments import WrongUsage

    try:
        if verb in _ENTERING:
            code = run(verb, words[1:])
        else:
            from ..namespace.host_mounts import Joined

            with Joined():
                code = run(verb, words[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except WrongUsage as error:
        return complain(verb, str(error), failed if verb in _ENTERING else WRONG_USAGE)
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except (Refused, StepFailed, OSError) as error:
        return complain(verb, in_words(error), failed)


def _verb(name: str) -> _Run | None:
    if name in ("exec", "enter"):
        from . import exec_enter

        return exec_enter.run
    if name == "service":
        from . import service

        return service.run
    if name == "list":
        from . import list_names

        return list_names.run
    if name == "show":
        from . import show

        return show.run
    if name == "logs":
        from . import logs

        return logs.run
    if name in ("up", "down"):
        from . import up_down

        return up_down.run
    if name in ("apply", "diff"):
        from . import apply

        return apply.run
    if name == "rollback":
        from . import rollback

        return rollback.run
    if name == "adopt":
        from . import adopt

        return adopt.run
    if name == "export":
        from . import export

        return export.run
    return None


def say(*lines: str) -> None:
    """Write lines to standard output. What is in them is data: a line is one in any case."""
    _write(sys.stdout, "\n".join([*map(printable, lines), ""]))


def say_text(text: str) -> None:
    """Write a text of several lines to standard output, without what could steer a terminal."""
    _write(sys.stdout, printable_lines(text))


def say_data(data: t.Any) -> None:
    """Write it to standard output as JSON."""
    import json  # takes as long to load as all of `nsctl exec`

    # The one character for terminals that JSON leaves as it is.
    say(*json.dumps(data, indent=2).replace("\x7f", "\\u007f").split("\n"))


def remark(verb: str, text: str) -> None:
    """Say on standard error what whoever waits for the verb may want to know."""
    _write(sys.stderr, f"{printable(f'nsctl {verb}: {text}')}\n")
    if sys.stderr is not None:
        sys.stderr.flush()


def complain(verb: str, text: str, code: int) -> int:
    """Say on standard error what is wrong; return ``code``."""
    title = f"nsctl {verb}".rstrip()
    hint = f" Try `{title} --help`." if code == WRONG_USAGE else ""
    _write(sys.stderr, f"{printable(f'{title}: {text}')}{'.' if hint else ''}{hint}\n")
    return code


def _write(stream: t.TextIO | None, text: str) -> None:
    if stream is not None:  # it was closed before we began
        encoding = stream.encoding
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
