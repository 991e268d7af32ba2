"""What a process is started with: its environment, and its ports."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import runcept.process.ports as tcp
from runcept.core.life import Life
from runcept.core.model import Process, Project
from runcept.errors import PortTaken

__all__ = ["Holder", "child_environ", "choose_ports", "command_environ", "login_environ", "marker_of"]

_LOGIN_SECONDS = 5.0
_login: dict[str, str] | None = None
_asking = asyncio.Lock()
"""A thousand processes that are started at once ask a single shell."""


def marker_of(environment: str, process: str, run: int) -> dict[str, str]:
    """The variables by which what a run starts can be told."""
    return {"RUNCEPT_ENVIRONMENT": environment, "RUNCEPT_PROCESS": process, "RUNCEPT_RUN": str(run)}


async def child_environ(
    captured: Mapping[str, str] | None, process: Process, marker: Mapping[str, str], ports: Collection[int]
) -> dict[str, str]:
    """The environment of the asking shell, what the project file adds, who it is, and its ports."""
    environ = dict(captured) if captured is not None else dict(await login_environ())
    environ |= process.env
    environ |= marker
    for index, port in enumerate(ports):
        if index == 0:
            environ["PORT"] = str(port)
        environ[f"PORT{index}"] = str(port)
    return environ


async def command_environ(
    captured: Mapping[str, str], project: Project, process: Process | None, life: Life | None
) -> dict[str, str]:
    """What a command gets that somebody runs beside a process, or for the project as a whole.

    There is no RUNCEPT_RUN in it: the command is not of the run, and no stop of that ends it.
    """
    marker = {"RUNCEPT_ENVIRONMENT": project.path}
    if process is None:
        return {**captured, **project.env, **marker}
    ports = process.ports if life is None or life.pid is None else life.ports
    return await child_environ(captured, process, marker | {"RUNCEPT_PROCESS": process.name}, ports)


async def login_environ() -> Mapping[str, str]:
    """What the user's login shell sets, asked once; what the daemon has itself where the shell does not answer."""
    global _login  # noqa: PLW0603  asked once in the life of a daemon
    async with _asking:
        if _login is None:
            _login = await _ask_login_shell() or dict(os.environ)
    return _login


async def _ask_login_shell() -> dict[str, str]:
    try:
        account = pwd.getpwuid(os.geteuid())
    except KeyError:  # a user without an account, as containers have them: there is no login shell to ask
        return {}
    base = {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, "SHELL": account.pw_shell}
    try:
        shell = await asyncio.create_subprocess_exec(
            account.pw_shell or "/bin/sh",
            "-l",
            "-c",
            "env -0",
            env=base | {"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return {}
    try:
        async with asyncio.timeout(_LOGIN_SECONDS):
            output, _ = await shell.communicate()
    except TimeoutError:
        shell.kill()
        await shell.wait()
        return {}
    pairs = (entry.split("=", 1) for entry in os.fsdecode(output).split("\0") if "=" in entry)
    return {name: value for name, value in pairs if name not in {"_", "SHLVL", "PWD", "OLDPWD"}}


class Holder(NamedTuple):
    """A run of ours that a port belongs to; its pid is None while it is being started."""

    pid: int | None
    process: str
    environment: str
    without_pid: str = "is being started"
    """What it does while it has no pid."""


def choose_ports(
    process: Process,
    reserved: Mapping[int, Holder | None],
    whose: Callable[[int], Holder | None],
    kept: Collection[int] = (),
) -> tuple[int, ...]:
    """The ports of a run: those declared, all free, or a free one. PortTaken names the owner.

    `reserved` are not free for `"auto"`, nor, where a run holds them, for anybody, bound or not; `whose` tells of which
    run a pid is. `kept`: what our keeper has for it already.
    """
    if process.auto_port:
        return (tcp.pick_free(reserved),)
    for port in process.ports:
        if holder := reserved.get(port):
            command = tcp.command_of(holder.pid) if holder.pid else holder.without_pid
            raise PortTaken(port, holder.pid, command, holder.process, holder.environment)
        if port not in kept and not tcp.is_free(port):
            pid, command = tcp.owner_of(port) or (None, "a process of another user")
            holder = whose(pid) if pid else None
            raise PortTaken(port, pid, command, *(holder[1:3] if holder else ()))
    return process.ports
