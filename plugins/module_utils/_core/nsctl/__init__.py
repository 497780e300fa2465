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

    from .arguments import Given, Verb

    _Run = t.Callable[[str, Given], int]

# Of the command itself; `exec` and `enter` end with the program's own.
FAILED = 1
WRONG_USAGE = 2
# What env(1), timeout(1) and others that become a program use for their own failures.
NOT_STARTED = 125

# In the order of the manual.
VERBS = (
    *("list", "show", "tree", "top", "diff", "why", "check"),
    *("enter", "exec", "service", "logs"),
    *("up", "down", "apply", "rollback", "export", "adopt"),
)
_ENTERING = ("exec", "enter", "service")
# They say what a plain user may see.
_OF_ANYBODY = ("check",)


def main(words: t.Sequence[str]) -> int:
    """Carry out the command line ``words``; return the exit code."""
    verb = words[0] if words else ""
    if verb in ("-h", "--help", "help") or words[1:2] in (["-h"], ["--help"]):
        from . import manual

        return manual.show(words[1] if verb == "help" and len(words) > 1 else verb)
    found = known(verb)
    if found is None:
        return complain("", f"no verb {verb!r}" if verb else "name a verb", WRONG_USAGE)
    failed = NOT_STARTED if verb in _ENTERING else FAILED
    if os.geteuid() != 0 and verb not in _OF_ANYBODY:
        return complain(verb, "this takes root", failed)
    from ..errors import Refused, StepFailed, in_words
    from .arguments import WrongUsage, parse

    described, run = found
    try:
        given = parse(described, words[1:])
        if verb in _ENTERING or os.geteuid() != 0:
            code = run(verb, given)
        else:
            from ..namespace.host_mounts import Joined

            with Joined():
                code = run(verb, given)
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


def known(name: str) -> tuple[Verb, _Run] | None:
    """What the verb is, and what carries it out; None where there is no such verb."""
    if name in ("exec", "enter"):
        from . import exec_enter, exec_words

        return exec_words.EXEC if name == "exec" else exec_words.ENTER, exec_enter.run
    if name == "service":
        from . import service

        return service.VERB, service.run
    if name == "list":
        from . import list_names

        return list_names.VERB, list_names.run
    if name == "show":
        from . import show

        return show.VERB, show.run
    if name == "tree":
        from . import tree

        return tree.VERB, tree.run
    if name == "top":
        from . import top

        return top.VERB, top.run
    if name == "diff":
        from . import diff

        return diff.VERB, diff.run
    if name == "why":
        from . import why

        return why.VERB, why.run
    if name == "check":
        from . import check

        return check.VERB, check.run
    if name == "logs":
        from . import logs

        return logs.VERB, logs.run
    if name in ("up", "down"):
        from . import up_down

        return up_down.UP if name == "up" else up_down.DOWN, up_down.run
    if name == "apply":
        from . import apply

        return apply.VERB, apply.run
    if name == "rollback":
        from . import rollback

        return rollback.VERB, rollback.run
    if name == "export":
        from . import export

        return export.VERB, export.run
    if name == "adopt":
        from . import adopt

        return adopt.VERB, adopt.run
    return None


def make_pages(directory: str) -> None:
    """Write the manual and the completion of shells to where they are installed from. Raises OSError."""
    from ..host_paths import BASH_COMPLETION, MANUAL_PAGE, ZSH_COMPLETION
    from ..install import pages
    from . import completion, page

    pages.make(
        directory,
        {
            MANUAL_PAGE: page.text(),
            BASH_COMPLETION: completion.bash(),
            ZSH_COMPLETION: completion.zsh(),
        },
    )


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
