"""A hang is found and a slow prompt is none, on every build; what is not well is not ready."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.program import Program, exporter
from tests.support import FAKE, eventually

HEALTH = {"interval": "100ms", "timeout": "500ms", "unresponsive_after": "1s"}


async def test_a_slow_prompt_is_no_hang(real: tuple[str, ...], slow_model: Path, tmp_path: Path) -> None:
    args = ["-m", str(slow_model), "-c", "16384", "-np", "1", "-t", "1"]
    async with exporter(command=real, server={"args": args, "health": HEALTH}, folder=tmp_path) as it:
        await it.until("ready")
        # Between two batches of 2048 tokens neither the log nor /slots says anything, for seconds.
        answer = await it.complete(1, "hello wide world " * 500)
        assert answer["timings"]["prompt_ms"] > 3_000
        assert it.events("server_unresponsive") == []
        assert len(it.events("server_started")) == 1


@pytest.mark.parametrize("arguments", [[], ["--log-requests"]], ids=["silent", "logs HTTP requests"])
async def test_a_wedge_is_found(arguments: list[str], tmp_path: Path) -> None:
    server = {"args": ["--wedge", *arguments], "health": HEALTH, "restart": {"initial_backoff": "10ms"}}
    async with exporter(command=FAKE, server=server, folder=tmp_path) as it:
        (event, *_) = await it.told("server_unresponsive")
        assert event["message"]
        await it.told("server_started", 2)
        assert (await it.status())["restarts"]["unresponsive"] >= 1


@pytest.mark.parametrize("orders", ["error", "load", "hang"])
async def test_what_was_ready_and_is_not_well_any_more_is_not_ready(orders: str, tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.write_text("well")
    server = {"args": ["--control", str(control)], "health": {**HEALTH, "action": "report"}}
    async with exporter(command=FAKE, server=server, folder=tmp_path) as it:
        await it.until("ready")
        control.write_text(orders)

        async def not_ready() -> dict[str, Any] | None:
            status = await it.status()
            return status if status["state"] != "ready" else None

        status = await eventually(not_ready)
        assert status["reason"] or status["state"] == "loading"  # which says it all
        assert (await it.get("/-/ready"))[0] == 503
        assert (await it.metrics())["llama_server_up"] == 0
        control.write_text("well")
        assert (await it.until("ready"))["reason"] is None
        assert len(it.events("server_started")) == 1


@pytest.mark.parametrize("orders", ["error", "load", "hang"])
async def test_what_is_not_well_for_ever_is_replaced(orders: str, tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.write_text("well")
    server = {
        "args": ["--control", str(control)],
        "health": HEALTH,
        "start_timeout": "5s",
        "restart": {"initial_backoff": "10ms"},
    }
    async with exporter(command=FAKE, server=server, folder=tmp_path) as it:
        await it.until("ready")
        control.write_text(orders)
        await it.told("server_started", 2)
        control.write_text("well")
        await it.until("ready")


async def test_a_stalled_child_is_its_models_matter(tmp_path: Path) -> None:
    server = {"args": ["--router", "alpha", "beta", "--wedged", "beta"], "health": HEALTH}
    async with exporter(command=FAKE, server=server, folder=tmp_path) as it:
        await it.until("ready")

        async def models() -> dict[str, dict[str, Any]]:
            async with it.session.get(f"{it.url}/api/v1/models") as response:
                return {model["id"]: model for model in (await response.json())["models"]}

        async def stalled() -> bool:
            assert len(it.events("server_started")) == 1
            now = await models()
            return bool(now.keys() >= {"alpha", "beta"} and now["beta"].get("reason"))

        await eventually(stalled)
        assert not (await models())["alpha"].get("reason")
        port = await child_port(it, "alpha")
        async with it.session.post(f"http://127.0.0.1:{port}/completion", json={"n_predict": 12}) as response:
            assert response.status == 200
        (finished,) = await it.told("request_finished")
        assert (finished["model"], finished["generation_tokens"]) == ("alpha", 12)
        samples = await it.metrics()
        assert samples["llama_server_up"] == 1
        assert samples["llama_requests_total{model=alpha}{outcome=completed}"] == 1
        assert samples["llama_requests_running{model=beta}"] == 1
        assert it.events("server_unresponsive") == []
        assert len(it.events("server_started")) == 1


async def child_port(it: Program, model: str) -> int:
    async with it.session.get(f"{it.server}/models") as response:
        (args,) = [entry["status"]["args"] for entry in (await response.json())["data"] if entry["id"] == model]
        return int(args[args.index("--port") + 1])
