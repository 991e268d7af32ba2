"""What must stand in a line that a regular expression matches, so that other lines need not be decoded. It does no I/O.

A record holds its message JSON-escaped, so an expression cannot be applied to the raw bytes of a file. But a run of
plain characters that every match contains stands there as it is: it is looked for first, at the speed of memory, and
the exact expression is applied to the decoded messages of the lines that have it.
"""

from __future__ import annotations

import re

__all__ = ["literals"]

_SHORTEST = 3  # characters: shorter ones are in most lines
_QUANTIFIER = re.compile(r"[*?+]|\{(?:\d+(?:,\d*)?|,\d*)\}")
_TOKEN = re.compile(
    r"""(?P<simple>\\[dDwWsSbBAZ] | [.^$])   # one character of a kind, or a place
      | \\(?P<escaped>[^0-9A-Za-z])          # a character that the backslash makes plain
      | (?P<unknown>\\.)                     # \x41, \1, \n …
      | (?P<set>\[\^?\]?(?:\\.|[^]\\])*\])
      | (?P<open>\()
      | (?P<either>\|)
      | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)


def literals(pattern: re.Pattern[str]) -> tuple[bytes, ...]:
    """Texts, plain ASCII, at least one of which is in the raw record of every message that `pattern` matches.

    Empty where nothing of the kind can be told, as with `(?i)`: then every line has to be decoded.
    """
    if pattern.flags & (re.IGNORECASE | re.VERBOSE):
        return ()
    found = _alternatives(pattern.pattern)
    return tuple(found) if found and all(len(each) >= _SHORTEST for each in found) else ()


def _alternatives(pattern: str) -> list[bytes] | None:
    """The longest plain run of each alternative at the top level; None where the pattern is beyond this scanner."""
    longest, run, alternatives = "", "", []
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None or token["unknown"] is not None:
            return None
        at = token.end()
        if token["open"]:
            at = _behind_group(pattern, at)
        quantifier = _QUANTIFIER.match(pattern, at)
        character = token["escaped"] or token["plain"] or ""
        if character and _stands_as_it_is(character) and (quantifier is None or quantifier[0] == "+"):
            run += character
            longest = max(longest, run, key=len)
            character = "" if quantifier else character
        else:
            character = ""
        if not character:
            run = ""
        if quantifier:
            at = quantifier.end()
            at += 1 if pattern[at : at + 1] in ("?", "+") else 0  # lazy, possessive
        if token["either"]:
            alternatives.append(longest.encode())
            longest = ""
    return [*alternatives, longest.encode()]


def _stands_as_it_is(character: str) -> bool:
    return " " <= character <= "~" and character not in '"\\'


def _behind_group(pattern: str, at: int) -> int:
    """The index behind the group whose parenthesis was opened just before `at`."""
    depth = 1
    while depth and at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            return len(pattern)
        at = token.end()
        depth += (token["open"] is not None) - (token["plain"] == ")")
    return at
