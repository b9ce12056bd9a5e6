"""Start, stop and restart over the API, on a real exporter; and errors in one shape."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.program import Program, exporter
from tests.support import FAKE, alive, eventually


async def post(it: Program, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and decoded answer; an error has to be a problem."""
    async with it.session.post(f"{it.url}{path}", json=body, headers=headers) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            assert set(answer) >= {"title", "status", "detail"}
            assert answer["status"] == response.status
        return response.status, answer


async def test_stop_start_and_restart(tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        first = (await it.until("ready"))["pid"]
        assert await post(it, "/api/v1/server/start") == (
            409,
            {"title": "Conflict", "status": 409, "detail": f"llama-server is already ready (PID {first})"},
        )
        status, answer = await post(it, "/api/v1/server/stop")
        assert (status, answer["desired"]) == (202, "stopped")
        await it.until("stopped")
        assert not alive(first)
        assert (await post(it, "/api/v1/server/stop"))[1]["detail"] == "llama-server is already stopped"
        status, answer = await post(it, "/api/v1/server/start")
        assert (status, answer["desired"]) == (202, "running")
        second = (await it.until("ready"))["pid"]
        assert (await post(it, "/api/v1/server/restart"))[0] == 202

        async def replaced() -> bool:
            now = await it.status()
            return bool(now["state"] == "ready" and now["pid"] != second)

        await eventually(replaced)
        assert (await it.status())["restarts"] == {"crash": 0, "unresponsive": 0, "requested": 1, "config": 0}
        await it.end()
        asked = [line["message"] for line in it.lines if "requested by" in line["message"]]
        assert asked == [f"{what} of llama-server requested by 127.0.0.1" for what in ("stop", "start", "restart")]


async def test_a_port_in_use_is_refused_with_its_owner(tmp_path: Path) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        settings = {"port": owner.getsockname()[1], "autostart": False}
        async with exporter(command=FAKE, server=settings, folder=tmp_path) as it:
            for what in ("start", "restart"):
                status, answer = await post(it, f"/api/v1/server/{what}")
                assert status == 409
                assert f"in use by process {os.getpid()} (" in answer["detail"]
            assert (await it.status())["desired"] == "stopped"
            await it.end()
            assert it.events("server_started") == []


async def test_a_restart_that_would_fail_leaves_the_running_one_alone(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_text("")
    async with exporter(command=FAKE, server={"args": ["-m", str(model)]}, folder=tmp_path) as it:
        pid = (await it.until("ready"))["pid"]
        model.unlink()
        status, answer = await post(it, "/api/v1/server/restart")
        assert (status, str(model) in answer["detail"]) == (409, True)
        assert (await it.status())["pid"] == pid


async def test_an_attached_server_is_not_ours_to_stop(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with (
        exporter(command=FAKE, folder=one) as owner,
        exporter(server={"attach": owner.server}, folder=other) as it,
    ):
        await it.until("ready")
        for what in ("start", "stop", "restart"):
            status, answer = await post(it, f"/api/v1/server/{what}")
            assert (status, "is not supervised (server.attach)" in answer["detail"]) == (409, True)
        assert (await owner.status())["state"] == "ready"


async def test_models_of_a_server_that_is_no_router(tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        status, text = await it.get("/api/v1/models")
        (model,) = json.loads(text)["models"]
        assert (status, model["id"], model["state"], model["slots"]) == (200, "fake", "loaded", 2)
        for what in ("load", "unload"):
            status, answer = await post(it, f"/api/v1/models/{what}", {"model": "fake"})
            assert (status, "does not run as a router" in answer["detail"]) == (409, True)
            assert (await post(it, f"/api/v1/models/{what}", {"name": "fake"}))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/nowhere", None, 404, "there is no /nowhere"),
        ("PUT", "/metrics", None, 405, "PUT does nothing here; allowed: GET,HEAD"),
        ("POST", "/api/v1/models/load", b"{" + b" " * 300_000, 413, "the body is larger than anything"),
        ("POST", "/api/v1/models/load", b"{", 400, "the body is not what is expected"),
        ("POST", "/api/v1/models/load", b"[" * 100_000, 400, "the body is not what is expected"),
        ("POST", "/api/v1/models/load", b'{"model": "\\ud800"}', 400, "the body is not what is expected"),
        ("GET", "/metrics?collect[]=x", None, 400, "unknown collector x"),
    ],
)
async def test_errors_are_problems(
    method: str, path: str, body: bytes | None, status: int, detail: str, tmp_path: Path
) -> None:
    async with (
        exporter(command=FAKE, folder=tmp_path) as it,
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as client,
        client.request(method, f"{it.url}{path}", data=body) as response,
    ):
        assert (response.status, response.content_type) == (status, "application/problem+json")
        answer = await response.json(content_type=None)
        assert answer["detail"].startswith(detail)
        assert answer["title"] == response.reason
        if status == 405:
            assert response.headers["Allow"] == "GET,HEAD"


async def test_a_body_of_another_type_is_refused(tmp_path: Path) -> None:
    async with (
        exporter(command=FAKE, folder=tmp_path) as it,
        it.session.post(f"{it.url}/api/v1/models/load", data='{"model": "x"}') as response,
    ):
        assert response.status == 415
