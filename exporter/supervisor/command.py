"""From settings to a running process: what the command line is, whether it can work, and its pipes to the log."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from exporter.config import LiveServer
from exporter.llama.facts import Target
from exporter.logs.server_log import ServerLog
from exporter.supervisor.pids import PortInUseError, check_port_free
from exporter.supervisor.process import PASSING, CannotStartError, ChildProcess, Exit

GET_A_BINARY = "install llama.cpp (https://github.com/ggml-org/llama.cpp/releases) or set server.binary to its path"
GET_A_MODEL = "give an existing file, or let llama-server download one: -hf ggml-org/gemma-3-1b-it-GGUF"
MODEL_FLAGS = ("-m", "--model")
CHECK_TIMEOUT = 10.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- names of it, nothing is bound


def argument(args: Sequence[str], *names: str) -> str | None:
    """The value of the last of these options in an argument list."""
    for index in range(len(args) - 2, -1, -1):
        if args[index] in names:
            return args[index + 1]
    return None


def listening_address(server: LiveServer) -> tuple[str, int]:
    """Where llama-server will listen: `--host` and `--port` among the arguments count more than the settings."""
    port = argument(server.args, "--port") or ""
    return argument(server.args, "--host") or server.host, int(port) if port.isdecimal() else server.port


def server_url(server: LiveServer) -> str:
    """Return where a supervised llama-server answers, from this machine."""
    host, port = listening_address(server)
    host = ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def command_line(server: LiveServer, program: Sequence[str]) -> list[str]:
    """`program` with the arguments of the settings, and those that metrics need where they are missing."""
    args = list(server.args)
    for flag, opposite in (("--metrics", None), ("--slots", "--no-slots")):
        if flag not in args and opposite not in args:
            args.append(flag)
    for flag, value in (("--host", server.host), ("--port", str(server.port))):
        if flag not in args:
            args += [flag, value]
    return [*program, *args]


def find_program(server: LiveServer, path: str | None) -> list[str]:
    """The program to run, absolute. Raise `CannotStartError` that says where it was looked for."""
    if server.command is not None:
        name, *rest = server.command
    else:
        name, rest = server.binary, []
    base = Path(server.cwd or ".")
    if "/" in name:
        found = base / name
        if not found.exists():
            raise CannotStartError(f"there is no {found}; {GET_A_BINARY}", retry=False)
        if not (found.is_file() and os.access(found, os.X_OK)):
            raise CannotStartError(f"{found} is not an executable file; {GET_A_BINARY}", retry=False)
        return [str(found.absolute()), *rest]
    located = shutil.which(name, path=path)
    if located is None:
        raise CannotStartError(f"there is no {name} on PATH ({path}); {GET_A_BINARY}", retry=False)
    return [located, *rest]


def check_model(server: LiveServer, env: Mapping[str, str]) -> None:
    """Raise `CannotStartError` when the arguments name a model file that cannot be read."""
    model = argument(server.args, *MODEL_FLAGS) or env.get("LLAMA_ARG_MODEL")
    if not model:
        return
    path = (Path(server.cwd or ".") / model).absolute()
    if not path.is_file():
        raise CannotStartError(f"there is no model file {path}; {GET_A_MODEL}", retry=False)
    if not os.access(path, os.R_OK):
        raise CannotStartError(f"the model file {path} is not readable for this user", retry=False)


def check_start(server: LiveServer, *, port_needed: bool = True) -> list[str]:
    """Return the program to run, after checks of what can be seen before a start. Raise `CannotStartError`.

    Files may lie on mounts that hang, and the owner of a port is found by a walk over the system's sockets: for a
    thread.
    """
    env = {**os.environ, **server.env}
    program = find_program(server, env.get("PATH"))
    check_model(server, env)
    if port_needed:
        host, port = listening_address(server)
        try:
            check_port_free(host, port)
        except PortInUseError as error:
            raise CannotStartError(str(error), retry=True) from None
        except OSError as error:
            raise CannotStartError(
                f"cannot listen on {host} port {port}: {error}", retry=error.errno in PASSING
            ) from None
    return program


class LoggedChild(ChildProcess):
    """A child whose exit is also the end of its log: what it wrote last has been read when `wait` returns."""

    log: ServerLog

    async def wait(self) -> Exit:
        """Wait for the process, then for its pipes."""
        exit_ = await super().wait()
        await self.log.drained()
        return exit_


class LlamaLauncher:
    """Starts llama-server as the settings say. `api_key` reaches it by its environment, which `ps` does not show.

    `started` is called with where a new process will answer, before its first log line is read.
    """

    def __init__(
        self, settings: LiveServer, log: ServerLog, api_key: str | None, started: Callable[[Target], None]
    ) -> None:
        self._settings = settings
        self._log = log
        self._api_key = api_key
        self._started = started
        self._program: list[str] = []

    def configure(self, settings: LiveServer) -> None:
        """Start it with these settings from now on."""
        self._settings = settings

    async def check(self) -> None:
        """Check what can be checked before. Raise `CannotStartError` with what is wrong and what to do."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                self._program = await asyncio.to_thread(check_start, self._settings)
        except TimeoutError:
            raise CannotStartError(
                f"the program and the model file could not be looked at within {CHECK_TIMEOUT:.0f} s: does a mount "
                "hang?",
                retry=True,
            ) from None

    async def spawn(self) -> LoggedChild:
        """Start what was checked. Raise `CannotStartError` when the system refuses."""
        server = self._settings
        env = {**os.environ, **server.env}
        if self._api_key is not None:
            env.setdefault("LLAMA_API_KEY", self._api_key)
        child = await LoggedChild.spawn(command_line(server, self._program), env, server.cwd)
        child.log = self._log
        sleeps = "--sleep-idle-seconds" in server.args or "LLAMA_ARG_SLEEP_IDLE_SECONDS" in env
        self._started(Target(server_url(server), Path(server.cwd or "."), sleeps, time.monotonic()))
        self._log.follow(child.stdout_fd, child.stderr_fd)
        return child
