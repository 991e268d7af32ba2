"""What the last words of programs mean: words as interpreters and shells print them, and the sentence."""

from __future__ import annotations

import pytest

from runcept.core.diagnosis import diagnose
from runcept.core.views import Health, ProcessView, State


def said(*lines: str, code: int | None = 1, reason: str = "") -> str:
    view = ProcessView("/p", "web", State.FAILED, Health.NONE, reason or f"exit code {code}", exit_code=code)
    return diagnose(view, lines)


PYTHON = [
    ("ModuleNotFoundError: No module named 'flask'", "Python has no module flask: install it"),
    ("ModuleNotFoundError: No module named 'shop.orders'", "Python has no module shop: install it"),
    ("/usr/bin/python3: No module named uvicorn", "Python has no module uvicorn: install it"),
    ("MemoryError", "It ran out of memory"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/x'", "It needs /nowhere/x, which does not"),
    ("python: can't open file '/p/app.py': [Errno 2] No such file or directory", "It needs /p/app.py, which does not"),
    ("PermissionError: [Errno 13] Permission denied: '/var/log/x'", "It may not use /var/log/x: look at the owner"),
    ("ConnectionRefusedError: [Errno 111] Connection refused", "It could not connect: does what listens there run"),
    ("redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
     "It could not connect to localhost:6379: "),
    ("OSError: [Errno 98] Address already in use (while attempting to bind on address ('127.0.0.1', 35371))",
     "Another program listens on its port 35371 already"),
    ("ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
     "Another program listens on its port 8000 already"),
    ("[2026-11-26 10:05:30 +0000] [7] [ERROR] Connection in use: ('127.0.0.1', 8000)",
     "Another program listens on its port 8000 already"),
    ("Error: That port is already in use.", "Another program listens on its port already"),
    ("Port 5000 is in use by another program.", "Another program listens on its port 5000 already"),
]  # fmt: skip
NODE = [
    ("Error: Cannot find module 'express'", "Node.js finds no package express: install"),
    ("Error: Cannot find module '@acme/shop'", "Node.js finds no package @acme/shop: install"),
    ("Error: Cannot find module './gone'", "Node.js finds no file ./gone: look at the path, or build"),
    ("Error: Cannot find module '/p/dist/server.js'", "Node.js finds no file /p/dist/server.js: "),
    ("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'leftpad' imported from /p/a.mjs", "Node.js finds no package"),
    ("Error: listen EADDRINUSE: address already in use :::3000", "Another program listens on its port 3000 already"),
    ("Error: listen EADDRINUSE: address already in use 127.0.0.1:8080", "Another program listens on its port 8080"),
    ("Error: Port 5173 is already in use", "Another program listens on its port 5173 already"),
    ("Error: connect ECONNREFUSED 127.0.0.1:5432", "It could not connect to 127.0.0.1:5432: "),
    ("Error: ENOENT: no such file or directory, open '/nowhere/x'", "It needs /nowhere/x, which does not exist."),
    ("Error: EACCES: permission denied, open '/etc/shadow'", "It may not use /etc/shadow: look at the owner"),
    ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "It ran out of memory"),
]  # fmt: skip
OTHERS = [
    ("cannot load such file -- sinatra (LoadError)", "Ruby finds no library sinatra: "),
    ('Address already in use - bind(2) for "127.0.0.1" port 3000 (Errno::EADDRINUSE)',
     "Another program listens on its port 3000 already"),
    ("panic: listen tcp :45672: bind: address already in use", "Another program listens on its port 45672 already"),
    ("2026/11/26 10:05:30 listen tcp :8080: bind: address already in use",
     "Another program listens on its port 8080 already"),
    ("dial tcp 127.0.0.1:5432: connect: connection refused", "It could not connect to 127.0.0.1:5432: "),
    ("2026/11/26 10:05:30 dial tcp [::1]:6379: connect: connection refused", "It could not connect to [::1]:6379: "),
    ("open /nowhere/x: no such file or directory", "It needs /nowhere/x, which does not exist."),
    ("main.go:3:8: no required module provides package github.com/acme/shop; to add it:",
     "Go finds no package github.com/acme/shop: "),
    ('Exception in thread "main" java.net.BindException: Address already in use',
     "Another program listens on its port already: "),
    ("Web server failed to start. Port 8080 was already in use.", "Another program listens on its port 8080 already"),
    ('Exception in thread "main" java.net.ConnectException: Connection refused', "It could not connect: "),
    ('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', "It ran out of memory"),
    ('Exception in thread "main" java.io.FileNotFoundException: /nowhere/x (No such file or directory)',
     "It needs /nowhere/x, which does not exist."),
    ("Error: Could not find or load main class App", "Java finds no class App: "),
    ("Caused by: java.lang.ClassNotFoundException: com.acme.Shop", "Java finds no class com.acme.Shop: "),
    ("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "Another program listens on its port"),
]  # fmt: skip
SHELLS = [
    ("/bin/sh: 1: exec: celery: not found", "The shell found no command celery: "),
    ("sh: 1: vite: not found", "The shell found no command vite: "),
    ("bash: line 1: nosuch: command not found", "The shell found no command nosuch: "),
    ("cat: /nowhere: No such file or directory", "It needs /nowhere, which does not exist."),
    ("bash: line 1: ./data/x: No such file or directory", "It needs ./data/x, which does not exist."),
    ("env: 'nodejs': No such file or directory", "It needs nodejs, which does not exist."),
]


@pytest.mark.parametrize(("line", "sentence"), PYTHON + NODE + OTHERS + SHELLS)
def test_the_last_words_of_programs(line: str, sentence: str) -> None:
    """The sentence begins so; empty where nothing certain can be said."""
    found = said("begins", line)
    assert found.startswith(sentence)
    assert bool(found) == bool(sentence)
    assert not found or found.endswith((".", "?"))


@pytest.mark.parametrize("line", [
    "all is well", "Error: out of tea", "404 not found", "GET /x 404: not found", "the page was not found",
    "TypeError: x is not a function", "KeyError: 'SyntaxError'", "no memory of it", "the port is 8080",
    "ImportError: cannot import name 'nope' from 'os' (/usr/lib/python3.11/os.py)",
])  # fmt: skip
def test_what_is_not_certain_is_not_said(line: str) -> None:
    """A wrong sentence would send a model the wrong way."""
    assert said(line) == ""


def test_the_reason_counts_before_the_lines() -> None:
    """The name of an error may stand far above the last lines, which are frames."""
    frames = [f"    at Module._load (node:internal/{number}:1:1)" for number in range(20)]
    reason = "exit code 1: Error: Cannot find module 'express'"
    assert said(*frames, reason=reason).startswith("Node.js finds no package express")
    older = "Error: connect ECONNREFUSED 127.0.0.1:5432"
    assert said(older, "SyntaxError: invalid syntax", reason="exit code 1: SyntaxError: invalid syntax").startswith(
        "The program has a syntax error"
    )


def test_the_last_line_that_means_something_counts() -> None:
    """What was said before it may have been mended since."""
    assert said("connect ECONNREFUSED 127.0.0.1:1", "MemoryError", "bye").startswith("It ran out of memory")


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (
            ['  File "/p/app.py", line 3', "    def f(:", "          ^", "SyntaxError: invalid syntax"],
            "/p/app.py, line 3",
        ),
        (['  File "/p/app.py", line 7', "IndentationError: unexpected indent"], "/p/app.py, line 7"),
        (["/p/app.js:2", "const b = ;", "          ^", "", "SyntaxError: Unexpected token ';'"], "/p/app.js, line 2"),
        (["file:///p/app.mjs:2", "SyntaxError: Unexpected token ';'"], "file:///p/app.mjs, line 2"),
    ],
)
def test_where_a_syntax_error_is(lines: list[str], place: str) -> None:
    """The file and the line, from the lines above it."""
    assert said(*lines).startswith(f"The program has a syntax error in {place}: ")


@pytest.mark.parametrize(("code", "words"), [(126, "not executable"), (127, "did not find the command"), (1, "")])
def test_exit_codes_of_the_shell(code: int, words: str) -> None:
    """Only where the output told nothing."""
    assert words in said("bye", code=code)
    assert said("MemoryError", code=code).startswith("It ran out of memory")


def test_one_that_is_starting_still() -> None:
    """Its output is of no matter: it may go on well."""
    view = ProcessView("/p", "web", State.STARTING, Health.UNKNOWN, "waits", ports=[3000, 3001])
    assert diagnose(view, ["MemoryError"]).endswith("It listens on 3000, 3001.")
