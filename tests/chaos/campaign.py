"""A random campaign: users who want this and that, faults at any instant, and the question whether anything was lost.

Rounds follow each other. In each, three users ask at once for random things while processes, daemon and keeper are
killed and held still at random instants, the disk of the logs is full for a while, and clients talk nonsense; then all
is to come to rest in a state that is known, and is compared with what lives. At the end everything is stopped, and the
evidence of every run is held against log and database (`ledger`).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.faults import Later, LogDisk, hold_still, let_go, talk_nonsense
from tests.chaos.ledger import Ledger, Verdict
from tests.chaos.stage import Stage, is_alive
from tests.support import free_ports

from runcept.api import messages as m
from runcept.errors import DaemonUnreachable, RunceptError

__all__ = ["Campaign", "Report"]

_AGAIN = 'restart = "always"\nrestart_delay = "20ms"\nrestart_max_delay = "200ms"\nmax_restarts = 100000\n'
_CHECKED = 'health_check_interval = "500ms"\nrestart = "always"\nrestart_delay = "20ms"\nmax_restarts = 100000\n'
_STEADY = ("steady", "storm", "stubborn", "server", "client")
"""Kinds that run until they are stopped."""
_REST_SECONDS = 60
_TRUTH_SECONDS = 10
_YOUNG_SECONDS = 0.1
_SAVE_SECONDS = 5
"""Between two changes of a watched file: a process that is restarted for them too often is left alone."""
_HEARD_SECONDS = 1.5
"""After a change, for the restart to have begun, also by a daemon that was just started."""
_WRONG = (
    "processes lost",
    "processes doubled",
    "lines lost",
    "lines doubled",
    "lines torn",
    "statuses wrong",
    "orphans",
    "answers wrong",
)


class Report:
    """What was done and what came of it; it is good if nothing is wrong."""

    def __init__(self, seed: int, faults: Counter[str], verdict: Verdict, adoptions: list[float]) -> None:
        self.seed, self.faults, self.verdict, self.adoptions = seed, faults, verdict, adoptions

    @property
    def is_good(self) -> bool:
        """Nothing was lost, doubled, wrong or left over."""
        return not any(self.verdict.wrong.values())

    def table(self) -> str:
        """For a person, with every finding below it."""
        rows: list[tuple[str, object]] = [("seed", self.seed), ("runs", self.verdict.runs)]
        rows += [("lines", self.verdict.lines), ("faults injected", self.faults.total())]
        rows += [(f"  {kind}", count) for kind, count in sorted(self.faults.items())]
        rows += [(kind, len(self.verdict.wrong[kind])) for kind in _WRONG]
        rows += [("ended while no keeper lived", self.verdict.unseen), ("  status unknown", self.verdict.unknown)]
        adoptions = sorted(self.adoptions)
        if adoptions:
            rows += [("adoption, median ms", round(1000 * adoptions[len(adoptions) // 2]))]
            rows += [("adoption, longest ms", round(1000 * adoptions[-1]))]
        found = [f"{kind}: {sentence}" for kind in _WRONG for sentence in self.verdict.wrong[kind]]
        return "\n".join([*(f"{name:<30}{value:>10}" for name, value in rows), *found])


class Campaign:
    """One campaign in an empty directory; `seed` decides what is asked and injected, the machine decides when."""

    def __init__(self, root: Path, seed: int) -> None:
        self.stage = Stage(root)
        self.seed, self.chance = seed, random.Random(seed)
        self.ledger = Ledger(self.stage)
        self.faults: Counter[str] = Counter()
        self.adoptions: list[float] = []
        self.found: list[tuple[str, str]] = []
        self.later = Later()
        self.disk = LogDisk(self.stage.project / ".runcept")
        self.ports = free_ports(2)
        self.editing = threading.Lock()
        self.saved_at = 0.0
        self.kinds = {
            "steady": f'{_AGAIN}watch = ["source"]',
            "steady-asked": f'{_CHECKED}health_check = "cmd://kill -0 $$"',
            "storm": _AGAIN,
            "flaky": f'{_AGAIN}stop_timeout = "200ms"',
            "quits": "",
            "stubborn": f'{_AGAIN}stop_timeout = "300ms"',
            "server-a": f'{_CHECKED}health_check = "tcp://127.0.0.1:$PORT"',
            "server-b": f'{_CHECKED}health_check = "tcp://127.0.0.1:$PORT"',
            "client": f'{_AGAIN}depends_on = ["server-a"]',
        }
        self._edit(self.chance)

    def run(self, seconds: float) -> Report:
        """Rounds for about so long, and the verdict."""
        self.disk.mount()
        try:
            for _ in range(5):  # the database is being made
                self._ask_once()
                self._kill_young()
            until = time.monotonic() + seconds
            while True:
                self._storm(self.chance.uniform(0.3, 1.5))
                self._rest()
                self._strike_at_rest()
                if time.monotonic() > until:
                    break
        finally:
            self.later.join()
            self._end()
        verdict = self.ledger.judge()
        for kind, sentence in self.found:
            verdict.wrong[kind].append(sentence)
        if any(verdict.wrong.values()):
            self.disk.keep()
        return Report(self.seed, self.faults, verdict, self.adoptions)

    def sweep(self) -> None:
        """Leave nothing behind, however it went: what is found here was counted as an orphan."""
        self.stage.kill([*self.stage.keepers(), *self.stage.daemons()])
        self.stage.kill([entry.pid for entry in self.ledger.journal() if entry.is_alive()])
        self.disk.unmount()

    # ------------------------------------------------------------------------------------------- a round

    def _storm(self, seconds: float) -> None:
        """Three users at once, and faults among what they ask for."""
        until = time.monotonic() + seconds
        users = [threading.Thread(target=self._use, args=(self.chance.random(), until)) for _ in range(3)]
        for user in users:
            user.start()
        while time.monotonic() < until:
            time.sleep(self.chance.uniform(0.0, 0.4))
            self._strike()
        for user in users:
            user.join()
        self.later.join()

    def _use(self, seed: float, until: float) -> None:
        chance = random.Random(seed)
        while time.monotonic() < until:
            try:
                self._ask_for_something(chance)
            except DaemonUnreachable as error:
                self.found.append(("answers wrong", str(error)))
            except RunceptError as error:
                self.found.append(("answers wrong", f"{error.code}: {error}"))

    def _ask_for_something(self, chance: random.Random) -> None:
        where = str(self.stage.project)
        names = chance.sample(list(self.kinds), chance.randrange(1, 4))
        wait = chance.random() < 0.5
        requests: list[tuple[str, m.Params]] = [
            ("activate", m.Activate(environment=where, wait=wait, timeout=2)),
            ("start", m.Start(environment=where, names=names, wait=wait, timeout=2)),
            ("stop", m.Stop(environment=where, names=names, wait=wait, timeout=2)),
            ("restart", m.Restart(environment=where, names=names, wait=wait, timeout=2)),
            ("deactivate", m.Deactivate(environment=where, wait=wait, timeout=2)),
            ("status", m.Status(environment=where)),
            ("reload", m.Reload(environment=where, wait=wait, timeout=2)),
        ]
        method, params = chance.choices(requests, weights=[3, 3, 2, 3, 1, 2, 2])[0]
        if method == "reload":
            self._edit(chance)
        self.stage.ask(method, params)

    def _edit(self, chance: random.Random) -> None:
        """Save another project file: with other variables for some, or the ports of the servers exchanged."""
        with self.editing:
            chance.shuffle(self.ports)
            kinds = {name: f'{keys}\nenv = {{EDIT = "{chance.randrange(2)}"}}' for name, keys in self.kinds.items()}
            for name, port in zip(("server-a", "server-b"), self.ports, strict=True):
                kinds[name] += f"\nports = [{port}]"
            self.stage.write(kinds, 'log = {max_size = "50MB", keep = 100}')

    # -------------------------------------------------------------------------------------------- faults

    def _strike(self) -> None:
        strike = self.chance.choices(
            [
                lambda: self._kill_ours("daemon"),
                lambda: self._kill_ours("keeper"),
                lambda: self._kill_ours("both"),
                self._kill_young,
                self._kill_a_process,
                self._hold_still,
                self._fill_the_disk,
                self._talk_nonsense,
                self._save_a_source,
            ],
            weights=[6, 1, 1, 3, 4, 2, 1, 2, 2],
        )[0]
        strike()

    def _kill_a_process(self) -> None:
        living = [entry for entry in self.ledger.journal()[-20:] if entry.what == "began" and entry.is_alive()]
        if living:
            victim = self.chance.choice(living)
            self.ledger.killed.add((victim.pid, victim.start_time))
            self.faults["kill -9 of a process"] += self.stage.kill([victim.pid])

    def _kill_young(self) -> None:
        """The daemon, and at once the one that comes after it: while it migrates, recovers, opens its socket."""
        old = self.stage.daemons()
        self.stage.kill(old)
        until = time.monotonic() + 5
        while not (young := [pid for pid in self.stage.daemons() if pid not in old]) and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(self.chance.uniform(0, _YOUNG_SECONDS))
        self.faults["kill -9 of the daemon"] += bool(old)
        self.faults["kill -9 of a young daemon"] += bool(self.stage.kill(young))

    def _hold_still(self) -> None:
        pids, seconds = self.chance.choice([self.stage.daemons, self.stage.keepers])(), self.chance.uniform(0.1, 2)
        if pids:
            hold_still(pids)
            self.later(seconds, lambda: let_go(pids))
            self.faults["SIGSTOP of daemon or keeper"] += 1

    def _fill_the_disk(self) -> None:
        if self.disk.fill():
            self.later(self.chance.uniform(0.1, 3), self.disk.empty)
            self.faults["full disk of logs"] += 1

    def _save_a_source(self) -> None:
        if time.time() > self.saved_at + _SAVE_SECONDS:
            self.saved_at = time.time()
            (self.stage.project / "source").write_text(str(self.chance.random()), encoding="ascii")
            self.faults["change of a watched file"] += 1

    def _talk_nonsense(self) -> None:
        talk_nonsense(self.stage.home, self.chance)
        self.faults["client that talks nonsense"] += 1

    def _ask_once(self) -> None:
        """For anything, so that there is a daemon."""
        self.stage.statuses()

    def _kill_ours(self, chosen: str) -> None:
        pids = [
            *(self.stage.daemons() if chosen != "keeper" else ()),
            *(self.stage.keepers() if chosen != "daemon" else ()),
        ]
        if chosen != "daemon":
            self.ledger.keeper_kills.append(time.time())
        if self.stage.kill(pids):
            self.faults[f"kill -9 of {'both' if chosen == 'both' else 'the ' + chosen}"] += 1

    # ---------------------------------------------------------------------------------------------- rest

    def _rest(self) -> None:
        """Everything up, or everything down; it has to come true, and status has to say what is true."""
        where, up = str(self.stage.project), self.chance.random() < 0.7
        params: Any = (m.Activate if up else m.Deactivate)(environment=where, timeout=_REST_SECONDS)
        outcome = self.stage.ask("activate" if up else "deactivate", params, seconds=_REST_SECONDS)
        if outcome.timed_out:
            states = {each.name: (each.state, each.reason) for each in outcome.processes}
            self.found.append(("answers wrong", f"did not come to rest {'up' if up else 'down'}: {states}"))
        while time.time() < self.saved_at + _HEARD_SECONDS:
            time.sleep(0.02)
        self._compare(up=up)

    def _compare(self, *, up: bool) -> None:
        """What has just been killed may take a moment to be back; then status says of everything what is true."""
        until = time.monotonic() + _TRUTH_SECONDS
        while (untrue := self._untrue(up=up)) and time.monotonic() < until:
            time.sleep(0.05)
        self.found += [("processes lost", sentence) for sentence in untrue]

    def _untrue(self, *, up: bool) -> list[str]:
        last = {entry.name: entry for entry in self.ledger.journal() if entry.what == "began"}
        found = []
        for name, view in self.stage.statuses().items():
            entry = last.get(name)
            is_alive = entry is not None and entry.is_alive()
            if not up and (is_alive or view.state not in {"stopped", "exited", "failed"}):
                found.append(f"{name} was stopped, is {view.state}, lives: {is_alive}")
            if up and name.startswith(_STEADY):
                told = (str(view.state), view.run, view.pid)
                true = ("running", entry.run, entry.pid) if entry is not None and is_alive else None
                if told != true:
                    found.append(f"{name} is {told} ({view.reason}); the truth is {true}")
                if name == "steady" and entry is not None and entry.at < self.saved_at:
                    found.append(f"{name} runs since {entry.at}, and its source was changed at {self.saved_at}")
        return found

    def _strike_at_rest(self) -> None:
        """A death of ours that nobody asked for anything meanwhile changes nothing."""
        before = self._identities()
        chosen = self.chance.choice(["daemon", "daemon", "keeper", "both"])
        self._kill_ours(chosen)
        begun = time.monotonic()
        after = self._identities()
        self.adoptions.append(time.monotonic() - begun)
        for name, identity in before.items():
            if after[name] != identity:
                self.found.append(
                    ("processes lost", f"{name} was {identity}, and {after[name]} after a kill of {chosen}")
                )

    def _identities(self) -> dict[str, tuple[Any, ...]]:
        views = self.stage.statuses()
        return {name: (v.state, v.run, v.pid, v.started_at) for name, v in views.items() if name.startswith(_STEADY)}

    def _end(self) -> None:
        """Stop all, and the daemon."""
        pids = [*self.stage.daemons(), *self.stage.keepers()]
        self.stage.ask("daemon_stop", m.StopDaemon(), seconds=_REST_SECONDS)
        self._wait_for(lambda: not any(is_alive(pid) for pid in [*pids, *self.stage.daemons(), *self.stage.keepers()]))

    def _wait_for(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.found.append(("orphans", "daemon or keeper did not end"))
                return
            time.sleep(0.02)
