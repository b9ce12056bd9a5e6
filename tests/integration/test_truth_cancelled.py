"""Requests whose clients go away: what they made is counted to the token, as the server itself does."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.program import Program, exporter
from tests.support import eventually

CLIENTS = 40
COUNTERS = {
    "llama_prompt_tokens_total": "prompt_tokens_total",
    "llama_prompt_tokens_cached_total": "prompt_tokens_cached_total",
    "llama_generation_tokens_total": "tokens_predicted_total",
}


async def leave_after(it: Program, number: int, seconds: float) -> int:
    """Stream a completion and go away so long after its first token; gives the tokens that came."""
    body = {"prompt": f"client {number} ", "n_predict": 50_000, "ignore_eos": True, "stream": True}
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for line in response.content:
            if line.startswith(b"data:"):
                seen += len(json.loads(line[5:])["tokens"])

    async with it.session.post(f"{it.server}/completion", json=body | {"return_tokens": True}) as response:
        await response.content.readline()
        try:
            async with asyncio.timeout(seconds):
                await read()
        except TimeoutError:
            response.close()
    return seen


async def native(it: Program) -> dict[str, float]:
    """The server's own counters, requested from it directly."""
    async with it.session.get(f"{it.server}/metrics") as response:
        page = await response.text()
    return {name: float(value) for name, value in re.findall(r"(?m)^llamacpp:(\w+) (\S+)$", page)}


async def idle(it: Program) -> bool:
    return (await native(it))["requests_processing"] == 0


@pytest.mark.parametrize("seconds", [0.02, 0.1])
async def test_cancelled_requests_count_as_the_server_counts_them(
    real: tuple[str, ...], long_model: Path, tmp_path: Path, seconds: float
) -> None:
    args = ["-m", str(long_model), "-c", "65536", "-np", "4", "--alias", "tiny"]
    async with exporter(command=real, server={"args": args}, folder=tmp_path) as it:
        await it.until("ready")
        whole: dict[str, Any] = await it.complete(30)
        seen = await asyncio.gather(*(leave_after(it, number, seconds) for number in range(CLIENTS)))
        await eventually(lambda: idle(it))
        truth = await native(it)

        async def counted() -> bool:
            samples = await it.metrics()
            own = {name: samples[f"{name}{{model=tiny}}"] for name in COUNTERS}
            if COUNTERS["llama_prompt_tokens_cached_total"] not in truth:  # an older build: a lower bound
                return all(own[name] >= truth.get(theirs, 0) for name, theirs in COUNTERS.items())
            return own == {name: truth[theirs] for name, theirs in COUNTERS.items()}

        await eventually(counted)
        samples = await it.metrics()
        assert samples["llama_generation_tokens_total{model=tiny}"] >= sum(seen) + whole["timings"]["predicted_n"]
        assert samples["llama_requests_total{model=tiny}{outcome=cancelled}"] == CLIENTS
        assert samples["llama_requests_running{model=tiny}"] == 0
