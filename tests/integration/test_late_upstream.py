"""A llama-server that answers late, and a system without file descriptors: the rest is served, and tried again."""

import os
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.integration.program import EXPORTER, Program, exporter
from tests.support import FAKE, eventually

MADE = (10, 20, 30)
"""Tokens of the requests that have finished; one more runs and gets nowhere."""
OWN = {
    "llama_prompt_tokens_total{model=fake}": 5 * len(MADE),
    "llama_generation_tokens_total{model=fake}": sum(MADE),
    "llama_requests_total{model=fake}{outcome=completed}": len(MADE),
    "llama_requests_total{model=fake}{outcome=failed}": 0,
    "llama_requests_running{model=fake}": 1,
    "llama_request_duration_seconds_count{model=fake}": len(MADE),
    "llama_request_generation_tokens_sum{model=fake}": sum(MADE),
    "llama_time_to_first_token_seconds_count{model=fake}": len(MADE),
    "llama_time_per_output_token_seconds_count{model=fake}": len(MADE),
}
RATES = {f"llama_tokens_per_second{{model=fake}}{{phase={phase}}}" for phase in ("prompt", "generation")}
ALLOWED = 2.0
"""Seconds that the scraper allows; llama-server would take for ever, and the exporter's own limit is far away."""


async def scrape(it: Program) -> dict[str, float]:
    """Samples as `Program.metrics` has them, of a scrape with a deadline."""
    status, page = await it.get("/metrics", **{"X-Prometheus-Scrape-Timeout-Seconds": str(ALLOWED)})
    assert status == 200
    samples = (sample for family in parse_text(page) for sample in family.samples)
    return {s.name + "".join(f"{{{k}={v}}}" for k, v in sorted(s.labels.items())): s.value for s in samples}


async def assert_own_numbers(it: Program) -> None:
    """Our own numbers are on the page in time, and only what llama-server did not answer is missing."""
    samples = await scrape(it)
    assert {name: samples.get(name) for name in OWN} == OWN
    assert samples.keys() >= RATES
    of = {name.partition("{collector=")[2].rstrip("}"): name for name in samples if "collector_success" in name}
    assert samples[of["native"]] == 0
    assert {name for name in ("server", "models", "usage", "requests", "process") if samples[of[name]] != 1} == set()
    durations = [value for name, value in samples.items() if "collector_duration_seconds" in name]
    assert max(durations) < ALLOWED


@pytest.fixture
async def late(tmp_path: Path) -> AsyncIterator[tuple[Program, Path]]:
    """An exporter whose llama-server finishes requests and answers neither /metrics nor /slots, and its orders."""
    control = tmp_path / "control"
    control.write_text("late")
    server = {"args": ["--control", str(control), "--wedge", "--ignore-term"], "stop_timeout": "600s"}
    config = {"metrics": {"scrape_timeout": "60s"}}
    async with exporter(command=FAKE, server=server, config=config, folder=tmp_path) as it:
        try:
            await it.until("ready")
            for tokens in MADE:
                await it.complete(tokens)
            await it.told("request_finished", len(MADE))
            yield it, control
        finally:
            control.write_text("exit 0")
        assert await it.end() == 0
        assert it.stderr == b""
        assert not [line for line in it.raw if b"never retrieved" in line]


async def test_own_numbers_do_not_wait_for_a_late_server(late: tuple[Program, Path]) -> None:
    it, control = late
    await assert_own_numbers(it)
    await assert_own_numbers(it)
    control.write_text("well")

    async def caught_up() -> bool:
        return "llamacpp:n_decode_total{model=fake}" in await scrape(it)

    await eventually(caught_up)


async def test_own_numbers_stay_while_a_late_server_stops(late: tuple[Program, Path]) -> None:
    it, _ = late
    async with it.session.post(f"{it.url}/api/v1/server/stop") as response:
        assert response.status == 202
    await it.until("stopping")
    await assert_own_numbers(it)


async def test_without_file_descriptors_it_tries_again(tmp_path: Path) -> None:
    restart = {"initial_backoff": "10ms", "max_backoff": "10ms", "give_up_after": 100_000}
    async with exporter(command=FAKE, server={"restart": restart}, folder=tmp_path) as it:
        limits = resource.prlimit(it.process.pid, resource.RLIMIT_NOFILE)
        for spare in range(14):  # a start takes fewer, for the log, the new process and its guard
            pid = (await it.until("ready"))["pid"]
            limit_files(it, spare, limits[1])
            before = len(it.events("server_started")), len(it.events("server_restarting"))
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda before=before: started_or_tried_twice(it, *before))  # type: ignore[misc]
            resource.prlimit(it.process.pid, resource.RLIMIT_NOFILE, limits)
        await it.until("ready")
        assert await it.end() == 0
        assert it.stderr == b""


def limit_files(it: Program, spare: int, hard: int) -> None:
    """Leave the exporter so many file descriptors beside those that it has open."""
    used = len([*Path(f"/proc/{it.process.pid}/fd").iterdir()])
    resource.prlimit(it.process.pid, resource.RLIMIT_NOFILE, (used + spare, hard))


def started_or_tried_twice(it: Program, started: int, tries: int) -> bool:
    assert it.process.returncode is None, it.stderr[-2000:]
    assert it.events("server_failed") == []
    return len(it.events("server_started")) > started or len(it.events("server_restarting")) > tries + 1


async def test_forty_file_descriptors_are_enough(tmp_path: Path) -> None:
    few = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *EXPORTER)
    async with exporter(command=FAKE, folder=tmp_path, program=few) as it:
        await it.until("ready")
        samples = await it.metrics()
        assert {name for name, value in samples.items() if "collector_success" in name and value != 1} == set()
        assert await it.end() == 0
        assert it.stderr == b""
