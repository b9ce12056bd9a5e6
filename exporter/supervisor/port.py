"""Is llama-server's port free, and who has it if not."""

import errno
import socket

import psutil


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
