"""From settings to a running process: what the command line is, whether it can work, and its pipes to the log."""

import errno
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from exporter.config import Server
from exporter.logs.server_log import ServerLog
from exporter.supervisor.process import CannotStartError, ChildProcess, Exit

GET_A_BINARY = "install llama.cpp (https://github.com/ggml-org/llama.cpp/releases) or set server.binary to its path"
GET_A_MODEL = "give an existing file, or let llama-server download one: -hf ggml-org/gemma-3-1b-it-GGUF"
MODEL_FLAGS = ("-m", "--model")
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 -- names of it, nothing is bound


def argument(args: Sequence[str], *names: str) -> str | None:
    """The value of the last of these options in an argument list."""
    for index in range(len(args) - 2, -1, -1):
        if args[index] in names:
            return args[index + 1]
    return None


def listening_address(server: Server) -> tuple[str, int]:
    """Where llama-server will listen: `--host` and `--port` among the arguments count more than the settings."""
    port = argument(server.args, "--port") or ""
    return argument(server.args, "--host") or server.host, int(port) if port.isdecimal() else server.port


def base_url(server: Server) -> str:
    """Where llama-server answers, from this machine."""
    if server.attach is not None:
        return server.attach
    host, port = listening_address(server)
    host = ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def command_line(server: Server, program: Sequence[str]) -> list[str]:
    """`program` with the arguments of the settings, and those that metrics need where they are missing."""
    args = list(server.args)
    for flag, opposite in (("--metrics", None), ("--slots", "--no-slots")):
        if flag not in args and opposite not in args:
            args.append(flag)
    for flag, value in (("--host", server.host), ("--port", str(server.port))):
        if flag not in args:
            args += [flag, value]
    return [*program, *args]


def find_program(server: Server, path: str | None) -> list[str]:
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


def check_model(server: Server, env: Mapping[str, str]) -> None:
    """Raise `CannotStartError` when the arguments name a model file that cannot be read."""
    model = argument(server.args, *MODEL_FLAGS) or env.get("LLAMA_ARG_MODEL")
    if not model:
        return
    path = (Path(server.cwd or ".") / model).absolute()
    if not path.is_file():
        raise CannotStartError(f"there is no model file {path}; {GET_A_MODEL}", retry=False)
    if not os.access(path, os.R_OK):
        raise CannotStartError(f"the model file {path} is not readable for this user", retry=False)


class LoggedChild(ChildProcess):
    """A child whose end is its end in the log as well: what it wrote last has been read when `wait` returns."""

    log: ServerLog

    async def wait(self) -> Exit:
        """Wait for the process, then for its pipes."""
        exit_ = await super().wait()
        await self.log.drained()
        return exit_


class Launcher:
    """Starts llama-server as `settings` say. `api_key` reaches it by its environment, which `ps` does not show."""

    def __init__(self, settings: Server, log: ServerLog, api_key: str | None) -> None:
        self.settings = settings
        self._log = log
        self._api_key = api_key

    async def spawn(self) -> LoggedChild:
        """Check what can be checked, then start. Raise `CannotStartError` with what is wrong and what to do."""
        server = self.settings
        env = {**os.environ, **server.env}
        if self._api_key is not None:
            env.setdefault("LLAMA_API_KEY", self._api_key)
        program = find_program(server, env.get("PATH"))
        check_model(server, env)
        host, port = listening_address(server)
        try:
            check_port_free(host, port)
        except PortInUseError as error:
            raise CannotStartError(str(error), retry=True) from None
        except OSError as error:
            raise CannotStartError(f"cannot listen on {host} port {port}: {error}", retry=False) from None
        child = await LoggedChild.spawn(command_line(server, program), env, server.cwd)
        child.log = self._log
        self._log.follow(child.stdout_fd, child.stderr_fd)
        return child


class PortInUseError(Exception):
    """Another process listens on the address. `pid` and `name` are None when the system does not tell us."""

    def __init__(self, host: str, port: int, pid: int | None, name: str | None) -> None:
        self.pid = pid
        self.name = name
        owner = f"process {pid} ({name})" if pid else "a process that this user may not see"
        super().__init__(
            f"port {port} on {host} is in use by {owner}; stop it, choose another server.port, "
            f"or watch it with server.attach: http://{host}:{port}"
        )


def check_port_free(host: str, port: int) -> None:
    """Bind and let go. Raise `PortInUseError` when taken, `OSError` when the address is not ours to listen on."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, proto) as probe:
        # As llama-server does: the TIME_WAIT of its predecessor is no conflict.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            # A second socket may bind with SO_REUSEADDR on some systems, but only one can listen.
            probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUseError(host, port, *port_owner(port)) from None


def port_owner(port: int) -> tuple[int | None, str | None]:
    """PID and name of the process that listens on `port`, as far as this user may see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return connection.pid, psutil.Process(connection.pid).name()
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return None, None
    return None, None
