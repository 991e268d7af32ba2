"""`python -m scripts.picture`: the pictures of docs/pictures, drawn from what `runcept` really prints on a terminal.

A copy of examples/web-stack runs under a home of its own, on its own ports (8710 to 8712, which must be free). Commands
write to a pseudo-terminal; rich turns what they wrote into SVG. The home directory is shown as /home/ada; nothing else
is changed. Pids and times differ from run to run.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
BIN = Path(sys.executable).parent
COLUMNS = 96
MISTAKES = {
    '"redis", "migrate"': '"reddis", "migrate"',
    'kind = "task"': 'kind = "tusk"',
    "ports = [8711]": "port = 8711",
}
THEME = TerminalTheme(
    (24, 27, 33),
    (205, 210, 218),
    [
        (60, 66, 78), (232, 113, 122), (140, 194, 125), (224, 190, 121),
        (113, 168, 230), (190, 148, 220), (104, 190, 196), (171, 178, 191),
    ],
    [
        (120, 128, 142), (240, 140, 148), (160, 210, 145), (235, 205, 145),
        (140, 188, 240), (205, 170, 232), (130, 208, 213), (240, 242, 246),
    ],
)  # fmt: skip
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font: 16px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; opacity: 0.6; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Terminal:
    """One terminal, as a person would see it at the end; `project` is where commands are typed."""

    def __init__(self, project: Path, environ: Mapping[str, str]) -> None:
        self._project = project
        self._environ = environ
        self._console = Console(
            record=True,
            width=COLUMNS,
            file=StringIO(),
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
        )

    def type(self, command: str, *, expect: int = 0) -> None:
        """Show the command after a prompt, run it, show what it printed. RuntimeError for another exit status."""
        self._console.print(
            Text.assemble(("\n" if self._console.export_text(clear=False) else ""), ("$ ", "green"), (command, "bold"))
        )
        status, written = self._run(command)
        if status != expect:
            raise RuntimeError(f"`{command}` exited {status}:\n{written}")
        self._console.print(Text.from_ansi(written))

    def _run(self, command: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        with closing(os.fdopen(ours, "rb", buffering=0)) as screen:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
            # stderr leads elsewhere: progress is drawn there, and gone in the end
            process = subprocess.Popen(
                shlex.split(command),
                cwd=self._project,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.PIPE,
            )
            os.close(theirs)
            written = b"".join(_until_closed(screen.fileno()))
            _, errors = process.communicate()
        text = (written + errors).decode().replace("\r\n", "\n").replace(self._environ["HOME"], "/home/ada")
        return process.returncode, text.rstrip("\n")

    def save(self, name: str, title: str) -> None:
        """Write docs/pictures/NAME.svg."""
        PICTURES.mkdir(exist_ok=True)
        self._console.print()
        svg = self._console.export_svg(
            title=title, theme=THEME, code_format=FRAME, unique_id=name, font_aspect_ratio=0.602
        )
        (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


def _until_closed(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, 1 << 16)
        except OSError:  # EIO: the last writer has closed it
            return
        if not chunk:
            return
        yield chunk


@contextmanager
def web_stack() -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of the example in a home directory of its own, and the environment of commands; it all ends with them."""
    with tempfile.TemporaryDirectory(prefix="runcept-picture-") as directory:
        home = Path(directory).resolve()
        project = home / "web-stack"
        made = shutil.ignore_patterns("data", ".runcept", "__pycache__")
        shutil.copytree(ROOT / "examples" / "web-stack", project, ignore=made)
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environ = {"HOME": str(home), "PATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        try:
            yield project, environ
        finally:
            subprocess.run([BIN / "runcept", "-q", "daemon", "stop", "--kill"], env=environ, cwd=home, check=True)


@contextmanager
def listener(port: int, project: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Somebody else's program on a port that the project wants."""
    command = ["python", "-m", "http.server", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, executable=sys.executable, cwd=project, env=environ, stdout=quiet, stderr=quiet
    ) as process:
        try:
            while not _accepts(port):
                time.sleep(0.05)
            yield
        finally:
            process.kill()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def draw_use(project: Path, environ: Mapping[str, str]) -> None:
    """The first minute: activate, use, look."""
    terminal = Terminal(project, environ)
    terminal.type("runcept activate")
    terminal.type("""curl -s -d '{"text": "to be or not to be"}' http://localhost:8711/api/jobs""")
    time.sleep(4)  # so that there is an uptime to show
    terminal.type("runcept status")
    terminal.type("runcept logs -n 6")
    terminal.save("use", "web-stack")
    terminal.type("runcept deactivate")


def draw_trouble(project: Path, environ: Mapping[str, str]) -> None:
    """What is said where something is wrong: a port that is taken, three mistakes in the project file."""
    terminal = Terminal(project, environ)
    with listener(8711, project, environ):
        terminal.type("runcept activate", expect=1)
    file = project / ".runcept.toml"
    text = file.read_text(encoding="utf-8")
    for right, wrong in MISTAKES.items():
        text = text.replace(right, wrong, 1)
    file.write_text(text, encoding="utf-8")
    terminal.type("runcept validate", expect=4)
    terminal.save("trouble", "web-stack")


def main() -> None:
    """Draw all pictures."""
    with web_stack() as (project, environ):
        draw_use(project, environ)
        draw_trouble(project, environ)


if __name__ == "__main__":
    main()
