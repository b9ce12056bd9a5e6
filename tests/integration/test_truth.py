"""Our numbers against what the API told its clients, on real servers, in the hard cases."""

import asyncio
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import executables
from tests.integration.program import Program, exporter
from tests.support import eventually

WINDOW = 30
WARM_UP = 5
"""Seconds in which the speed falls so fast, as the context grows, that the moment of a measurement matters."""
MADE = re.compile(rb'"predicted_n":(\d+)[^\n]*\n')
COMPARISONS = 15
PARTS = ("llama_prompt_tokens_total", "llama_prompt_tokens_cached_total", "llama_generation_tokens_total")


def settings(model: Path, *more: str) -> dict[str, Any]:
    return {"args": ["-m", str(model), "-c", "8192", "-np", "4", "--alias", "tiny", *more]}


async def counts(it: Program) -> tuple[float, ...]:
    samples = await it.metrics()
    return tuple(samples.get(f"{name}{{model=tiny}}", -1) for name in PARTS)


async def until_counts(it: Program, *wanted: float) -> None:
    async def equal() -> bool:
        return await counts(it) == wanted

    await eventually(equal)


def sums(answers: list[dict[str, Any]]) -> tuple[float, ...]:
    timings = [answer["timings"] for answer in answers]
    return tuple(sum(timing[name] for timing in timings) for name in ("prompt_n", "cache_n", "predicted_n"))


