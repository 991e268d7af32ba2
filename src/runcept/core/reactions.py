"""What a process does about each event: change its life, and say what is to be done. The table says which and when.

A reaction is a function of (life, event, context); it changes the life it is given and nothing else.
"""

from __future__ import annotations

import msgspec

from runcept.core import events as ev
from runcept.core.backoff import delay_before_restart, recent
from runcept.core.check_port import resolved
from runcept.core.effects import Effect, Kill, Record, Release, Signal, Spawn, Watch
from runcept.core.life import SUPERVISOR, Cause, Ended, Life
from runcept.core.model import Health, Kind, Process, Restart, State
from runcept.core.secrets import mask
from runcept.units import format_duration

__all__ = [
    "SETTLE_SECONDS",
    "Context",
    "Effects",
    "after_reboot",
    "all_gone",
    "await_ready",
    "begin_grace",
    "ended",
    "ended_as_told",
    "ended_at_last",
    "fail_with_dependency",
    "ignore",
    "judge",
    "keep",
    "lose_patience",
    "lost",
    "not_started",
    "rest",
    "restart",
    "settled",
    "spawn",
    "start_after",
    "stop",
    "stop_newborn",
    "stop_waiting",
    "taken_in",
    "unwant",
    "wait",
    "wake",
    "want",
    "want_again",
]

SETTLE_SECONDS = 0.1
"""A process without a health check is ready when it has lived this long: a command that fails at once is told apart."""

Effects = list[Effect]


class Context(msgspec.Struct, frozen=True):
    """What a handler may look at besides the life itself."""

    process: Process
    now: float
    jitter: float


def _enter(life: Life, state: State, reason: str, deadline: float | None = None) -> None:
    life.state, life.reason, life.hint, life.blamed, life.deadline = state, reason, "", "", deadline


def _record(life: Life, kind: str, message: str, **data: object) -> Record:
    return Record(life.name, kind, message, life.actor, data)


# ------------------------------------------------------------------------------------------------ requests


def want(life: Life, event: ev.StartRequested, context: Context) -> Effects:
    """Down, for whatever reason: let the supervisor start it."""
    if life.state is State.EXITED and context.process.kind is Kind.TASK and life.wanted and not event.rerun:
        return []
    life.wanted, life.asleep, life.failures, life.restarts, life.actor = True, False, [], 0, event.actor
    _enter(life, State.STOPPED, "waits to be started")
    return []


def keep(life: Life, event: ev.StartRequested, context: Context) -> Effects:
    """Up, or on its way: nothing to do but to remember that it is wanted.

    What was to go down already, and runs as an earlier file had it, does so before it comes up again.
    """
    del event, context
    life.restarting = life.restarting or (life.is_up and not life.wanted and life.outdated is not None)
    life.wanted, life.kill, life.asleep = True, False, False
    return []


def ignore(life: Life, event: ev.Event, context: Context) -> Effects:
    """It does not matter any more."""
    del life, event, context
    return []


def unwant(life: Life, event: ev.StopRequested, context: Context) -> Effects:
    """Up, or on its way: the supervisor allows the stop when nothing that needs it runs."""
    del context
    life.asleep = event.idle and (life.wanted or life.asleep)
    life.wanted = life.restarting = False
    life.stop_reason, life.kill, life.actor = event.reason, event.kill, event.actor
    if event.kill and life.state is State.STOPPING and life.deadline is not None:
        return _kill(life, "SIGKILL was sent")
    return []


def start_after(life: Life, event: ev.StartRequested | ev.RestartRequested, context: Context) -> Effects:
    """Stopping: whatever it is stopping for, it is to be started afterwards."""
    del context
    if isinstance(event, ev.RestartRequested) and event.reason:
        life.exit_reason = event.reason
    life.wanted, life.asleep, life.failures, life.restarts, life.actor = True, False, [], 0, event.actor
    life.stopping_for = "restart"
    return []


