# Copyright: linux.namespaces contributors
# BSD-2-Clause license (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The completion of bash and zsh, made of what the verbs say of themselves.

The shell knows the words; the names of namespaces and services it finds in the directories that they are kept in,
and takes none that has other characters than they may have.
Pure but for that. PRIVATE to the collection linux.namespaces.
"""

from __future__ import annotations

import re
import typing as t

from .. import host_paths, kinds
from . import manual
from .arguments import FILE, KINDS, NAME, PATH, SERVICE, Option, Verb

# What completes a word that is called so, in the scripts: a function of theirs.
_COMPLETED = {
    NAME: "names",
    SERVICE: "services",
    FILE: "files",
    PATH: "files",
    "DIRECTORY": "files",
    KINDS: "kinds",
    "USER[:GROUP]": "users",
    "GROUP": "groups",
    "PID": "pids",
}
_BASH = """\
_nsctl_known() {  # names of files, without what stands before and after
  local each
  shopt -q nullglob || local reset=1
  shopt -s nullglob
  for each in "$@"; do
    each=${each##*/}; each=${each%.json}; each=${each##*:}; each=${each%.ended}
    [[ $each =~ ^[A-Za-z0-9_.-]+$ && $each == "$cur"* ]] && COMPREPLY+=("$each")
  done
  [[ -z ${reset-} ]] || shopt -u nullglob
}
_nsctl_of() {  # what there is of a kind of word; names[0] is the namespace
  case $1 in
  names) _nsctl_known @BASE@/*/ @DEFINITIONS@/*.json ;;
  services) _nsctl_known "@DEFINITIONS@/services/${operands[0]}:"*.json "@BASE@/${operands[0]}/services/"*.json ;;
  files) compopt -o filenames; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
  users) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
  groups) mapfile -t COMPREPLY < <(compgen -g -- "$cur") ;;
  pids) _nsctl_known /proc/[0-9]*/ ;;
  kinds)
    local head=${cur%"${cur##*,}"}
    compopt -o nospace
    mapfile -t COMPREPLY < <(compgen -P "$head" -W "@KINDS@" -- "${cur##*,}") ;;
  esac
}
_nsctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options="" takes="" wanted="" program="" at word value=""
  local -a operands=()
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    mapfile -t COMPREPLY < <(compgen -W "@VERBS@ help --help" -- "$cur")
    return
  fi
  case $verb in
