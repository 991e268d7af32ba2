"""`init --from`: which file is read, as what, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli_stage import Stage

from runcept.config.importing.project_file import import_file
from runcept.errors import FormatUnknown

PROCFILE = "web: serve $PORT\n"
COMPOSE = "services: {web: {build: ., command: x, networks: [a]}}\n"
PROCESSES = "processes: {web: {command: x}}\n"
PITCHFORK = '[daemons.web]\nrun = "x"\n'


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A command line in an empty directory."""
    (tmp_path / "shop").mkdir()
    return Stage(tmp_path / "shop", tmp_path / "home")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Procfile", PROCFILE),
        ("Procfile.dev", PROCFILE),
        ("dev.procfile", PROCFILE),
        ("what-runs", PROCFILE),
        ("compose.yaml", COMPOSE),
        ("docker-compose.prod.yml", COMPOSE),
        ("stack.yml", COMPOSE),
        ("process-compose.yaml", PROCESSES),
        ("compose.yml", PROCESSES),
        ("pc.yaml", PROCESSES),
        ("pitchfork.toml", PITCHFORK),
        ("pitchfork.local.toml", PITCHFORK),
        ("daemons.toml", PITCHFORK),
    ],
)
def test_the_format_is_told_by_the_name_or_else_by_what_is_in_it(stage: Stage, name: str, text: str) -> None:
    """And the file that is written is valid."""
    (stage.cwd / name).write_text(text)
    said = stage.run("init", "--from", name)
    assert said.status == 0, said.err
    assert f"wrote .runcept.toml from {name}: 1 process\n" in said.out
    assert stage.run("validate", "--json").json["processes"] == ["web"]


def test_a_directory_is_read_for_the_one_file_in_it(stage: Stage) -> None:
    """Paths in it are from there; two formats are one too many to choose from."""
    (stage.cwd / "old" / ".config").mkdir(parents=True)
    (stage.cwd / "old" / ".config" / "pitchfork.toml").write_text(
        f'{PITCHFORK}dir = "api"\nwatch = ["src/**", "!src/x"]\n'
    )
    (stage.cwd / "old" / ".env").write_text("A=1\n")
    assert stage.run("init", "--from", "old").status == 0
    text = (stage.cwd / ".runcept.toml").read_text()
    for line in (
        'working_dir = "old"',
        'env_files = ["old/.env"]',
        'working_dir = "api"',
        'watch = ["old/src/**", "!old/src/x"]',
    ):
        assert line in text.split("\n")
    (stage.cwd / "old" / "Procfile").write_text(PROCFILE)
    said = stage.run("init", "--from", "old", "--force")
    assert said.status == 2
    assert "has Procfile and .config/pitchfork.toml" in said.err
    assert "--from" in said.err.partition("hint")[2]


@pytest.mark.parametrize(
    ("name", "text", "beside"),
    [("compose.yaml", COMPOSE, "compose.override.yaml"), ("pitchfork.toml", PITCHFORK, "pitchfork.local.toml")],
)
def test_a_file_that_goes_with_it_is_told_of(stage: Stage, name: str, text: str, beside: str) -> None:
    """Its tool would read that too; here one file is read."""
    (stage.cwd / name).write_text(text)
    (stage.cwd / beside).write_text(text)
    keys = [each["key"] for each in stage.run("init", "--from", name, "--json").json["unmapped"]]
    assert beside in keys


def test_the_target_is_the_directory_that_is_named(stage: Stage) -> None:
    """Or the one that one is in."""
    (stage.cwd / "Procfile").write_text(PROCFILE)
    (stage.cwd / "new").mkdir()
    assert stage.run("init", "new", "--from", "Procfile").status == 0
    assert 'working_dir = ".."' in (stage.cwd / "new" / ".runcept.toml").read_text()


def test_json_tells_every_key_that_has_no_place(stage: Stage) -> None:
    """With the process it is of, its line and why."""
    (stage.cwd / "compose.yaml").write_text(f"{COMPOSE}networks: {{a: {{}}, b: {{}}}}\n")
    found = stage.run("init", "--from", "compose.yaml", "--json").json
    assert found["processes"] == ["web"]
    assert found["from"] == str(stage.cwd.resolve() / "compose.yaml")
    assert [(each["process"], each["key"], each["line"]) for each in found["unmapped"]] == [
        (None, "networks", 2),
        ("web", "networks", 1),
    ]
    assert all(each["reason"] for each in found["unmapped"])


def test_the_summary_lists_keys_and_what_to_do(stage: Stage) -> None:
    """Each with its line; --quiet says nothing."""
    (stage.cwd / "compose.yaml").write_text(COMPOSE)
    said = stage.run("init", "--from", ".")
    assert "1 key of compose.yaml has no place in it; a comment says why:" in said.out
    assert ["1", "web", "networks"] in [line.split()[:3] for line in said.out.split("\n")]
    assert "runcept activate" in said.out
    assert stage.run("init", "--from", ".", "--force", "--quiet").out == ""


@pytest.mark.parametrize(
    ("name", "text", "status", "words"),
    [
        ("gone.yaml", None, 3, "there is no file gone.yaml"),
        ("compose.yaml", "services: {a: 1}\nservices: {}\n", 4, "line 2: the key services stands there twice"),
        ("compose.yaml", "services: {}\n", 4, "it describes no process"),
        ("compose.yaml", "services: [\n", 4, "not valid YAML"),
        ("pitchfork.toml", "[daemons.a\n", 4, "pitchfork.toml, line 1: not valid TOML"),
        ("process-compose.yaml", "processes: {a: {cmd: x}}\n", 4, "nothing in it can be run: it has no command"),
        ("Procfile", "nothing here\n", 4, "it describes no process"),
        ("Makefile", "all:\n\techo\n", 4, "it is of no format that can be read"),
        (".runcept.toml", "[project]\n", 4, "it is a project file already"),
        ("a.yaml", "a: 1\n", 4, "it is of no format that can be read"),
        ("Procfile", "web: \udcff\n", 4, "it is not UTF-8"),
        ("compose.yaml", "a" * 300_000, 4, "it is larger than 256 KiB"),
        ("", None, 2, "an empty --from names nothing"),
    ],
)
def test_a_file_that_cannot_be_taken_over_is_one_sentence(
    stage: Stage, name: str, text: str | None, status: int, words: str
) -> None:
    """With a hint and its exit status; nothing is written."""
    if text is not None:
        (stage.cwd / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    said = stage.run("init", "--from", name)
    assert said.status == status
    assert words in said.err
    assert "hint: " in said.err
    assert name == ".runcept.toml" or not (stage.cwd / ".runcept.toml").exists()


def test_an_unknown_format_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    """All four."""
    with pytest.raises(FormatUnknown) as caught:
        import_file(str(tmp_path), str(tmp_path))
    for each in ("Procfile", "docker-compose.yml", "process-compose.yaml", "pitchfork.toml"):
        assert each in caught.value.hint


def test_what_is_there_is_only_overwritten_by_force(stage: Stage) -> None:
    """As without --from."""
    (stage.cwd / "Procfile").write_text(PROCFILE)
    (stage.cwd / ".runcept.toml").write_text("# mine\n")
    assert stage.run("init", "--from", "Procfile").status == 1
    assert (stage.cwd / ".runcept.toml").read_text() == "# mine\n"
    assert stage.run("init", "--from", "Procfile", "--force").status == 0