def rest(life: Life, event: ev.StopRequested, context: Context) -> Effects:
    """Down already: stay so."""
    del context
    before, slept = life.state, life.asleep
    life.asleep = slept and event.idle
    life.wanted = life.restarting = False
    if before is State.STOPPED and life.asleep == slept:
        return []
    life.actor = event.actor
    last = f"; before that: {life.reason}" if before is State.FAILED else ""
    _enter(life, State.STOPPED, event.reason + last)
    return [_record(life, "stopped", life.reason)]


def want_again(life: Life, event: ev.RestartRequested, context: Context) -> Effects:
    """Down: a restart is a start."""
    effects = want(life, ev.StartRequested(event.name, rerun=True, actor=event.actor), context)
    return [*effects, _record(life, "restarting", event.reason)] if event.reason else effects


def restart(life: Life, event: ev.RestartRequested, context: Context) -> Effects:
    """Up: stop it first."""
    del context
    life.wanted = life.restarting = True
    life.kill, life.asleep, life.actor = False, False, event.actor
    life.stop_reason = event.reason or "restart requested"
    life.failures, life.restarts = [], 0
    return []


# ------------------------------------------------------------------------------------- the supervisor's word


def spawn(life: Life, event: ev.StartAllowed, context: Context) -> Effects:
    """Everything it needs is there: begin a new run."""
    del event
    if life.ended_at is not None:
        life.before = Ended(life.run, life.exit_reason, life.ended_at)
    life.run += 1
    life.started = context.now
    life.pid, life.exit_code, life.exit_signal, life.exit_reason = None, None, None, ""
    life.started_at, life.ended_at, life.health, life.ports = None, None, Health.NONE, context.process.ports
    life.ready = life.restarting = life.kill = life.asked = False
    life.stopping_for, life.outdated = "", None
    _enter(life, State.STARTING, "its command is being executed")
    return [_record(life, "starting", f"run {life.run}", run=life.run), Spawn(life.name, life.run)]


def wait(life: Life, event: ev.Blocked, context: Context) -> Effects:
    """Something it needs is not there yet."""
    del context
    is_new = life.state is not State.PENDING
    _enter(life, State.PENDING, event.reason)
    life.blamed = event.blamed
    return [_record(life, "pending", event.reason)] if is_new else []


def fail_with_dependency(life: Life, event: ev.DependencyFailed, context: Context) -> Effects:
    """Something it needs will not be there."""
    del context
    life.actor = SUPERVISOR
    _enter(life, State.FAILED, event.reason)
    life.blamed = event.blamed
    return [_record(life, "failed", event.reason)]


def stop(life: Life, event: ev.StopAllowed, context: Context) -> Effects:
    """Up: ask it to end. Where the spawn is still under way, the signal follows it."""
    del event
    return _begin_stop(life, "restart" if life.restarting else "request", life.stop_reason, context)


def stop_waiting(life: Life, event: ev.StopAllowed, context: Context) -> Effects:
    """Pending or in back-off: nothing lives."""
    del event
    _enter(life, State.STOPPED, life.stop_reason + _what_wakes(life, context.process))
    return [_record(life, "stopped", life.reason)]


# --------------------------------------------------------------------------------------------------- facts


def await_ready(life: Life, event: ev.Spawned, context: Context) -> Effects:
    """It lives; what has to happen until it is ready depends on its kind."""
    life.pid, life.ports, life.started_at, life.started = event.pid, event.ports, event.at, context.now
    process = context.process
    if process.kind is Kind.TASK:
        _enter(life, State.STARTING, "the task has not ended yet")
    elif process.health_check is None:
        _enter(life, State.STARTING, "has just been started", context.now + SETTLE_SECONDS)
    else:
        life.health = Health.UNKNOWN
        url = resolved(process.health_check, event.ports).url
        _enter(life, State.STARTING, f"waits for its health check {mask(url)}")
    return []


