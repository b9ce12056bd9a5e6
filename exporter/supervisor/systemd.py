"""Tell systemd that we are ready, alive, and stopping, and how llama-server is (sd_notify(3)), when it asks."""

import asyncio
import os
import socket
from collections.abc import Mapping

from loguru import logger

from exporter.supervisor.states import Snapshot


class Notifier:
    """Sends state lines to the socket that `NOTIFY_SOCKET` names."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_interval = int(usec) / 2e6 if usec.isdecimal() and int(usec) else None
        """Seconds between two signs of life: half of what systemd allows. None when it wants none."""

    def send(self, state: str) -> None:
        """Send `READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=...`; nothing where systemd does not ask."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(address)
                sender.send(state.encode())
        except OSError as error:
            logger.debug("systemd is not listening: {}", error)

    def show(self, snapshot: Snapshot) -> None:
        """Tell the state of llama-server and the reason for it, for `systemctl status`."""
        said = f"llama-server is {snapshot.state}" + (f": {snapshot.reason}" if snapshot.reason else "")
        self.send("STATUS=" + " ".join(said.split()))  # a newline would begin another assignment


async def stay_alive(notifier: Notifier) -> None:
    """Give systemd's watchdog its signs of life from the event loop, so that a loop that hangs is seen."""
    if notifier.watchdog_interval is None:
        await asyncio.Event().wait()
        return
    while True:
        notifier.send("WATCHDOG=1")
        await asyncio.sleep(notifier.watchdog_interval)
