"""Attached to a server that blips, sleeps, restarts or is two: every token is counted once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.integration.program import Program, exporter
from tests.support import eventually
from tests.upstream import CLOSED, GENERATED, PROMPT, Answer, Build, Upstream, fixture

BLIPS = 10
HEALTH = {"interval": "50ms", "timeout": "200ms", "unresponsive_after": "1s"}
OWN = {PROMPT: "llama_prompt_tokens_total", GENERATED: "llama_generation_tokens_total"}
LOADING = Answer(b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', 503)


@asynccontextmanager
async def attached(upstream: Upstream, folder: Path, **server: Any) -> AsyncIterator[Program]:
    """An exporter that has read the upstream's counters."""
    settings = {"attach": upstream.url, "health": HEALTH, **server}
    async with exporter(server=settings, config={"metrics": {"share_within": "50ms"}}, folder=folder) as it:
        await it.until("ready")
        await answer_again(upstream, "GET /props" if upstream.props.get("is_sleeping") else "GET /metrics")
        yield it


async def answer_again(upstream: Upstream, path: str, times: int = 2) -> None:
    """Wait until it has answered this question so many times more."""
    before = upstream.answered[path]
    await eventually(lambda: upstream.answered[path] >= before + times)


async def counted(it: Program, model: str = "tiny.gguf") -> dict[str, float]:
    samples = await it.metrics()
    return {name: samples.get(f"{own}{{model={model}}}", 0) for name, own in OWN.items()}


async def until_counted(it: Program, wanted: dict[str, int], model: str = "tiny.gguf") -> None:
    """Wait for these totals, none of which may be exceeded on the way."""

    async def equal() -> bool:
        now = await counted(it, model)
        assert all(now[name] <= wanted[name] for name in wanted), f"{now} where {wanted} were made"
        return now == wanted

    await eventually(equal)


async def blip(it: Program, upstream: Upstream, number: int) -> None:
    """Be unwell for a moment, in one of three ways, for as long as the exporter needs to see it."""
    asked = upstream.asked["GET /health"]
    match number % 3:
        case 0:  # stands still: the question is given up, and another one asked
            upstream.answering.clear()
            await eventually(lambda: upstream.asked["GET /health"] >= asked + 3)
            upstream.answering.set()
        case 1:
            upstream.odd["GET /health"] = LOADING
            await eventually(lambda: upstream.asked["GET /health"] > asked)
            del upstream.odd["GET /health"]
        case 2:
            await upstream.hang_up()
            await eventually(lambda: _not_ready(it))
            await upstream.listen()


async def _not_ready(it: Program) -> bool:
    return (await it.get("/-/ready"))[0] != 200


@pytest.mark.parametrize("build", get_args(Build))
async def test_ten_blips_count_nothing_again(build: Build, tmp_path: Path) -> None:
    async with Upstream(build) as upstream:
        upstream.counters = {PROMPT: 5_000, GENERATED: 7_000}
        async with attached(upstream, tmp_path) as it:
            for number in range(BLIPS):
                request = upstream.launch(prompt=11)
                upstream.generate(request, 20)
                await until_counted(it, upstream.made)
                await blip(it, upstream, number)
                upstream.generate(request, 30)
                await it.until("ready")
                await until_counted(it, upstream.made)
                upstream.finish(request)
                upstream.complete(7)
                await until_counted(it, upstream.made)
                await answer_again(upstream, "GET /metrics")
                await until_counted(it, upstream.made)


@pytest.mark.parametrize("build", get_args(Build))
async def test_running_requests_are_not_counted_again_by_an_exporter_that_restarts(
    build: Build, tmp_path: Path
) -> None:
    async with Upstream(build) as upstream:
        upstream.complete(1_000)
        request = upstream.launch()
        upstream.generate(request, 500)
        before = dict(upstream.made)
        for _ in range(2):
            async with attached(upstream, tmp_path) as it:
                await answer_again(upstream, "GET /slots")
                await until_counted(it, {name: made - before[name] for name, made in upstream.made.items()})
                upstream.generate(request, 40)
                await until_counted(it, {name: made - before[name] for name, made in upstream.made.items()})
                assert await it.end() == 0
            before = dict(upstream.made)
        async with attached(upstream, tmp_path) as it:
            await until_counted(it, {PROMPT: 0, GENERATED: 0})
            upstream.generate(request, 60)
            upstream.finish(request)
            upstream.complete(3)
            await until_counted(it, {name: made - before[name] for name, made in upstream.made.items()})


