"""Who listens on a port, and which processes are llama-server's."""

import errno
import socket
import time
from collections.abc import Callable

import psutil

from exporter.llama.processes import Processes


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


PAUSE = 5.0
"""Seconds between two walks over the host's processes while a child is missing."""


class RouterChildren:
    """The PIDs of a router's children, which it starts with their port among their arguments.

    Finds each child once in its life: a walk over all processes is dear, to ask a known one is not.
    """

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}
        self._missing: frozenset[int] = frozenset()
        self._walked_at = float("-inf")

    def by_port(self, router: int, ports: frozenset[int]) -> dict[int, int]:
        """Return PID by port, for those of `ports` whose process is there."""
        self._known = {port: process for port, process in self._known.items() if port in ports and process.is_running()}
        missing = ports.difference(self._known)
        now = time.monotonic()
        if missing and (missing - self._missing or now - self._walked_at >= PAUSE):
            self._walked_at = now
            self._find(router, missing)
        self._missing = missing
        return {port: process.pid for port, process in self._known.items()}

    def _find(self, router: int, missing: frozenset[int]) -> None:
        try:
            children = psutil.Process(router).children()
        except psutil.Error:
            return
        for child in children:
            try:
                arguments = child.cmdline()
            except psutil.Error:
                continue  # it has just ended
            value = arguments[arguments.index("--port") + 1] if "--port" in arguments[:-1] else ""
            if value.isdecimal() and int(value) in missing:
                self._known[int(value)] = child


class ProcessTable:
    """Knows the processes of the server that we started; `pid` gives the server's own."""

    def __init__(self, pid: Callable[[], int | None], processes: Processes) -> None:
        self._pid = pid
        self._processes = processes
        self._children = RouterChildren()

    def by_model(self) -> dict[str, int]:
        """Return PIDs by model; "" is a router, or a server whose model is not known yet."""
        pid = self._pid()
        if pid is None:
            return {}
        facts = self._processes.facts
        pids = {facts.model if facts else "": pid}
        ports = {process.child: model for model, process in self._processes.by_model.items() if process.child}
        if ports:
            pids |= {ports[port]: child for port, child in self._children.by_port(pid, frozenset(ports)).items()}
        return pids
