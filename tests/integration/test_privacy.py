"""A secret prompt, answer and key at a server that prints all it can: what comes out of which door."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.program import Program, exporter
from tests.support import eventually

PROMPT = "Quetzalcoatlus"
ANSWER = "Xylophagidae"
KEY = "sk-Yponomeutidae"
HEADERS = {"Authorization": f"Bearer {KEY}"}
DOORS = ("/metrics", "/", "/api/v1/status", "/api/v1/config", "/-/ready")
LOGS = "/api/v1/logs"
SAY = {"grammar": f'root ::= "{ANSWER}"'}
MESSAGES = [{"role": "user", "content": PROMPT}]
TOOL = {"type": "function", "function": {"name": PROMPT, "parameters": {"type": "object", "properties": {PROMPT: {}}}}}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/completion", {"prompt": PROMPT, **SAY}),
    ("/completion", {"prompt": PROMPT, "stream": True, **SAY}),
    ("/completion", {"prompt": "x", "n_predict": 40, "json_schema": {"const": ANSWER}}),
    ("/completion", {"prompt": "x", "grammar": f'root ::= "{PROMPT}'}),  # no grammar
    ("/v1/chat/completions", {"messages": MESSAGES, **SAY}),
    ("/v1/chat/completions", {"messages": MESSAGES, "stream": True, **SAY}),
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 4, "tools": [TOOL]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"text": PROMPT}]}]}),  # no chat
    ("/v1/responses", {"input": PROMPT, "max_output_tokens": 4}),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 4}),
    ("/infill", {"input_prefix": PROMPT, "input_suffix": PROMPT, "n_predict": 4}),
    ("/tokenize", {"content": PROMPT}),
    ("/v1/embeddings", {"input": PROMPT}),
)


async def talk(it: Program) -> None:
    """Say the secret in every way that there is."""
    for path, body in REQUESTS:
        await post(it, path, HEADERS, json=body)
    await post(it, "/completion", HEADERS, data=f'{{"prompt": "{PROMPT}')
    await post(it, "/completion", {"Authorization": f"Bearer not-{KEY}"}, json={"prompt": PROMPT})
    body = {"prompt": PROMPT, "n_predict": 100_000, "ignore_eos": True, "stream": True}
    async with it.session.post(f"{it.server}/completion", json=body, headers=HEADERS) as response:
        await response.content.readany()
        response.close()


async def post(it: Program, path: str, headers: dict[str, str], **body: Any) -> None:
    try:
        async with it.session.post(f"{it.server}{path}", headers=headers, **body) as response:
            await response.read()
    except aiohttp.ClientConnectionError:  # it refuses a path at once and hangs up while the body is sent
        return


async def listen(it: Program, heard: bytearray) -> None:
    """As a browser does: again when it was too slow and is cut off."""
    while it.process.returncode is None:
        with suppress(aiohttp.ClientError):
            async with it.session.get(f"{it.url}/api/v1/events") as response:
                async for piece in response.content.iter_any():
                    heard += piece


async def all_logs(it: Program) -> str:
    """Every page of the search, the newest first."""
    pages, before = [], ""
    while True:
        status, page = await it.get(f"{LOGS}?limit=1000{before}")
        assert status == 200
        pages.append(page)
        if not (records := json.loads(page)["records"]):
            return "".join(pages)
        before = f"&before={records[-1]['id']}"


async def said(server: list[str], *, prompts: bool, folder: Path, command: tuple[str, ...]) -> dict[str, str]:
    """What each door gives out when the secrets have been said."""
    (folder / "key").write_text(f"{KEY}\n")
    settings = {"args": [*server, "--api-key", KEY], "api_key_file": str(folder / "key")}
    logs = {"level": "debug", "prompts": prompts, "tail_lines": 1_000_000}
    async with exporter(command=command, server=settings, config={"logs": logs}, folder=folder) as it:
        await it.until("ready")
        heard = bytearray()
        listener = asyncio.create_task(listen(it, heard))
        await eventually(lambda: heard)
        await talk(it)
        # The last request was cancelled, or had filled the context before.
        ended = ("cancelled", "truncated")
        await eventually(lambda: any(line["outcome"] in ended for line in it.events("request_finished")))
        wanted = PROMPT.encode() if prompts else b"event: log"

        async def told() -> bool:
            """In a flood the events pass records over: ask for some that come alone."""
            await post(it, "/completion", HEADERS, json={"prompt": PROMPT, "n_predict": 1})
            return wanted in heard

        await eventually(told)
        answers = {door: await it.get(door) for door in DOORS}
        assert {status for status, _ in answers.values()} == {200}
        doors = {door: text for door, (_, text) in answers.items()} | {LOGS: await all_logs(it)}
        await it.end()
        await listener
        return {**doors, "events": heard.decode(), "stdout": b"".join(it.raw).decode()}


@pytest.mark.parametrize("verbosity", [["-lv", "5"], ["-lv", "3"]], ids=["verbose", "usual"])
async def test_no_secret_comes_out_of_any_door(
    real: tuple[str, ...], verbosity: list[str], model: Path, tmp_path: Path
) -> None:
    server = ["-m", str(model), "--alias", "tiny", "-c", "4096", "-np", "1", *verbosity]
    doors = await said(server, prompts=False, folder=tmp_path, command=real)
    assert "Invalid API Key" in doors["stdout"]
    assert {door: secret for door, text in doors.items() for secret in (PROMPT, ANSWER, KEY) if secret in text} == {}


async def test_those_who_want_prompts_get_them_and_no_keys(real: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    server = ["-m", str(model), "--alias", "tiny", "-c", "4096", "-np", "1", "-lv", "5"]
    doors = await said(server, prompts=True, folder=tmp_path, command=real)
    assert {door for door, text in doors.items() if PROMPT in text} >= {"stdout", "events", LOGS}
    assert ANSWER in doors["stdout"]
    assert {door for door, text in doors.items() if KEY in text} == set()
