"""A router with several models: every child measured, states and loads told, and nothing loaded or woken by looking."""

import asyncio
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import executables
from tests.integration.program import Program, exporter
from tests.support import eventually, free_port

EXECUTABLES = executables()
SLEEP = 3


@pytest.fixture
def models(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("alpha", "beta", "gamma"):
        shutil.copy(model, folder / f"{name}.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF, or so it says" * 50)
    return folder


@pytest.fixture
async def router(models: Path, tmp_path: Path) -> AsyncIterator[Program]:
    args = ["--models-dir", str(models), "--models-max", "2", "-c", "2048", "-np", "2"]
    async with exporter(command=EXECUTABLES[0], server={"args": args}, folder=tmp_path) as it:
        await it.until("ready")
        yield it


async def complete(it: Program, model: str, tokens: int, **more: Any) -> dict[str, Any]:
    body = {"model": model, "prompt": "hello there", "n_predict": tokens, "ignore_eos": True, **more}
    async with it.session.post(f"{it.server}/completion", json=body) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def post(it: Program, path: str, model: str) -> None:
    async with it.session.post(f"{it.server}{path}", json={"model": model}) as response:
        assert response.status == 200, await response.text()


def state_of(samples: dict[str, float], model: str) -> list[str]:
    prefix = f"llama_model_state{{model={model}}}{{state="
    return [
        name.removeprefix(prefix).rstrip("}") for name, value in samples.items() if name.startswith(prefix) and value
    ]


async def until_state(it: Program, **wanted: str) -> dict[str, float]:
    async def check() -> dict[str, float] | None:
        samples = await it.metrics()
        return samples if all(state_of(samples, model) == [state] for model, state in wanted.items()) else None

    found: dict[str, float] = await eventually(check)
    return found


def generated(samples: dict[str, float], model: str) -> float | None:
    return samples.get(f"llama_generation_tokens_total{{model={model}}}")


async def until_generated(it: Program, **wanted: float) -> dict[str, float]:
    return await until_counted(it, "llama_generation_tokens_total", **wanted)


async def until_native(it: Program, **wanted: float) -> dict[str, float]:
    """Wait for llama-server's counter, which is up to a second old."""
    return await until_counted(it, "llamacpp:tokens_predicted_total", **wanted)


async def until_measured(it: Program, *models: str) -> dict[str, float]:
    """Wait until these processes of two slots have told who they are; the router says earlier that they run."""
    return await until_counted(it, "llama_model_slots", **dict.fromkeys(models, 2))


async def until_counted(it: Program, name: str, **wanted: float) -> dict[str, float]:
    async def check() -> dict[str, float] | None:
        samples = await it.metrics()
        return samples if all(samples.get(f"{name}{{model={m}}}") == count for m, count in wanted.items()) else None

    found: dict[str, float] = await eventually(check)
    return found


async def test_every_child_is_measured_with_its_model(router: Program) -> None:
    samples = await until_state(router, alpha="unloaded", beta="unloaded", gamma="unloaded", broken="unloaded")
    assert not any(name.startswith("llamacpp:") for name in samples)
    answers = {model: await complete(router, model, count) for model, count in (("alpha", 11), ("beta", 22))}
    # What is generated shows before a request has ended, the rest when it has.
    await until_counted(router, "llama_request_duration_seconds_count", alpha=1, beta=1)
    samples = await until_measured(router, "alpha", "beta")
    assert (generated(samples, "alpha"), generated(samples, "beta")) == (11, 22)
    assert (state_of(samples, "alpha"), state_of(samples, "gamma")) == (["loaded"], ["unloaded"])
    for model, answer in answers.items():
        assert samples[f"llama_prompt_tokens_total{{model={model}}}"] == answer["timings"]["prompt_n"]
        assert samples[f"llama_requests_total{{model={model}}}{{outcome=completed}}"] == 1
        assert samples[f"llama_model_loads_total{{model={model}}}{{result=loaded}}"] == 1
        assert 0 < samples[f"llama_model_load_seconds{{model={model}}}"] < 10
        assert samples[f"llama_slot_context_tokens{{model={model}}}{{slot=1}}"] == 1024
        assert samples[f"llama_context_usage_ratio{{model={model}}}"] == 0
        assert samples[f"llama_server_process_resident_memory_bytes{{model={model}}}"] > 1e6
    assert samples["llama_server_process_resident_memory_bytes{model=}"] > 1e6
    await until_native(router, alpha=11, beta=22)
    assert any(name.startswith("llama_server_info") and "{mode=router}" in name for name in samples)
    finished = await router.told("request_finished", 2)
    assert {(line["model"], line["generation_tokens"]) for line in finished} == {("alpha", 11), ("beta", 22)}
    written = {line.get("model") for line in router.lines if line.get("function") in ("print_timing", "load_model")}
    assert written == {"alpha", "beta"}
    # The router's own log shows no question of ours passed on.
    proxied = [line for line in router.lines if "proxying request" in line["message"]]
    assert len(proxied) == 2


async def test_evicted_unloaded_and_loaded_again_totals_stay(router: Program) -> None:
    await complete(router, "alpha", 10)
    await complete(router, "beta", 10)
    await complete(router, "gamma", 10)  # evicts alpha
    await until_generated(router, alpha=10, beta=10, gamma=10)
    await until_state(router, alpha="unloaded", beta="loaded", gamma="loaded")
    samples = await until_measured(router, "beta", "gamma")
    assert generated(samples, "alpha") == 10
    for gone in ("llamacpp:tokens_predicted_total", "llama_server_process_threads", "llama_context_usage_ratio"):
        assert f"{gone}{{model=alpha}}" not in samples
        assert f"{gone}{{model=beta}}" in samples
    assert "llama_tokens_per_second{model=alpha}{phase=generation}" not in samples
    await post(router, "/models/unload", "gamma")
    await until_state(router, gamma="unloaded")
    await complete(router, "alpha", 5)
    await until_generated(router, alpha=15)
    samples = await until_native(router, alpha=5)
    assert samples["llama_model_loads_total{model=alpha}{result=loaded}"] == 2
    await router.told("model_loaded", 4)
    names = [(line["event"], line["model"]) for line in router.lines if line.get("event", "").startswith("model_")]
    assert names.count(("model_loaded", "alpha")) == 2
    assert names.count(("model_unloaded", "gamma")) == 1


async def test_a_load_that_fails_and_a_child_that_dies(router: Program) -> None:
    answer = await complete(router, "broken", 1)
    assert answer["error"]["code"] == 500
    samples = await until_state(router, broken="failed")
    assert samples["llama_model_last_exit_code{model=broken}"] == 1
    assert samples["llama_model_loads_total{model=broken}{result=failed}"] == 1
    (failed,) = await router.told("model_failed")
    assert (failed["model"], failed["exit_code"], failed["level"]) == ("broken", 1, "error")

    await complete(router, "alpha", 10)
    await until_generated(router, alpha=10)
    pid = child_of((await router.status())["pid"], "alpha")
    os.kill(pid, signal.SIGKILL)

    async def dead() -> bool:
        return state_of(await router.metrics(), "alpha") in (["failed"], ["unloaded"])

    await eventually(dead)
    samples = await router.metrics()
    assert "llamacpp:tokens_predicted_total{model=alpha}" not in samples
    assert samples["llama_model_loads_total{model=alpha}{result=failed}"] == 0
    await complete(router, "alpha", 10)
    samples = await until_generated(router, alpha=20)
    assert [name for name, value in samples.items() if "collector_success" in name and value != 1] == []


def child_of(router: int, model: str) -> int:
    """PID of the router's child that runs the model, from the process table."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if parent == router and model in arguments:
            return int(folder.name)
    raise AssertionError(f"no process of {model}")


async def test_a_deleted_model_goes_and_a_new_one_comes(router: Program, models: Path) -> None:
    await until_state(router, gamma="unloaded")
    shutil.move(models / "gamma.gguf", models / "delta.gguf")
    async with router.session.get(f"{router.server}/models?reload=1") as response:
        assert response.status == 200
    samples = await until_state(router, delta="unloaded")
    assert state_of(samples, "gamma") == []
    await complete(router, "delta", 7)
    await until_generated(router, delta=7)


async def test_a_router_that_crashes_leaves_totals_and_begins_anew(router: Program) -> None:
    await complete(router, "alpha", 10)
    await until_generated(router, alpha=10)
    pid = (await router.status())["pid"]
    os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        status = await router.status()
        return bool(status["state"] == "ready" and status["pid"] != pid)

    await eventually(replaced)
    samples = await until_state(router, alpha="unloaded")
    assert generated(samples, "alpha") == 10
    await complete(router, "alpha", 4)
    await until_generated(router, alpha=14)


async def test_parallel_requests_of_several_models_add_up(router: Program) -> None:
    work = [(model, 20 + n) for n in range(6) for model in ("alpha", "beta")]
    answers = await asyncio.gather(*(complete(router, model, count) for model, count in work))
    made = dict.fromkeys(("alpha", "beta"), 0)
    for (model, _), answer in zip(work, answers, strict=True):
        made[model] += answer["timings"]["predicted_n"]
    await until_generated(router, **made)


async def test_looking_neither_wakes_nor_loads_nor_keeps_awake(models: Path, tmp_path: Path) -> None:
    args = ["--models-dir", str(models), "--sleep-idle-seconds", str(SLEEP), "-c", "2048"]
    async with exporter(command=EXECUTABLES[0], server={"args": args}, folder=tmp_path) as it:
        await it.until("ready")
        await complete(it, "alpha", 10)
        asked = time.monotonic()
        states: list[tuple[float, str]] = []
        while time.monotonic() - asked < 15:
            samples = await it.metrics()
            (state,) = state_of(samples, "alpha")
            states.append((time.monotonic() - asked, state))
            assert state_of(samples, "beta") == ["unloaded"]
            assert samples["llama_exporter_collector_success{collector=native}"] == 1
            await asyncio.sleep(0.2)  # the interval of the scrapes, not a wait for something
        asleep = [since for since, state in states if state == "sleeping"]
        assert SLEEP - 0.5 < asleep[0] < SLEEP + 1.5
        assert all(state == "sleeping" for since, state in states if since >= asleep[0])
        assert generated(samples, "alpha") == 10
        assert samples["llamacpp:tokens_predicted_total{model=alpha}"] == 10
        assert len(it.events("model_sleeping")) == 1
        assert not any("exiting sleeping state" in line["message"] for line in it.lines)
        await complete(it, "alpha", 5)
        samples = await until_generated(it, alpha=15)
        assert samples["llama_model_loads_total{model=alpha}{result=loaded}"] == 1


async def test_a_single_server_falls_asleep_under_scrapes(model: Path, tmp_path: Path) -> None:
    args = ["-m", str(model), "--alias", "tiny", "--sleep-idle-seconds", str(SLEEP), "-c", "2048"]
    async with exporter(command=EXECUTABLES[0], server={"args": args}, folder=tmp_path) as it:
        await it.until("ready")
        await it.complete(10)
        asked = time.monotonic()
        while state_of(await it.metrics(), "tiny") != ["sleeping"]:
            assert time.monotonic() - asked < SLEEP + 2.5
            await asyncio.sleep(0.2)
        assert time.monotonic() - asked > SLEEP - 0.5
        await it.complete(5)
        await until_generated(it, tiny=15)
        await until_state(it, tiny="loaded")


@pytest.mark.parametrize("reachable", [True, False], ids=["direct", "through the router"])
async def test_attached_to_a_router(models: Path, tmp_path: Path, *, reachable: bool) -> None:
    owner_folder, folder = tmp_path / "owner", tmp_path / "attached"
    owner_folder.mkdir()
    folder.mkdir()
    args = ["--models-dir", str(models), "--models-max", "2", "-c", "2048"]
    async with exporter(command=EXECUTABLES[0], server={"args": args}, folder=owner_folder) as owner:
        await owner.until("ready")
        port = free_port()
        relay = None if reachable else await relay_without_children(owner.server, port)
        url = owner.server if reachable else f"http://127.0.0.1:{port}"
        async with exporter(server={"attach": url}, folder=folder) as it:
            await it.until("ready")
            await until_state(it, alpha="unloaded")
            answer = await complete(owner, "alpha", 12)
            await until_generated(it, alpha=12)
            await until_counted(it, "llama_prompt_tokens_total", alpha=answer["timings"]["prompt_n"])
            samples = await until_native(it, alpha=12)
            assert generated(samples, "alpha") == 12
            assert (state_of(samples, "alpha"), state_of(samples, "beta")) == (["loaded"], ["unloaded"])
        if relay is not None:
            relay.close()


async def relay_without_children(upstream: str, port: int) -> asyncio.Server:
    """The router as a machine that can't reach its children sees it: their ports in the list lead nowhere."""
    host, _, number = upstream.removeprefix("http://").partition(":")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 20):
                writer.write(re.sub(rb'(?<="--port",")\d+', lambda port: b"1".zfill(len(port[0])), data))
        except ConnectionError:
            return
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, int(number))
        await asyncio.gather(carry(reader, up_writer), carry(up_reader, writer))

    return await asyncio.start_server(serve, "127.0.0.1", port)