def settled(life: Life, event: ev.DeadlineReached, context: Context) -> Effects:
    """It has lived long enough."""
    del event, context
    return _ready(life)


def _ready(life: Life) -> Effects:
    life.ready = True
    _enter(life, State.RUNNING, "")
    return [_record(life, "ready", f"run {life.run}, pid {life.pid}", run=life.run, pid=life.pid)]


def judge(life: Life, event: ev.HealthChanged, context: Context) -> Effects:
    """Its health check says something new: ready at last, unhealthy, or healthy again."""
    before, life.health = life.health, event.health
    if event.health is Health.HEALTHY:
        if life.state is State.STARTING and context.process.kind is Kind.SERVICE:
            return _ready(life)
        life.reason = "" if life.state is State.RUNNING else life.reason
        return [] if before is Health.HEALTHY else [_judged(life, "healthy", event.reason)]
    if event.health is not Health.UNHEALTHY:
        life.reason = event.reason
        return []
    life.reason = f"unhealthy: {event.reason}"
    effects: Effects = [_judged(life, "unhealthy", event.reason)] if before is not Health.UNHEALTHY else []
    if context.process.restart.on_unhealthy and life.wanted:
        if not life.restarting:
            life.actor = SUPERVISOR
        effects += _begin_stop(life, "unhealthy", life.reason, context)
    return effects


def _judged(life: Life, kind: str, reason: str) -> Record:
    return Record(life.name, kind, reason, SUPERVISOR, {"run": life.run, "pid": life.pid})


def _begin_stop(life: Life, cause: Cause, reason: str, context: Context) -> Effects:
    process = context.process
    life.stopping_for, life.exit_reason = cause, reason
    if life.kill:
        return _kill(life, f"{reason}: SIGKILL was sent")
    grace = format_duration(process.stop_timeout)
    sentence = f"{reason}: {process.stop_signal} was sent, SIGKILL follows after {grace}"
    _enter(life, State.STOPPING, sentence, context.now + process.stop_timeout)
    stopping = _record(life, "stopping", sentence, run=life.run, pid=life.pid, signal=process.stop_signal)
    return [stopping] if life.pid is None else [stopping, Signal(life.name, life.run, process.stop_signal)]


def stop_newborn(life: Life, event: ev.Spawned, context: Context) -> Effects:
    """The stop came while the spawn was under way."""
    life.pid, life.ports, life.started_at, life.started = event.pid, event.ports, event.at, context.now
    if life.kill:
        return _kill(life, f"{life.stop_reason}: SIGKILL was sent")
    begin_grace(life, context)
    return [Signal(life.name, life.run, context.process.stop_signal)]


def lose_patience(life: Life, event: ev.DeadlineReached, context: Context) -> Effects:
    """It did not end within its grace. If its spawn is under way still, it gets its signal now, and a grace of its own.

    It may have begun without our knowing yet; or it hangs before its program, and will hear nothing.
    """
    del event
    if life.pid is None and life.ended_at is None and not life.asked:
        life.asked = True
        begin_grace(life, context)
        return [Signal(life.name, life.run, context.process.stop_signal)]
    return _kill(life, f"did not end within {format_duration(context.process.stop_timeout)}: SIGKILL was sent")


def _kill(life: Life, reason: str) -> Effects:
    _enter(life, State.STOPPING, reason)
    stopping = _record(life, "stopping", reason, run=life.run, pid=life.pid, signal="SIGKILL")
    return [stopping, Kill(life.name, life.run)]


def not_started(life: Life, event: ev.SpawnFailed, context: Context) -> Effects:
    """There will be no pid."""
    life.ended_at, life.ports = event.at, ()
    is_final = False
    if life.state is State.STARTING:
        life.stopping_for, life.exit_reason = "ended", event.reason
        _of_its_own(life)
        is_final = event.is_final and not life.restarting and life.wanted
    effects = [_release(life), *_failed(life, event.reason)] if is_final else _over(life, context)
    if life.state in {State.FAILED, State.BACKOFF}:
        life.hint = event.hint
    return effects