async def test_a_sleeping_server_is_not_woken_and_its_first_request_counts(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        upstream.counters = {PROMPT: 5_000, GENERATED: 7_000}
        upstream.props |= {"is_sleeping": True, "build_info": "b11434-8f4e2c1"}
        async with attached(upstream, tmp_path) as it:
            await answer_again(upstream, "GET /metrics")  # this build sleeps on
            assert upstream.asked["GET /slots"] == 0
            upstream.props["is_sleeping"] = False
            upstream.complete(20)
            await until_counted(it, upstream.made)


@pytest.mark.parametrize("build", ["mid", "new"])
async def test_a_sleeper_that_a_look_at_its_counters_might_wake_is_looked_at_when_it_wakes(
    build: Build, tmp_path: Path
) -> None:
    async with Upstream(build) as upstream:
        upstream.counters = {PROMPT: 5_000, GENERATED: 7_000}
        upstream.props["is_sleeping"] = True
        async with attached(upstream, tmp_path) as it:
            assert (upstream.asked["GET /slots"], upstream.asked["GET /metrics"]) == (0, 0)
            request = upstream.launch(prompt=11)
            upstream.generate(request, 7)
            upstream.props["is_sleeping"] = False
            await answer_again(upstream, "GET /slots")
            upstream.finish(request)
            upstream.complete(20)
            wanted = dict(upstream.made)
            if build == "mid":  # it has counted the prompt by then, and says of no request how long its prompt was
                wanted[PROMPT] -= 11
            await until_counted(it, wanted)


async def test_a_server_that_restarts_between_two_questions_is_counted_from_0_as_what_it_is_now(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        upstream.counters = {PROMPT: 5_000, GENERATED: 7_000}
        async with attached(upstream, tmp_path) as it:
            upstream.complete(100)
            await until_counted(it, upstream.made)
            first = dict(upstream.made)
            upstream.restart()
            upstream.models = fixture("new", "v1-models.json")
            upstream.models["data"][0] |= {"id": "other", "meta": {"n_params": 77, "size": 88, "n_ctx_train": 99}}
            upstream.props |= {"build_info": "b2-later", "model_path": "other.gguf", "model_alias": "other"}
            upstream.complete(30, prompt=3)
            await until_counted(it, {PROMPT: 3, GENERATED: 30}, "other")
            assert await counted(it) == first
            samples = await it.metrics()
            assert samples["llama_model_parameters{model=other}"] == 77
            assert samples["llama_server_info{build=b2-later}{mode=attached}"] == 1
            assert "llama_model_parameters{model=tiny.gguf}" not in samples
            assert f"llamacpp:{GENERATED}{{model=tiny.gguf}}" not in samples


async def test_two_processes_behind_one_address_are_refused(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        other = Upstream()
        upstream.counters, other.counters = {PROMPT: 500, GENERATED: 700}, {PROMPT: 5_000, GENERATED: 7_000}
        other.started += 1_000
        upstream.other = other
        async with exporter(server={"attach": upstream.url, "health": HEALTH}, folder=tmp_path) as it:

            async def refused() -> str | None:
                reason: str | None = (await it.status())["reason"]
                return reason if reason and "processes" in reason else None

            reason = await eventually(refused)
            before = await counted(it)
            assert before[GENERATED] <= 7_700
            asked = upstream.asked["GET /health"]
            while upstream.asked["GET /health"] < asked + 40:
                assert await refused() == reason
                assert await counted(it) == before


async def test_a_key_goes_to_the_router_it_was_meant_for_and_never_to_our_own_ports(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("router-key\n")
    child = Upstream()
    async with Upstream() as ours:
        ours.odd["*"] = CLOSED
        child.port = ours.port
        async with Upstream(host="127.0.0.2", children={"alpha": child}) as router:
            server = {"attach": router.url, "health": HEALTH, "api_key_file": str(tmp_path / "key")}
            async with exporter(server=server, folder=tmp_path) as it:

                async def measured() -> bool:
                    return f"llamacpp:{GENERATED}{{model=alpha}}" in await it.metrics()

                await eventually(measured)
                assert ("GET /metrics", "Bearer router-key") in child.keys
                assert ours.keys == []
