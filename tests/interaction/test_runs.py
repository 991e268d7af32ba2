"""What is known of a run before it is known who it is."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import cast

import pytest

from runcept.core.model import Project
from runcept.daemon.environment import Environment
from runcept.daemon.runs import Run, Runs
from runcept.process import cgroups, members
from runcept.process.identity import start_time


def test_who_was_started_unheard_is_found_by_its_control_group(tmp_path: object) -> None:
    """A keeper may be lost, or stopped, after it has started a program and before it has said so."""
    groups = cgroups.groups_of(str(tmp_path))
    group = cgroups.make(groups, "web-1-0")
    if group is None:
        pytest.skip("no control group can be made here: that takes root, or a delegated part of the tree")
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", f"echo 0 > {group}/cgroup.procs; echo; exec sleep 60"], stdout=-1
        ) as own:
            try:
                assert own.stdout is not None
                own.stdout.readline()
                run = Run("web-1-0", cast("Environment", None), "web", 1, group=group)
                found = asyncio.run(Runs(str(tmp_path)).members(run, 0))
                assert [member.pid for member in found] == [own.pid]
            finally:
                own.kill()
    finally:
        cgroups.remove(group)
        cgroups.remove(groups)


def test_a_look_from_before_a_run_was_known_does_not_tell_of_it(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the look is shared: one that is not in it would be taken for gone."""
    monkeypatch.setattr(members, "_CENSUS_SHARED", 60.0)
    members.members(1, 0, {})
    environment = Environment(Project(path=str(tmp_path), name="shop"), [], lambda: 0.0)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as own:
        try:
            run = Run("web-1-0", environment, "web", 1, own.pid, start_time(own.pid))
            found = asyncio.run(Runs(str(tmp_path)).members(run, os.getpid()))
            assert [member.pid for member in found] == [own.pid]
        finally:
            own.kill()