@TABLE@
  *) return ;;
  esac
  for (( at = 2; at < COMP_CWORD; at++ )); do
    word=${COMP_WORDS[at]}
    if [[ $word == = ]]; then continue
    elif [[ -n $value ]]; then value=; continue
    elif [[ $word == -- ]]; then options=; continue
    elif [[ $word == --* ]]; then
      [[ " $takes " != *" $word:"* ]] || { value=${takes#*"$word:"}; value=${value%% *}; }
      continue
    fi
    operands+=("$word")
    if [[ -n $program ]] && (( ${#operands[@]} > program )); then
      ! declare -F _command_offset >/dev/null || _command_offset "$at"
      return
    fi
  done
  [[ $cur != = ]] || cur=
  if [[ -n $value ]]; then _nsctl_of "$value"
  elif [[ $cur == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  else
    for word in $wanted; do
      [[ $word != *:* ]] || (( ${word%%:*} == ${#operands[@]} )) || continue
      _nsctl_of "${word##*:}"
    done
    [[ -z $program || ${#operands[@]} -ne $program ]] || mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  fi
}
complete -F _nsctl nsctl
"""
_ZSH = """\
_nsctl_known() {
  local -a found
  found=(${(M)${${${${(@)${(@)argv:t}}%.json}##*:}%.ended}:#[A-Za-z0-9_.-]##})
  compadd -a found
}
_nsctl_names() { _nsctl_known @BASE@/*(N/) @DEFINITIONS@/*.json(N) }
_nsctl_services() {
  local name=${words[(r)[^-]*]}
  (( CURRENT > 2 )) && name=${words[CURRENT-1]}
  _nsctl_known @DEFINITIONS@/services/$name:*.json(N) @BASE@/$name/services/*.json(N)
}
_nsctl_kinds() { _values -s , kind @KINDS@ }
_nsctl() {
  setopt localoptions extendedglob
  local state line
  local -a verbs
  verbs=(
@VERBS@
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
@TABLE@
  esac
}
_nsctl "$@"
"""


def bash() -> str:
    """The script for bash (bash(1), Programmable Completion)."""
    table = []
    for verb in manual.verbs():
        options = " ".join(f"--{option.word}" for option in verb.options)
        takes = " ".join(
            f"--{option.word}:{_COMPLETED.get(option.takes, 'none')}"
            for option in verb.options
            if option.takes
        )
        program = "" if verb.program_after is None else str(verb.program_after)
        table.append(
            f'  {verb.name}) options="{options}" takes="{takes}" wanted="{_wanted(verb)}"'
            f" program={program} ;;"
        )
    return _filled(_BASH, " ".join(verb.name for verb in manual.verbs()), table)


def _wanted(verb: Verb) -> str:
    """Which words may come: where they stand, counted from 0, and what completes them."""
    words = re.findall(r"[A-Z]+(?:\.\.\.)?", re.sub(r"--[a-z]+", "", verb.operands))
    found = []
    for at, word in enumerate(words):
        completed = _COMPLETED.get(word.rstrip("."))
        if completed is not None:
            is_anywhere = word.endswith("...") or "|" in verb.operands
            found.append(completed if is_anywhere else f"{at}:{completed}")
    return " ".join(found)


def zsh() -> str:
    """The script for zsh (zshcompsys(1))."""
    verbs = [f"    {_quoted(f'{verb.name}:{verb.does}')}" for verb in manual.verbs()]
    table = []
    for verb in manual.verbs():
        specs = [_quoted(_spec(option, text)) for option, text in _with_texts(verb)]
        specs += [_quoted(spec) for spec in _operand_specs(verb)]
        table.append(f"  {verb.name}) _arguments -s : {' '.join(specs)} ;;")
    return _filled(_ZSH, "\n".join(verbs), table)


def _with_texts(verb: Verb) -> t.Iterator[tuple[Option, str]]:
    """Each option, and the first line of what is said of it, be it together with the next."""
    for at, option in enumerate(verb.options):
        text = next((each.text for each in verb.options[at:] if each.text), "")
        yield option, text.partition("\n")[0]


def _spec(option: Option, text: str) -> str:
    shown = re.sub(r"([\[\]:\\])", r"\\\1", text)
    if not option.takes:
        return f"--{option.word}[{shown}]"
    message = re.sub(r"[^A-Z]+", " ", option.takes).split()[0].lower()
    return (
        f"--{option.word}=[{shown}]:{message}:{_OF_ZSH.get(_COMPLETED.get(option.takes, ''), ' ')}"
    )


_OF_ZSH = {
    "names": "_nsctl_names",
    "services": "_nsctl_services",
    "kinds": "_nsctl_kinds",
    "files": "_files",
    "users": "_users",
    "groups": "_groups",
    "pids": "_pids",
}


def _operand_specs(verb: Verb) -> t.Iterator[str]:
    words = [word.rpartition(":")[::2] for word in _wanted(verb).split()]
    anywhere = [_OF_ZSH[kind] for at, kind in words if not at]
    for at, kind in words:
        if at:
            yield f"{int(at) + 1}:{kind}:{_OF_ZSH[kind]}"
    if anywhere:
        action = anywhere[0] if len(anywhere) == 1 else f"_alternative {_alternatives(anywhere)}"
        yield f"*:name:{action}"
    elif verb.program_after is not None:
        yield "*::program:_normal"


def _alternatives(actions: t.Iterable[str]) -> str:
    return " ".join(f"{each.strip('_')}:word:{each}" for each in actions)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _filled(script: str, verbs: str, table: t.Sequence[str]) -> str:
    return (
        script.replace("@VERBS@", verbs)
        .replace("@TABLE@", "\n".join(table))
        .replace("@KINDS@", " ".join(kinds.NAMES))
        .replace("@BASE@", host_paths.BASE)
        .replace("@DEFINITIONS@", host_paths.DEFINITIONS)
    )