def ended(life: Life, event: ev.Exited, context: Context) -> Effects:
    """The main process ended by itself."""
    _of_its_own(life)
    effects = _note_exit(life, event)
    life.exit_reason = _exit_sentence(event)
    if event.out_of_memory and event.signal == "SIGKILL":
        life.exit_reason = "killed by SIGKILL: the machine, or its control group, was out of memory"
    life.stopping_for = "ended"
    return effects + _finish(life, event, context)


def ended_as_told(life: Life, event: ev.Exited, context: Context) -> Effects:
    """The main process ended after it was asked to."""
    was_asked = life.pid is not None
    effects = _note_exit(life, event) + _finish(life, event, context)
    if event.leftovers and not was_asked:
        # The spawn was under way when the stop came, and all we hear of it is its end: so nobody was told to end yet.
        life.deadline = context.now + (0.0 if life.kill else context.process.stop_timeout)
        effects.append(Signal(life.name, life.run, context.process.stop_signal))
    return effects


def ended_at_last(life: Life, event: ev.Exited, context: Context) -> Effects:
    """It could not be killed, was given up, and has ended all the same."""
    del context
    life.actor = SUPERVISOR
    if life.state is State.FAILED:
        life.reason = f"{life.reason}; it has ended since: {_exit_sentence(event)}"
    return _note_exit(life, event)


def _note_exit(life: Life, event: ev.Exited) -> Effects:
    facts = {"run": life.run, "pid": life.pid, "exit_code": event.code, "exit_signal": event.signal}
    life.pid, life.exit_code, life.exit_signal, life.ended_at = None, event.code, event.signal, event.at
    return [_record(life, "exited", _exit_sentence(event), **facts)]


def _finish(life: Life, event: ev.Exited, context: Context) -> Effects:
    """Decide at once, or after what the main process left behind has ended as well."""
    if not event.leftovers:
        return _over(life, context)
    process = context.process
    if life.stopping_for != "ended":
        return [Watch(life.name, life.run)]
    sentence = f"{life.exit_reason}; what it left behind is being stopped"
    _enter(life, State.STOPPING, sentence, context.now + process.stop_timeout)
    return [Signal(life.name, life.run, process.stop_signal), Watch(life.name, life.run)]


def all_gone(life: Life, event: ev.Gone, context: Context) -> Effects:
    """Nothing that it left behind lives, or only what cannot be killed."""
    if event.survivors:
        life.wanted = life.restarting = False
        life.exit_reason = f"cannot be ended: {event.survivors}"
        return [_release(life), *_failed(life, life.exit_reason)]
    return _over(life, context)


def lost(life: Life, event: ev.Lost, context: Context) -> Effects:
    """The run is over and nobody saw how: begin again if it is wanted."""
    life.pid, life.exit_reason, life.restarting = None, event.reason, life.wanted
    if life.wanted:
        life.actor = SUPERVISOR
    return _over(life, context, "lost")


def after_reboot(life: Life) -> list[Record]:
    """Correct what a reboot made untrue: nothing lives, and nobody asked for a start since."""
    is_over = not (life.is_up or life.state in {State.PENDING, State.BACKOFF} or life.asleep)
    life.wanted = life.restarting = life.asleep = False
    if is_over:
        return []
    life.pid, life.health, life.actor = None, Health.NONE, SUPERVISOR
    _enter(life, State.STOPPED, "the machine was restarted")
    return [_record(life, "stopped", life.reason)]


def begin_grace(life: Life, context: Context) -> None:
    """Its stop signal is sent now, or again."""
    life.deadline = context.now + context.process.stop_timeout


