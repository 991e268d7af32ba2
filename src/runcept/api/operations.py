"""The table: one row an operation. JSON-RPC methods, MCP tools, and later HTTP routes, are derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runcept.api import messages as m
from runcept.core.views import EnvironmentView

__all__ = ["OPERATIONS", "Operation"]


class Operation(msgspec.Struct, frozen=True):
    """One thing that a client can ask for."""

    name: str
    params: type[m.Params]
    result: Any
    doc: str
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = True
    activity: bool = True
    """Counts as use of the environment it names, against its inactivity timeout."""
    is_local: bool = False
    """No method of the daemon: every face answers it from the log files, which need no daemon."""


_ROWS = (
    Operation("activate", m.Activate, m.Outcome, "Start an environment and wait until it is ready."),
    Operation("deactivate", m.Deactivate, m.Outcome, "Stop everything in an environment.", destructive=True),
    Operation("reload", m.Reload, m.Reloaded, "Take over an edited project file.", destructive=True),
    Operation("start", m.Start, m.Outcome, "Start processes and what they depend on."),
    Operation("stop", m.Stop, m.Outcome, "Stop processes and what depends on them.", destructive=True),
    Operation("restart", m.Restart, m.Outcome, "Stop and start processes.", destructive=True, idempotent=False),
    Operation("status", m.Status, EnvironmentView, "One environment and its processes.", read_only=True),
    Operation("list", m.Status, m.ProcessList, "The processes of one environment.", read_only=True),
    Operation("wait", m.Wait, m.Waited, "Wait until a process is ready, stopped, or has exited.", read_only=True),
    Operation("wait_all", m.WaitAll, m.AllWaited, "The same of several processes.", read_only=True),
    Operation("explain", m.Explain, m.Explanation, "Why a process is as it is.", read_only=True),
    Operation("events", m.Events, m.EventList, "What has happened, when, and who asked for it.", read_only=True),
    Operation("exec", m.Exec, m.Surroundings, "What a command beside a process is run with.", read_only=True),
    Operation("watch", m.Watch, m.NoResult, "Hear of each change.", read_only=True, activity=False),
    Operation("logs", m.Logs, m.LogLines, "What processes have written.", read_only=True, is_local=True),
    Operation("clear_logs", m.ClearLogs, m.ClearedLogs, "Remove what processes have written so far.", destructive=True),
    Operation("use", m.Use, m.NoResult, "Say that somebody uses an environment, if it is known."),
    Operation("environments", m.Environments, m.EnvironmentList, "Known environments.", read_only=True, activity=False),
    Operation(
        "forget", m.Forget, m.EnvironmentList, "Forget an inactive environment.", destructive=True, activity=False
    ),
    Operation("ps", m.NoParams, m.Processes, "Processes of all environments.", read_only=True, activity=False),
    Operation(
        "kill_all", m.KillAll, m.Processes, "Stop every process of every environment.", destructive=True, activity=False
    ),
    Operation("daemon_status", m.NoParams, m.DaemonStatus, "The daemon itself.", read_only=True, activity=False),
    Operation("daemon_stop", m.StopDaemon, m.DaemonStatus, "End the daemon.", destructive=True, activity=False),
)

OPERATIONS: Mapping[str, Operation] = {row.name: row for row in _ROWS}
