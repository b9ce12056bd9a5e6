"""The main job on a real llama-server: run it, scrape it, use it, kill it, stop it."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.integration.program import Program, exporter
from tests.support import alive, eventually

KEYS = ["time", "level", "source", "model", "component", "function", "slot", "task", "event", "message"]


def args(model: Path) -> dict[str, list[str]]:
    return {"args": ["-m", str(model), "-c", "8192", "-np", "4", "--alias", "tiny"]}


def tokens(samples: dict[str, float]) -> tuple[float, float]:
    return (
        samples["llama_prompt_tokens_total{model=tiny}"],
        samples["llama_generation_tokens_total{model=tiny}"],
    )


async def test_it_runs_and_is_measured(real: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        status = await it.until("ready")
        assert status["url"] == it.server
        samples = await eventually(it.metrics)
        assert samples["llama_server_up"] == 1
        assert samples["llama_server_state{state=ready}"] == 1
        assert sum(value for name, value in samples.items() if name.startswith("llama_server_state{")) == 1
        assert samples["llamacpp:n_decode_total{model=tiny}"] >= 0
        assert samples["llama_server_process_resident_memory_bytes{model=tiny}"] > 1e6
        assert samples["llama_host_memory_total_bytes"] > 1e8
        assert samples["llama_model_context_tokens{model=tiny}"] == 8192
        assert samples["llama_model_slots{model=tiny}"] == 4
        assert [name for name, value in samples.items() if "collector_success" in name and value != 1] == []
        assert (await it.get("/-/ready"))[0] == 200
        assert (await it.get("/-/healthy"))[0] == 200
        assert await it.end() == 0
        for line in it.lines:
            assert list(line)[:3] == KEYS[:3]
            known = [key for key in line if key in KEYS]
            assert known == sorted(known, key=KEYS.index)
            assert "message" in line
        assert {line["source"] for line in it.lines} == {"llama-server", "exporter"}
        assert it.stderr == b""


async def test_tokens_are_what_the_api_told_its_clients(real: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        await it.until("ready")
        answers = [await it.complete(count, "a b c " * count) for count in (1, 7, 64)]
        answers += await asyncio.gather(*(it.complete(50 + n, f"{n} many at once") for n in range(6)))
        answers += [await it.complete(5, "a b c " * 64)]  # found in the cache
        prompt = sum(answer["timings"]["prompt_n"] for answer in answers)
        generated = sum(answer["timings"]["predicted_n"] for answer in answers)

        async def equal() -> bool:
            return tokens(await it.metrics()) == (prompt, generated)

        await eventually(equal)
        finished = await it.told("request_finished", 10)
        assert sum(line["generation_tokens"] for line in finished) == generated
        assert sum(line["prompt_tokens"] for line in finished) == prompt
        assert sum(line["cached_tokens"] for line in finished) == sum(
            answer["timings"]["cache_n"] for answer in answers
        )
        assert {line["outcome"] for line in finished} == {"completed"}
        assert {line["model"] for line in finished} == {"tiny"}
        samples = await it.metrics()
        seconds = sum(answer["timings"]["prompt_ms"] + answer["timings"]["predicted_ms"] for answer in answers) / 1e3
        assert samples["llama_request_duration_seconds_count{model=tiny}"] == 10
        # The log prints hundredths of a millisecond, twice a request.
        assert samples["llama_request_duration_seconds_sum{model=tiny}"] == pytest.approx(seconds, abs=10 * 2 * 6e-6)
        assert samples["llama_request_generation_tokens_sum{model=tiny}"] == generated
        assert samples["llama_time_to_first_token_seconds_bucket{le=+Inf}{model=tiny}"] == 10
        assert samples["llama_requests_total{model=tiny}{outcome=completed}"] == 10
        assert samples["llama_requests_total{model=tiny}{outcome=cancelled}"] == 0
        assert (samples["llama_requests_running{model=tiny}"], samples["llama_requests_waiting{model=tiny}"]) == (0, 0)
        cached = sum(answer["timings"]["cache_n"] for answer in answers)
        assert samples["llama_prompt_tokens_cached_total{model=tiny}"] == cached
        assert samples["llama_request_prompt_tokens_sum{model=tiny}"] == prompt + cached


async def test_a_running_generation_shows_and_a_cancelled_one_stays(
    real: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        await it.until("ready")
        body = {"prompt": "on and on", "n_predict": 100_000, "ignore_eos": True, "stream": True}
        async with it.session.post(f"{it.server}/completion", json=body) as response:
            assert response.status == 200

            async def shows() -> bool:
                samples = await it.metrics()
                speed = samples["llama_tokens_per_second{model=tiny}{phase=generation}"]
                return tokens(samples)[1] > 0 and speed > 0

            await eventually(shows, within=5)
            response.close()
        finished = await it.told("request_finished")
        assert finished[0]["outcome"] in ("cancelled", "truncated")
        cancelled = tokens(await it.metrics())[1]
        assert cancelled > 0
        answer = await it.complete(8)

        async def added() -> bool:
            return tokens(await it.metrics())[1] == cancelled + int(answer["timings"]["predicted_n"])

        await eventually(added)


async def test_killed_it_comes_back_and_totals_stay(real: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        first = await it.until("ready")
        await it.complete(20)
        before = await eventually(lambda: total_of(it, 20))
        assert before == 20
        os.kill(first["pid"], signal.SIGKILL)

        async def replaced() -> bool:
            status = await it.status()
            return bool(status["state"] == "ready" and status["pid"] != first["pid"])

        await eventually(replaced)
        samples = await eventually(it.metrics)
        assert samples["llama_server_restarts_total{reason=crash}"] == 1
        assert samples["llama_server_exits_total{code=SIGKILL}"] == 1
        await it.complete(5)
        assert await eventually(lambda: total_of(it, 25)) == 25
        status = await it.status()
        assert status["last_exit"]["signal"] == "SIGKILL"
        assert any("server is" in line or "listening" in line for line in status["last_exit"]["last_lines"])
        await it.end()
        assert len(it.events("server_exited")) == 2
        assert len(it.events("server_ready")) == 2


async def test_embeddings_are_completed_requests_with_prompt_tokens(
    real: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    settings = {"args": ["-m", str(model), "--alias", "tiny", "--embedding", "--pooling", "mean", "-c", "2048"]}
    async with exporter(command=real, server=settings, folder=tmp_path) as it:
        await it.until("ready")
        async with it.session.post(f"{it.server}/v1/embeddings", json={"input": "hello world"}) as response:
            usage = (await response.json())["usage"]

        async def counted() -> bool:
            return tokens(await it.metrics()) == (usage["prompt_tokens"], 0)

        await eventually(counted)
        (finished,) = await it.told("request_finished")
        assert (finished["outcome"], finished["prompt_tokens"]) == ("completed", usage["prompt_tokens"])


async def total_of(it: Program, expected: float) -> float | None:
    total = (await it.metrics()).get("llama_generation_tokens_total{model=tiny}")
    return total if total == expected else None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_as_asked_and_nothing_stays(
    real: tuple[str, ...], model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        pid = (await it.until("ready"))["pid"]
        assert await it.end(number) == 0
        assert not alive(pid)
        assert it.events("server_exited")[0]["code"] == 0


async def test_nothing_stays_when_the_exporter_itself_is_killed(
    real: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        pid = (await it.until("ready"))["pid"]
        assert await it.end(signal.SIGKILL) == -signal.SIGKILL
        await eventually(lambda: not alive(pid), within=5)


async def test_when_it_is_down_its_series_are_gone_and_the_host_stays(
    real: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    settings = {**args(model), "restart": {"policy": "never"}}
    async with exporter(command=real, server=settings, folder=tmp_path) as it:
        pid = (await it.until("ready"))["pid"]
        await eventually(it.metrics)
        os.kill(pid, signal.SIGKILL)
        status = await it.until("failed")
        assert "SIGKILL" in status["reason"]
        samples = await it.metrics()
        assert samples["llama_server_up"] == 0
        assert samples["llama_server_state{state=failed}"] == 1
        gone = ("llamacpp:", "llama_server_process_", "llama_tokens_per_second", "llama_model_", "llama_server_info")
        left = {name for name in samples if name.startswith(gone)}
        assert left == {f"llama_model_loads_total{{model=tiny}}{{result={how}}}" for how in ("loaded", "failed")}
        assert samples["llama_host_cpus"] >= 1
        assert (await it.get("/-/ready"))[0] == 503
        assert (await it.get("/-/healthy"))[0] == 200


async def test_attached_it_measures_a_server_that_it_does_not_own(
    real: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with exporter(command=real, server=args(model), folder=one) as owner:
        await owner.until("ready")
        async with exporter(server={"attach": owner.server}, folder=other) as it:
            status = await it.until("ready")
            assert (status["pid"], status["restarts"]["crash"]) == (None, 0)
            await eventually(it.metrics)

            async def live() -> bool:
                return "llama_generation_tokens_total{model=tiny}" in await it.metrics()

            await eventually(live)
            answers = [await owner.complete(count) for count in (10, 30)]
            generated = sum(answer["timings"]["predicted_n"] for answer in answers)
            assert await eventually(lambda: total_of(it, generated)) == generated

            async def counted() -> bool:
                return bool((await it.metrics())["llamacpp:tokens_predicted_total{model=tiny}"] == generated)

            await eventually(counted)  # /slots may have told of the last tokens before
            samples = await it.metrics()
            assert any(name.startswith("llama_server_info") and "{mode=attached}" in name for name in samples)
            assert await it.end() == 0
        assert (await owner.status())["state"] == "ready"
        assert await owner.end() == 0


async def test_openmetrics_for_those_who_ask_and_gzip(real: tuple[str, ...], model: Path, tmp_path: Path) -> None:
    async with exporter(command=real, server=args(model), folder=tmp_path) as it:
        await it.until("ready")
        async with it.session.get(
            f"{it.url}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"}
        ) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
            names = {family.name for family in parse_openmetrics(await response.text())}
        assert {"llama_server_up", "llamacpp:n_decode", "llama_generation_tokens"} - names <= {
            "llama_generation_tokens"
        }
        async with (
            aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}) as plain,
            plain.get(f"{it.url}/metrics?collect[]=server") as response,
        ):
            assert "Content-Encoding" not in response.headers
            page = await response.text()
        assert "llama_server_up 1" in page
        assert "llama_host" not in page
        assert (await it.get("/metrics?collect[]=nonsense"))[0] == 400