def taken_in(life: Life, event: ev.Spawned, context: Context) -> None:
    """It lives, and nothing was stored of it: it was wanted, and it may have been ready."""
    life.run, life.pid, life.wanted, life.ports, life.actor = event.run, event.pid, True, event.ports, SUPERVISOR
    life.started, life.started_at, life.ended_at = context.now, event.at, None
    life.health = Health.NONE if context.process.health_check is None else Health.UNKNOWN
    if context.process.kind is Kind.TASK:
        _enter(life, State.STARTING, "the task has not ended yet")
    else:
        life.ready = True
        _enter(life, State.RUNNING, "")


# ------------------------------------------------------------------------------------- after a run is over


def _of_its_own(life: Life) -> None:
    """What happens to it now nobody asked for, unless somebody wanted it to end anyway."""
    if life.wanted and not life.restarting:
        life.actor = SUPERVISOR


def _release(life: Life) -> Release:
    return Release(life.name, life.run, life.exit_reason)


def _over(life: Life, context: Context, cause_of_restart: str = "request") -> Effects:
    """Nothing of the run lives any more: decide what comes next."""
    cause = "restart" if life.restarting else life.stopping_for
    life.restarting, life.stopping_for, life.health = False, "", Health.NONE
    effects: Effects = [_release(life)]
    if not life.wanted:
        _enter(life, State.STOPPED, (life.stop_reason or life.exit_reason) + _what_wakes(life, context.process))
        return [*effects, _record(life, "stopped", life.reason, run=life.run)]
    if cause == "restart":
        _enter(life, State.STOPPED, "is being restarted")
        return [*effects, _record(life, "restarting", life.exit_reason, run=life.run, cause=cause_of_restart)]
    if cause == "unhealthy":
        return effects + _crashed(life, "unhealthy", context)
    if life.exit_code is not None and life.exit_code in context.process.success_exit_codes:
        if context.process.restart.when is Restart.ALWAYS:
            return effects + _try_again(life, "exit", context)
        _enter(life, State.EXITED, life.exit_reason)
        return effects
    return effects + _crashed(life, "start" if life.started_at is None else "crash", context)


def _what_wakes(life: Life, process: Process) -> str:
    if not life.asleep:
        return ""
    return (
        f"; a connection to {process.doorstep} starts it" if process.doorstep else "; start or activate brings it back"
    )


def _crashed(life: Life, cause: str, context: Context) -> Effects:
    if context.process.restart.when is Restart.NO:
        return _failed(life, life.exit_reason)
    return _try_again(life, cause, context)


def _try_again(life: Life, cause: str, context: Context) -> Effects:
    reason, policy = life.exit_reason, context.process.restart
    life.failures = [*recent(life.failures, policy, context.now), context.now]
    delay = delay_before_restart(life.failures, policy, context.jitter)
    if delay is None:
        window = format_duration(policy.window)
        times = "once" if policy.max_restarts == 1 else f"{policy.max_restarts} times"
        return _failed(life, f"{reason} (gave up: restarted {times} within {window})")
    sentence = f"{reason}; restart {len(life.failures)} of {policy.max_restarts} after {format_duration(delay)}"
    _enter(life, State.BACKOFF, sentence, context.now + delay)
    return [_record(life, "restarting", sentence, run=life.run, cause=cause, delay_seconds=round(delay, 3))]


def _failed(life: Life, reason: str) -> Effects:
    _enter(life, State.FAILED, reason)
    facts = {"run": life.run, "exit_code": life.exit_code, "exit_signal": life.exit_signal}
    return [_record(life, "failed", reason, **facts)]


def wake(life: Life, event: ev.DeadlineReached, context: Context) -> Effects:
    """The back-off is over: `stopped` and `wanted`, so that the supervisor starts it."""
    del event, context
    life.restarts += 1
    _enter(life, State.STOPPED, "is being restarted")
    return []


def _exit_sentence(event: ev.Exited) -> str:
    if event.signal is not None:
        text = f"killed by {event.signal}"
    elif event.code is not None:
        text = f"exit code {event.code}"
    else:
        text = "ended while nobody was there to see its exit status"
    return f"{text}: {event.last_line}" if event.last_line and event.code != 0 else text
