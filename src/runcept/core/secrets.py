r"""Secrets in texts that are shown: reasons, events, errors, the daemon's log, command lines. Pure.

A secret is known in two ways, since each misses what the other sees:

* by its value, from the environment of the process that the text is about: what variables hold whose name says so, and
  the passwords of URLs;
* by its place, wherever the text is from: `postgres://user:HERE@host`, `TOKEN=HERE`, `--password HERE`,
  `"api_key": "HERE"`, `Authorization: Bearer HERE`.

A name says so by TOKEN, SECRET, PASSWORD, PASSWD, PASSPHRASE or CREDENTIAL anywhere in it, or by KEY, PASS or PWD as a
word of it: API_KEY and apikey, but neither KEYBOARD nor PWD. It does not if it is one of our own (RUNCEPT_…), or that
of a place: …_FILE, _PATH, _DIR, _URL.

A value is looked for only if it is long enough and no plain word: SECRET=dev and PASSWORD=postgres protect nothing, and
stars for them in every other sentence would hide what went wrong and tell what the password is. In its place it is
masked however short it is, but for numbers and constants that no secret would be: `max_tokens=4096`, `token=null`.

What a process writes is in its own log as it is. Here only what we say about it is masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["MASK", "is_secret", "mask", "secret_values"]

MASK = "***"

_SHORTEST = 6
"""Characters of a value that is looked for in texts."""
_NAME = re.compile(
    r"TOKEN(?!I[ZS])|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL"
    r"|(?:^|[^A-Z]|API|ACCESS|AUTH|PRIVATE|SIGNING|ENCRYPTION|ACCOUNT|SHARED|MASTER)KEYS?(?:$|[^A-Z])"
    r"|(?:^|[^A-Z])PASS(?:$|[^A-Z])|[A-Z\d]_PWD$",
    re.IGNORECASE,
)
_OF_A_PLACE = re.compile(r"RUNCEPT_.*|.*[_-](?:FILE|PATH|DIR|URL|URI)", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z]{,15}|[A-Z]{,15}|[A-Z][a-z]{,14}|[\d.:]{,9}")
"""What is in a dictionary, or a number."""
_HARMLESS = re.compile(r"[\d.]{,7}|true|false|null|none|yes|no|\*+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)([^\s/:@]*+:)([^\s/]+)(?=@)")
_PASSWORD_OF_URL = re.compile(r"://[^\s/:@]*+:((?:[^\s/]|/(?!/))+)@")  # up to the next "//": linear in time
_AUTHORIZATION = re.compile(
    r"""(authorization\\?["']?\s*+[:=]\s*+\\?["']?\w++\s++|\bbearer\s++(?=\S{12}))([^\s"'\\]++)""", re.IGNORECASE
)
_NAMED = re.compile(  # possessive, and from the beginning of a word alone: linear in time, whatever the text is
    r"""(?<![\w.-])(?P<name>[\w.-]++)
        (?: \\?["']?\s*+={1,2}\s*+           # TOKEN=x  token = x  --token=x  "token"="x"
          | \\?["']\s*+:\s*+(?=\\?["'\[])    # "token": "x"
          | (?P<space>\s++)(?=[^\s-]) )      # --token x""",
    re.VERBOSE,
)
_VALUE = re.compile(  # as a shell has it, one value may be of several parts: "x y"z
    r"""\[[^\]]*+\]?|(?:\\"[^"]*+"?|"[^"]*+"?|'[^']*+'?|[^\s"'`&;,)\]}\\]++)++"""
)
_QUOTES = "\\\"'"


def is_secret(name: str) -> bool:
    """Whether a variable or an option of this name holds a secret."""
    return _NAME.search(name) is not None and _OF_A_PLACE.fullmatch(name) is None


def secret_values(*environs: Mapping[str, str]) -> list[str]:
    """The values in these environments that are secrets, the longest first, so that one within another is no matter."""
    found: set[str] = set()
    for environ in environs:
        for name, value in environ.items():
            if is_secret(name):
                found.update(line.strip() for line in value.splitlines())
            found.update(_PASSWORD_OF_URL.findall(value))
    return sorted((each for each in found if len(each) >= _SHORTEST and not _PLAIN.fullmatch(each)), key=len)[::-1]


def mask(text: str, values: Sequence[str] = (), *, keep_width: bool = False) -> str:
    """The text with a MASK in place of each secret; with `keep_width`, as many stars as it has characters.

    `values` are those of `secret_values`. Cut a text only after it was masked: half a secret is not recognised.
    """
    for value in values:
        text = text.replace(value, _stars(value, keep_width))
    text = _USERINFO.sub(lambda found: found[1] + _stars(found[2], keep_width), text)
    text = _AUTHORIZATION.sub(lambda found: found[1] + _stars(found[2], keep_width), text)
    parts, done = [], 0
    for named in _NAMED.finditer(text):
        name = named["name"]
        if named.start() < done or not is_secret(name) or (named["space"] and not name.startswith("-")):
            continue
        held = _VALUE.match(text, named.end())
        if held is not None and not _HARMLESS.fullmatch(held[0].strip(_QUOTES)):
            parts += [text[done : named.end()], _stars(held[0], keep_width)]
            done = held.end()
    return "".join([*parts, text[done:]])


def _stars(secret: str, keep_width: bool) -> str:
    return "*" * len(secret) if keep_width else MASK
