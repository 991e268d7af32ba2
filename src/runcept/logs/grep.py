"""Which lines of a log a regular expression is found in, a block of them at a time. It does no I/O.

A record holds its message JSON-escaped, so an expression cannot be applied to the raw bytes of a file. But a run of
plain characters that every match contains stands there as it is: it is looked for first, at the speed of memory. Of the
lines that have it, or of all where there is none or most have it, the messages are decoded by one call for the block.
"""

from __future__ import annotations

import re
from itertools import accumulate

from runcept.core.plain import plain
from runcept.logs.record import messages

__all__ = ["Grep", "lines_with", "needed_texts"]

_SHORTEST = 3  # characters: shorter ones are in most lines
_SAMPLE = 8192  # bytes
_MOST = 16  # alternatives that are looked for
_RARE = 8  # times in them: where there are more, to find each line takes longer than to decode all
_QUANTIFIER = re.compile(r"[*?+]|\{(?:\d+(?:,\d*)?|,\d*)\}")
_ODD_CASES = "iks"
"""Letters that, where case does not count, are also found as one that is not ASCII (U+0130, U+0131, U+212A, U+017F)."""
_ESCAPES = (b"\\u001b", b"\\u001B", b"\x1b")
_GROUP = re.compile(r"\?:|\?P<\w+>|(?!\?)")  # that captures, or does not
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


class Grep:
    """An expression that is looked for in many blocks of whole lines."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._search = pattern.search
        self._needed = needed_texts(pattern)
        self._caseless = bool(pattern.flags & re.IGNORECASE)

    def spans(self, block: bytes) -> list[tuple[int, int]]:
        """Where the lines are in which it may be found, the last one first. Whether it is, parsing them tells."""
        if self._needed and not _has_escapes(block):
            text = block.lower() if self._caseless else block
            possible = [runs for runs in self._needed if all(text.rfind(run) >= 0 for run in runs)]  # find is slower
            if not possible:
                return []
            rarest = [min((text.count(run, 0, _SAMPLE), run) for run in runs) for runs in possible]
            if sum(count for count, _ in rarest) <= _RARE:
                return lines_with(text, tuple(run for _, run in rarest))
        texts = messages(block)
        found = None if texts is None else [number for number, text in enumerate(texts) if self._search(plain(text))]
        if found == []:
            return []
        starts = [0, *accumulate(len(line) + 1 for line in block.removesuffix(b"\n").split(b"\n"))]
        numbers = range(len(starts) - 1) if found is None else found
        return [(starts[number], starts[number + 1] - 1) for number in reversed(numbers)]


def _has_escapes(block: bytes) -> bool:
    """Whether there may be some within a text that is looked for: nobody sees them."""
    return any(block.rfind(escape) >= 0 for escape in _ESCAPES)


def lines_with(block: bytes, needles: tuple[bytes, ...]) -> list[tuple[int, int]]:
    """Where those lines of a block are that hold one of the needles, the last one first."""
    spans = set()
    for needle in needles:
        at = block.rfind(needle)
        while at >= 0:
            start, stop = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            spans.add((start, len(block) if stop < 0 else stop))
            at = block.rfind(needle, 0, start)
    return sorted(spans, reverse=True)


def needed_texts(pattern: re.Pattern[str]) -> list[list[bytes]]:
    """Of each alternative of `pattern` the texts, plain ASCII, that are in the raw record of every message it matches.

    With `(?i)` they are in the record made lower case. Empty where nothing of the kind can be told.
    """
    if pattern.flags & re.VERBOSE:
        return []
    found = _alternatives(pattern.pattern, caseless=bool(pattern.flags & re.IGNORECASE)) or []
    needed = [[run.encode() for run in runs if len(run) >= _SHORTEST] for runs in found]
    return needed if all(needed) else []


def _alternatives(pattern: str, *, caseless: bool) -> list[list[str]] | None:
    """The plain runs of each alternative; None where the pattern is beyond this scanner.

    What is in a group counts as what is beside it; not where the group is quantified, or is more than a group.
    """
    done: list[list[str]] = []
    open_ = [[""]]
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None or token["unknown"] is not None:
            return None
        end = _behind_group(pattern, token.end()) if token["open"] else token.end()
        quantifier = _QUANTIFIER.match(pattern, end)
        if token["open"] and not quantifier:
            open_ = _with_group(open_, pattern[token.end() : end - 1], caseless=caseless)
        character = _plain_character(token, caseless=caseless)
        is_plain = character and (quantifier is None or quantifier[0] == "+")
        for runs in open_:
            if is_plain:
                runs[-1] += character
            if quantifier or not is_plain:
                runs.append("")
        at = quantifier.end() if quantifier else end
        if quantifier:
            at += 1 if pattern[at : at + 1] in ("?", "+") else 0  # lazy, possessive
        if token["either"]:
            done += open_
            open_ = [[""]]
    return [*done, *open_]


def _with_group(before: list[list[str]], group: str, *, caseless: bool) -> list[list[str]]:
    """Each alternative with each one of the group that comes behind it, unless those are too many."""
    start = _GROUP.match(group)
    inner = _alternatives(group[start.end() :], caseless=caseless) if start else None
    if inner is None or len(before) * len(inner) > _MOST:
        return before
    return [[*runs, *more] for runs in before for more in inner]


def _plain_character(token: re.Match[str], *, caseless: bool) -> str:
    """What stands in a record as it stands in the expression, if it does."""
    character = token["escaped"] or token["plain"] or ""
    if caseless:
        character = "" if character.lower() in _ODD_CASES else character.lower()
    return character if character and _stands_as_it_is(character) else ""


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
