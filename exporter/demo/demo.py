"""The demo: a whole exporter over the embedded llama-server with a tiny model and a little traffic."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from exporter.app import App
from exporter.config import ConfigSource
from exporter.demo import embedded
from exporter.demo.model import write_tiny_model
from exporter.demo.traffic import play
from exporter.supervisor.command import server_url
from exporter.supervisor.pids import PortInUseError, check_port_free

PAUSE = 5.0
"""Seconds between two rounds of traffic: enough to see idle and busy."""


def run_demo(flags: Mapping[str, object]) -> int:
    """Run until Ctrl-C. The model lives in a temporary folder that goes with the demo."""
    with tempfile.TemporaryDirectory(prefix="llama-exporter-demo-") as folder:
        model = write_tiny_model(Path(folder) / "tiny.gguf")
        demo = {
            "server.command": [sys.executable, "-m", embedded.__name__],
            "server.args": ["-m", str(model), "--alias", "tiny"],
            "server.port": pick_port("127.0.0.1", 8080),
            "server.stop_timeout": "5s",
        }

        settings = ConfigSource(None, os.environ, {**demo, **flags})
        config = settings().config
        server = server_url(config.live.server)
        exporter = f"http://{config.start.web.listen_address}"
        say(f"llama-server  {server}  (the real one, inside Python, with a tiny random model: it talks gibberish)")
        say(f"the page      {exporter}/")
        say(f"metrics       {exporter}/metrics")
        say("Ctrl-C ends it all. The log follows, one JSON object a line:")
        app = App(settings)
        try:
            return asyncio.run(_run(app, server))
        finally:
            app.close()


async def _run(app: App, server: str) -> int:
    traffic = asyncio.create_task(play(server, rounds=None, pause=PAUSE))
    try:
        return await app.run()
    finally:
        traffic.cancel()


def pick_port(host: str, wanted: int) -> int:
    """`wanted`, or a free port when another process has it, which is said."""
    try:
        check_port_free(host, wanted)
    except PortInUseError as error:
        with socket.socket() as probe:
            probe.bind((host, 0))
            free: int = probe.getsockname()[1]
        owner = f" by process {error.pid} ({error.name})" if error.pid else ""
        say(f"port {wanted} is in use{owner}: llama-server gets {free} instead")
        return free
    return wanted


def say(text: str) -> None:
    """Tell the person at the terminal: on stderr, since stdout holds JSON lines only."""
    sys.stderr.write(f"{text}\n")
