"""A changed configuration on a running exporter."""

import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.integration.program import Program, exporter
from tests.support import FAKE, eventually, free_port

SUCCESSFUL = "llama_exporter_config_last_reload_successful"


def rewrite(folder: Path, **server: Any) -> None:
    """Change keys of the section `server`."""
    file = folder / "exporter.yml"
    settings = msgspec.yaml.decode(file.read_bytes())
    settings["server"] |= server
    file.write_bytes(msgspec.yaml.encode(settings))


async def reload(it: Program) -> tuple[int, str]:
    async with it.session.post(f"{it.url}/-/reload") as response:
        return response.status, await response.text()


async def test_only_settings_of_the_process_restart_llama_server(tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        before = await it.until("ready")
        rewrite(tmp_path, stop_timeout="1s", health={"interval": "50ms"})
        assert (await reload(it))[0] == 200
        assert (await it.status())["pid"] == before["pid"]
        (event,) = await it.told("config_reloaded")
        assert event["changed"] == ["server.stop_timeout", "server.health.interval"]
        port = free_port()
        rewrite(tmp_path, port=port)
        it.process.send_signal(signal.SIGHUP)

        async def replaced() -> bool:
            status = await it.status()
            return bool(status["state"] == "ready" and status["pid"] != before["pid"])

        await eventually(replaced)
        status = await it.status()
        assert status["url"].endswith(f":{port}")
        assert status["restarts"] == {"crash": 0, "unresponsive": 0, "requested": 0, "config": 1}


async def test_an_invalid_file_changes_nothing_and_is_reported(tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it:
        before = await it.until("ready")
        good = (tmp_path / "exporter.yml").read_text()
        (tmp_path / "exporter.yml").write_text("server: {prot: 1}\nlogs: {level: loud}\n")
        status, text = await reload(it)
        assert status == 400
        assert "did you mean server.port?" in text
        assert "'loud' is not one of" in text
        assert (await it.metrics())[SUCCESSFUL] == 0
        assert (await it.status())["pid"] == before["pid"]
        (tmp_path / "exporter.yml").write_text(good)
        assert (await reload(it))[0] == 200
        assert (await it.metrics())[SUCCESSFUL] == 1
        assert (await it.status())["pid"] == before["pid"]


async def test_a_reload_leaves_failed(tmp_path: Path) -> None:
    async with exporter(server={"binary": "no-such-server"}, folder=tmp_path) as it:
        await it.until("failed")
        rewrite(tmp_path, binary="false", restart={"policy": "never"})
        await reload(it)
        await it.told("server_exited")
        assert (await it.until("failed"))["last_exit"]["code"] == 1


async def test_a_reload_that_adds_attach_leaves_the_supervised_server_alone(tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.touch()
    health = {"interval": "50ms", "timeout": "200ms", "unresponsive_after": "300ms", "action": "report"}
    settings = {"args": ["--control", str(control)], "health": health}
    async with exporter(command=FAKE, server=settings, folder=tmp_path) as it:
        before = await it.until("ready")
        elsewhere = f"http://127.0.0.1:{free_port()}"
        rewrite(tmp_path, attach=elsewhere, autostart=False, stop_timeout="9s")
        assert (await reload(it))[0] == 200
        (event,) = await it.told("config_reloaded")
        assert (event["changed"], event["restart"]) == (["server.stop_timeout"], False)
        warning = "reload: restart the exporter to apply server.attach, server.autostart"
        await eventually(lambda: [line for line in it.lines if line["message"] == warning])
        shown = json.loads((await it.get("/api/v1/config"))[1])["settings"]
        assert (shown["server.attach"]["value"], shown["server.attach"]["saved"]) == (None, elsewhere)
        # The health check goes on with the supervised server: it notices that this one hangs and that it recovers.
        control.write_text("hang")
        await it.until("unresponsive")
        control.write_text("")
        after = await it.until("ready")
        assert {**after, "uptime_seconds": 0} == {**before, "uptime_seconds": 0}
        async with it.session.post(f"{it.url}/api/v1/server/restart") as response:
            assert response.status == 202
        await it.told("server_ready", 2)


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
async def test_other_sites_cannot_reload(headers: dict[str, str], tmp_path: Path) -> None:
    async with exporter(command=FAKE, folder=tmp_path) as it, aiohttp.ClientSession() as browser:
        async with browser.post(f"{it.url}/-/reload", headers=headers) as response:
            assert response.status == 403
        async with browser.get(f"{it.url}/-/reload") as response:
            assert response.status == 405
        await it.end()
        assert it.events("config_reloaded") == []


async def test_a_watched_file_is_reloaded_when_it_changes(tmp_path: Path) -> None:
    async with exporter("--config.watch", command=FAKE, folder=tmp_path) as it:
        await it.until("ready")
        rewrite(tmp_path, stop_timeout="3s")
        (event,) = await it.told("config_reloaded")
        assert event["changed"] == ["server.stop_timeout"]
