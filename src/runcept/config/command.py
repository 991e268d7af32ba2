"""From a command as it is written to the argv that is executed. Pure: nothing is run, nothing is looked up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

__all__ = ["argv", "exec_simple", "readable"]

_SHELLS = {"sh", "ash", "bash", "dash", "zsh"}  # in which an assignment before `exec` reaches the program
_PLAIN_OPTIONS = re.compile(r"(-[efuvx]+ )*-[efuvx]*c")  # not -l or -i: a profile may define functions and aliases
_KEYWORDS = """
    ! { } [[ case coproc do done elif else esac fi for function if in repeat select then time until while
"""
# without a program of the same meaning; echo, printf, kill and test have programs that differ from them
_BUILTINS = """
    - . : [ alias autoload bg bind break builtin caller cd chdir command compgen complete continue declare dirs disown
    echo emulate enable eval exec exit export false fc fg float getopts hash help history integer jobs kill let local
    logout mapfile nocorrect noglob popd printf print pushd pwd read readarray readonly return set setopt shift shopt
    source suspend test times trap true type typeset ulimit umask unalias unset unsetopt wait whence where which
"""
_NOT_PROGRAMS = frozenset((_KEYWORDS + _BUILTINS).split())
_LENGTH_MAX = 64 * 1024  # Linux executes no argument of over 128 KiB
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
# one lexical element of a simple command; what matches none of these makes a command not simple
_ELEMENT = re.compile(
    r"""
      (?P<blank> (?:[ \t] | \\\n)+ )
    | (?P<text>
          [^\s;&|()<>`$'"\\\#]            # an ordinary character
        | (?<![\s]) \#                    # "#" within a word
        | \\[^\n]                         # an escaped one
        | '[^']*'
        | "(?: [^"\\`$] | \\. | \$(?![({]) | \$\{[^}"'`$\\]*\} )*"
        | \$(?:\w+|[*@#?$!-])             # a parameter, but no $(…) and no $'…'
        | \$\{[^}"'`$\\\s;&|()<>]*\}
      )
    | (?P<redirection> \d?(?: <> | >> | >\| | [<>]& | [<>](?![<>(]) ) )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def argv(command: str | Sequence[str], shell: Sequence[str]) -> tuple[str, ...]:
    """What is executed: a list as it is; a string by the shell, which a simple command then replaces."""
    if not isinstance(command, str):
        return tuple(command)
    plain = shell[0].rpartition("/")[2] in _SHELLS and _PLAIN_OPTIONS.fullmatch(" ".join(shell[1:]))
    return (*shell, exec_simple(command) if plain else command)


def readable(command: str | Sequence[str]) -> str:
    """The command as a person would type it."""
    return command if isinstance(command, str) else shlex.join(command)


def exec_simple(command: str) -> str:
    """Put `exec` before the program of a simple command, so that it takes the shell's place and pid; else no change.

    Simple is what means the same with it: one command (no `;`, `&`, `|`, newline), no command substitution, no
    here-document, and a program that is neither a builtin nor a keyword nor hidden in a variable. Assignments before it
    stay before `exec`, whose environment they are (POSIX.1-2017, 2.9.1 and 2.14). In doubt a command is not simple: it
    works all the same, and most shells then replace themselves of their own accord.
    """
    words = _words(command) if len(command) <= _LENGTH_MAX else None
    for word, start in words or ():
        if not _ASSIGNMENT.match(word):
            return f"{command[:start]}exec {command[start:]}" if _is_program(word) else command
    return command


def _words(command: str) -> list[tuple[str, int]] | None:
    """The words of a simple command with where each starts; None when it is not simple.

    What follows the program may hold targets of redirections: nobody asks for those. Before the program none may stand.
    """
    words: list[tuple[str, int]] = []
    position, start = 0, None
    while position < len(command):
        element = _ELEMENT.match(command, position)
        if element is None:
            return None
        if element["text"] and start is None:
            start = position
        elif not element["text"] and start is not None:
            words.append((command[start:position], start))
            start = None
        if element["redirection"] and all(_ASSIGNMENT.match(word) for word, _ in words):
            return None
        position = element.end()
    if start is not None:
        words.append((command[start:], start))
    return words


def _is_program(word: str) -> bool:
    if "$" in word and "/" not in word:
        return False  # it may hold a builtin, several words, or none
    if any(character in word for character in "*?["):
        return False
    plain = re.sub(r"""['"\\]""", "", word)
    return bool(plain) and plain[0] not in "-#=" and plain not in _NOT_PROGRAMS
