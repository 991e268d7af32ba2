"""What an edited project file changes: which processes are new, gone or different, and what takes a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from runcept.core.life import Life
from runcept.core.model import Health, HealthCheck, Probe, Process, Project, State
from runcept.core.plan import Plan

__all__ = ["Changed", "Changes", "compare", "needs_restart", "takes_over_check"]

_TAKEN_OVER = frozenset({
    "activity", "autostart", "depends_on", "description", "health_check", "hooks", "inactivity_timeout", "log",
    "restart", "stop_signal", "stop_timeout", "success_exit_codes", "wake", "watch",
})  # fmt: skip
"""Fields whose new value holds for a run that has begun already; any other is part of how it was started."""
_MAY_MEND = frozenset({"depends_on", "health_check", "restart", "success_exit_codes"})
"""Those of them for which a process that has failed deserves another try."""
_OF_PROCESSES = frozenset({"processes", "path", "env", "working_dir"})
"""Fields of a project that are told as those of its processes."""
_BY_PART = {"restart": "restart_", "log": "log.", "hooks": "hooks."}
"""Fields that are several keys of the file, and how these begin."""
_POLICY = {"restart_when": "restart", "restart_max_restarts": "max_restarts"}


class Changed(msgspec.Struct, frozen=True):
    """One process that is in the file still, and not the same."""

    name: str
    keys: list[str]
    """As the file has them: "command", "env.PORT", "health_check". No values, which may be secret."""
    restarts: bool
    """It is wanted to run, and what has changed takes a new start."""


class Changes(msgspec.Struct, frozen=True):
    """Two plans beside each other; names in the order of the new file."""

    added: list[str] = []
    removed: list[str] = []
    changed: list[Changed] = []
    unchanged: list[str] = []
    project: list[str] = []
    """Keys of [project] that have changed and are of no single process."""
    starts: list[str] = []
    """What is down now and is started: new ones, what they need, and what had failed for want of those restarted."""
    stops: list[str] = []
    """Removed ones that are up."""

    @property
    def are_none(self) -> bool:
        """The file says what is in force."""
        return not (self.added or self.removed or self.changed or self.project)

    @property
    def restarts(self) -> list[str]:
        """Changed ones that are to be stopped and started."""
        return [each.name for each in self.changed if each.restarts]

    def sentence(self) -> str:
        """For the history: "added worker; removed old; changed web: command, env.PORT"."""
        said = [
            f"{word} {', '.join(names)}" for word, names in (("added", self.added), ("removed", self.removed)) if names
        ]
        said += [f"changed {each.name}: {', '.join(each.keys)}" for each in self.changed]
        said += [f"changed [project]: {', '.join(self.project)}"] if self.project else []
        return "; ".join(said) or "nothing has changed"


def compare(old: Project | None, new: Project, lives: Mapping[str, Life]) -> Changes:
    """What taking over `new` does to the environment whose project is `old` and whose processes are `lives`.

    A process that is up is compared with what it was started as, which an earlier edit may have left behind.
    """
    before = {} if old is None else {process.name: process for process in old.processes}
    names = {process.name for process in new.processes}
    is_active = any(life.wanted or life.is_up for life in lives.values())
    shell = old is not None and old.shell != new.shell
    changed, unchanged = [], []
    for process in new.processes:
        if process.name not in before:
            continue
        life = lives[process.name]
        base = (life.outdated if life.is_up else None) or before[process.name]
        if base == process:
            unchanged.append(process.name)
        else:
            keys = list(dict.fromkeys(_keys(base, process, shell=shell)))
            changed.append(Changed(process.name, keys, life.wanted and _begins_anew(base, process, life)))
    added = [process.name for process in new.processes if process.name not in before]
    restarts = {each.name for each in changed if each.restarts}
    return Changes(
        added=added,
        removed=[name for name in before if name not in names],
        changed=changed,
        unchanged=unchanged,
        project=[] if old is None else _project_keys(old, new),
        starts=_starts(new, lives, set(added), restarts) if is_active else [],
        stops=[name for name in before if name not in names and lives[name].is_up],
    )


def _starts(new: Project, lives: Mapping[str, Life], added: set[str], restarts: set[str]) -> list[str]:
    plan = Plan(new)
    wanted = plan.with_dependencies({*(name for name in plan.autostarted() if name in added), *restarts})
    started = {name for name in wanted if name in added or not lives[name].wanted or lives[name].state is State.FAILED}
    return plan.sort((started | set(plan.blaming({*started, *restarts}, lives))) - restarts)


def needs_restart(base: Process, new: Process, life: Life) -> bool:
    """Whether a run that was started as `base` cannot go on as `new`."""
    if any(
        getattr(base, field) != getattr(new, field) for field in Process.__struct_fields__ if field not in _TAKEN_OVER
    ):
        return True
    return base.health_check != new.health_check and not takes_over_check(base.health_check, new.health_check, life)


def takes_over_check(old: HealthCheck | None, new: HealthCheck | None, life: Life) -> bool:
    """Whether a living run can be checked as `new` says from now on: what it has written already is not read again."""
    if new is not None and new.probe is Probe.LOG:
        return False
    return old is None or old.probe is not Probe.LOG or life.ready


def _begins_anew(base: Process, new: Process, life: Life) -> bool:
    if needs_restart(base, new, life):
        return True
    is_broken = life.state in {State.FAILED, State.BACKOFF} or life.health is Health.UNHEALTHY
    return is_broken and not life.is_up and any(getattr(base, field) != getattr(new, field) for field in _MAY_MEND)


def _keys(old: Process, new: Process, *, shell: bool) -> Iterator[str]:
    """The keys of the file that make the difference."""
    for field in _differences(old, new):
        if field == "env":
            yield from (f"env.{name}" for name in _different(old.env, new.env))
        elif field == "argv":
            yield "shell" if shell and old.command == new.command else "command"
        elif field == "auto_port":
            yield "ports"
        elif field in _BY_PART:
            for part in _differences(getattr(old, field), getattr(new, field)):
                key = f"{_BY_PART[field]}{part}"
                yield _POLICY.get(key, key)
        else:
            yield field


def _project_keys(old: Project, new: Project) -> list[str]:
    return [field for field in _differences(old, new) if field not in _OF_PROCESSES]


def _differences(old: msgspec.Struct, new: msgspec.Struct) -> Iterable[str]:
    return [field for field in old.__struct_fields__ if getattr(old, field) != getattr(new, field)]


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
