"""Orders and selections of a dependency graph."""

from __future__ import annotations

import pytest

from runcept.core.model import Dependency, Process, Project
from runcept.core.plan import Plan
from runcept.errors import ProcessNotFound


def plan(**needs: str) -> Plan:
    processes = tuple(
        Process(
            name=name,
            command=name,
            argv=(name,),
            working_dir="/",
            depends_on=tuple(Dependency(need) for need in needed.split()),
            autostart=name != "manual",
        )
        for name, needed in needs.items()
    )
    return Plan(Project(path="/p", name="p", processes=processes))


STACK = {"web": "db redis", "worker": "db", "db": "", "redis": "", "manual": "redis"}


def test_dependencies_come_before_their_dependents() -> None:
    """Whatever the order of the file."""
    order = plan(**STACK).order
    assert order.index("db") < order.index("web")
    assert order.index("redis") < order.index("web")


def test_a_selection_takes_what_it_needs_or_what_needs_it() -> None:
    """To the end of the graph."""
    stack = plan(a="b", b="c", c="", d="")
    assert stack.with_dependencies(["a"]) == ["c", "b", "a"]
    assert stack.with_dependents(["c"]) == ["c", "b", "a"]


def test_names_and_globs_select() -> None:
    """A pattern that selects nothing is an error that names the nearest process."""
    stack = plan(**STACK)
    assert stack.select(["w*"]) == stack.sort(["web", "worker"])
    assert stack.select(["db", "db"]) == ["db"]
    with pytest.raises(ProcessNotFound) as caught:
        stack.select(["wrker"])
    assert caught.value.hint == "Did you mean worker?"
    assert caught.value.exit_status == 3
    assert (caught.value.message, caught.value.fields["environment"]) == ("no process wrker in p", "/p")


def test_what_is_not_started_by_itself_is_left_out() -> None:
    """`autostart = false`."""
    assert "manual" not in plan(**STACK).autostarted()
