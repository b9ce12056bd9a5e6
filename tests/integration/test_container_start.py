"""The container of docker-compose.yml as it starts: its own entrypoint, its own command, its own environment."""

import asyncio
import os
import re
import shutil
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.deploy import ROOT, SERVICES, mounts
from tests.integration.program import Program
from tests.support import FAKE, eventually, free_port

SERVICE = SERVICES["exporter"]
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
(STATE,) = [target for target, volume in mounts(SERVICE).items() if volume == "exporter-state"]


@asynccontextmanager
async def container(folder: Path) -> AsyncIterator[Program]:
    """What Compose starts, with `folder` as the volume of what the exporter keeps and the fake as llama-server."""
    port, server_port = free_port(), free_port()
    script, *words = [word.replace(STATE, str(folder)) for word in (*SERVICE["entrypoint"], *SERVICE["command"])]
    program = words.index("llama-exporter")
    words[program : program + 1] = [sys.executable, "-m", "exporter"]
    given = {
        name: DEFAULT.sub(r"\1", str(value)).replace(STATE, str(folder))
        for name, value in SERVICE["environment"].items()
        if name.startswith("LLAMA_EXPORTER_WEB__")
    }
    binary = folder.parent / "llama-server"
    binary.write_text(f'#!/bin/sh\nexec {FAKE[0]} {FAKE[1]} "$@"\n')
    binary.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "deploy" / script),
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={
            **os.environ,
            **given,
            "LLAMA_EXPORTER_SERVER__BINARY": str(binary),
            "LLAMA_EXPORTER_SERVER__PORT": str(server_port),
            "LLAMA_EXPORTER_WEB__LISTEN_ADDRESS": f"127.0.0.1:{port}",
        },
    )
    it = Program(process, port, server_port)
    try:
        await eventually(lambda: any("serving on" in line["message"] for line in it.lines))
        yield it
    finally:
        await it.dispose()


async def post(it: Program, path: str, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with it.session.post(f"{it.url}{path}", headers=headers) as answer:
        return answer.status


async def test_the_first_start_makes_a_token_that_orders_need_and_later_starts_keep_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    file = folder / "control.token"
    async with container(folder) as it:
        token = file.read_text().strip()
        assert len(token) >= 32
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        await it.until("ready")
        assert await post(it, "/api/v1/server/stop", None) == 401, "also on loopback: a token is set"
        assert await post(it, "/api/v1/server/stop", token) == 202
        await it.until("stopped")
        assert token.encode() not in b"".join(it.raw)
    async with container(folder) as it:
        assert file.read_text().strip() == token
        await it.until("ready")
    shutil.rmtree(folder)
    folder.mkdir()
    async with container(folder) as it:
        assert file.read_text().strip() != token, "every installation has its own"
        await it.until("ready")


async def test_what_the_page_saves_is_there_after_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with container(folder) as it:
        bearer = {"Authorization": f"Bearer {(folder / 'control.token').read_text().strip()}"}
        change = aiohttp.JsonPayload({"args": ["--say", "kept"]})
        async with it.session.put(f"{it.url}/api/v1/config/server", data=change, headers=bearer) as answer:
            assert answer.status == 200, await answer.text()
    async with container(folder) as it, it.session.get(f"{it.url}/api/v1/config") as answer:
        setting = (await answer.json())["settings"]["server.args"]
        assert (setting["value"], setting["origin"]) == (["--say", "kept"], "file")