async def chat(it: Program, text: str, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], **more}
    async with it.session.post(f"{it.server}/v1/chat/completions", json=body) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def stream(it: Program, tokens: int) -> dict[str, Any]:
    """A streamed completion: the last event has the timings."""
    last: dict[str, Any] = {}
    body = {"prompt": "stream this", "n_predict": tokens, "ignore_eos": True, "stream": True}
    async with it.session.post(f"{it.server}/completion", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data:"):
                last = json.loads(line[5:])
    return last


async def test_any_mix_of_requests_adds_up_to_the_token(real: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    async with exporter(command=real, server=settings(model), folder=tmp_path) as it:
        await it.until("ready")
        work = [
            *(it.complete(10 + n, f"prompt number {n} ") for n in range(8)),
            *(chat(it, f"question {n}", max_tokens=5 + n, ignore_eos=True) for n in range(4)),
            *(stream(it, 30 + n) for n in range(4)),
            *(it.complete(400, "until a word", stop=["e", "a", " "]) for _ in range(3)),
            it.complete(3000, "fill the context of the slot ", cache_prompt=False),
        ]
        answers = await asyncio.gather(*work)
        answers += [await it.complete(5, "prompt number 1 "), await it.complete(0, "no token")]
        async with it.session.post(f"{it.server}/completion", json={"prompt": "x " * 9000}) as response:
            assert response.status == 400  # longer than a slot's context
        for answer in answers:
            if usage := answer.get("usage"):
                assert usage["completion_tokens"] == answer["timings"]["predicted_n"]
        await until_counts(it, *sums(answers))
        outcomes = {"failed": 1, "truncated": 1, "completed": len(answers) - 1}

        async def told() -> bool:
            samples = await it.metrics()
            return all(samples[f"llama_requests_total{{model=tiny}}{{outcome={o}}}"] == n for o, n in outcomes.items())

        await eventually(told)


@pytest.mark.parametrize("executable", executables(), ids=["llama-server"])
@pytest.mark.parametrize("silent", [["--log-disable"], ["--log-verbosity", "0"]], ids=["log-disable", "low verbosity"])
async def test_a_log_that_says_nothing_is_replaced_and_that_is_said_once(
    long_model: Path, tmp_path: Path, executable: tuple[str, ...], silent: list[str]
) -> None:
    options = {"args": ["-m", str(long_model), "-c", "200000", "-np", "2", "--alias", "tiny", *silent]}
    async with exporter(command=executable, server=options, folder=tmp_path) as it:
        await it.until("ready")
        answers = [await it.complete(10), await it.complete(20)]
        await until_counts(it, *sums(answers))
        answers += [await it.complete(30)]
        await until_counts(it, *sums(answers))
        assert not any(name.startswith("llama_requests_total") for name in await it.metrics())
        body = {"prompt": "on and on", "n_predict": 100_000, "ignore_eos": True, "stream": True}
        async with it.session.post(f"{it.server}/completion", json=body) as response:
            before = sums(answers)[2]
            await eventually(lambda: running_shows(it, before), within=5)
            response.close()
        await it.end()
        said = [line for line in it.lines if "log says nothing of the requests" in line["message"]]
        assert [line["level"] for line in said] == ["warn"]


async def running_shows(it: Program, before: float) -> bool:
    samples = await it.metrics()
    return (
        samples["llama_generation_tokens_total{model=tiny}"] > before
        and samples["llama_requests_running{model=tiny}"] == 1
    )


@pytest.mark.parametrize("executable", executables(), ids=["llama-server"])
async def test_drafted_tokens_are_those_of_the_api(model: Path, tmp_path: Path, executable: tuple[str, ...]) -> None:
    options = settings(model, "-md", str(model), "--spec-type", "draft-simple")
    async with exporter(command=executable, server=options, folder=tmp_path) as it:
        await it.until("ready")
        answers = [await it.complete(count, temperature=0) for count in (50, 7, 120)]
        drafted = sum(answer["timings"].get("draft_n", 0) for answer in answers)
        accepted = sum(answer["timings"].get("draft_n_accepted", 0) for answer in answers)
        assert drafted > 0

        async def equal() -> bool:
            samples = await it.metrics()
            return (
                samples.get("llama_draft_tokens_total{model=tiny}"),
                samples.get("llama_draft_tokens_accepted_total{model=tiny}"),
            ) == (drafted, accepted)

        await eventually(equal)
        await until_counts(it, *sums(answers))


async def test_the_rate_is_what_a_client_measures(real: tuple[str, ...], slow_model: Path, tmp_path: Path) -> None:
    """Two generations at once for half a minute: tokens over wall time, as the API tells them while they run."""
    options = {"args": ["-m", str(slow_model), "-c", "131072", "-np", "2", "--alias", "tiny"]}
    window = {"metrics": {"rate_window": f"{WINDOW}s"}}
    async with exporter(command=real, server=options, config=window, folder=tmp_path) as it:
        await it.until("ready")
        made = [0, 0]

        async def generate(number: int) -> None:
            """Read so cheaply that a busy machine does not make it lag behind the server."""
            body = {"prompt": "go", "n_predict": 60_000, "ignore_eos": True, "stream": True, "timings_per_token": True}
            async with it.session.post(f"{it.server}/completion", json=body) as response:
                rest = b""
                async for piece in response.content.iter_any():
                    rest += piece
                    if told := MADE.findall(rest):
                        made[number] = int(told[-1])
                        rest = rest[rest.rindex(b"\n") + 1 :]

        clients = [asyncio.create_task(generate(number)) for number in range(2)]
        try:
            await eventually(lambda: min(made) > 100)
            marks: list[tuple[float, int]] = []
            errors: list[float] = []
            while len(errors) < COMPARISONS:
                samples = await it.metrics()
                now = time.monotonic()
                marks.append((now, sum(made)))
                if now - marks[0][0] > WINDOW + WARM_UP:
                    then, before = min(marks, key=lambda mark: abs(now - mark[0] - WINDOW))
                    truth = (sum(made) - before) / (now - then)
                    errors.append(samples["llama_tokens_per_second{model=tiny}{phase=generation}"] / truth - 1)
                await asyncio.sleep(0.25)  # the interval of the measurement
            assert not any(client.done() for client in clients)
        finally:
            for client in clients:
                client.cancel()
        # Single ones differ by as much as the speed changes between the moments of the two measurements.
        assert abs(statistics.median(errors)) < 0.02, errors


async def test_slots_and_context_of_running_requests(real: tuple[str, ...], long_model: Path, tmp_path: Path) -> None:
    options = {"args": ["-m", str(long_model), "-c", "400000", "-np", "4", "--alias", "tiny"]}
    async with exporter(command=real, server=options, folder=tmp_path) as it:
        await it.until("ready")
        body = {"prompt": "fill it up " * 20, "n_predict": 100_000, "ignore_eos": True, "stream": True}
        async with it.session.post(f"{it.server}/completion", json=body) as response:

            async def shows() -> dict[str, float] | None:
                samples = await it.metrics()
                used = {n: samples[f"llama_slot_used_tokens{{model=tiny}}{{slot={n}}}"] for n in range(4)}
                busy = [n for n in range(4) if samples[f"llama_slot_processing{{model=tiny}}{{slot={n}}}"]]
                if len(busy) != 1 or used[busy[0]] < 100:
                    return None
                assert [n for n in used if used[n]] == busy
                ratio = samples["llama_context_usage_ratio{model=tiny}"]
                assert ratio == pytest.approx(used[busy[0]] / samples["llama_model_context_tokens{model=tiny}"])
                return samples

            await eventually(shows)
            response.close()

        async def empty() -> bool:
            return (await it.metrics())["llama_context_usage_ratio{model=tiny}"] == 0

        await eventually(empty)
        page = (await it.get("/metrics"))[1]
        assert "fill it up" not in page
        assert "fill it up" not in b"".join(it.raw).decode()
