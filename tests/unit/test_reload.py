"""A reload applies the live settings and none of those that need a restart of the exporter."""

import json
import os
from collections.abc import Iterator

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from loguru import logger

from exporter.config import KEYS, START_KEYS, Config, ConfigSource, Live
from exporter.config.schema import LIVE_KEYS
from exporter.logs.output import LogOutput
from exporter.reload import Reloader
from exporter.web.api.config import ConfigHandler

START = {
    "server.attach": "http://127.0.0.1:1",
    "server.api_key_file": "/key",
    "server.autostart": "false",
    "web.listen_address": ":1",
    "web.config_file": "/web.yml",
    "web.control_token_file": "/token",
    "web.grafana_url": "http://grafana.example",
    "metrics.collectors.host": "false",
    "metrics.collectors.container": "false",
    "metrics.collectors.process": "false",
    "metrics.collectors.gpu_nvidia": "true",
    "metrics.collectors.gpu_amd": "true",
    "metrics.buckets": "{llama_request_duration_seconds: [1]}",
    "logs.buffer": "1MiB",
    "logs.format": "text",
}
PROCESS = {
    "server.binary": "other",
    "server.args": "[-c, 1]",
    "server.env": "{A: b}",
    "server.cwd": "/",
    "server.host": "::1",
    "server.port": "1",
    "server.command": "[other]",
}
LIVE = {
    **PROCESS,
    "server.start_timeout": "1s",
    "server.stop_timeout": "1s",
    "server.restart.policy": "never",
    "server.restart.initial_backoff": "2s",
    "server.restart.max_backoff": "3s",
    "server.restart.give_up_after": "1",
    "server.restart.within": "1s",
    "server.health.interval": "1s",
    "server.health.timeout": "1s",
    "server.health.unresponsive_after": "1s",
    "server.health.action": "report",
    "metrics.rate_window": "1s",
    "metrics.share_within": "2s",
    "metrics.scrape_timeout": "1s",
    "logs.level": "warn",
    "logs.prompts": "true",
    "logs.tail_lines": "1",
}
"""Every setting, with a value that is not its default."""


def environment(settings: dict[str, str]) -> dict[str, str]:
    return {f"LLAMA_EXPORTER_{key.upper().replace('.', '__')}": value for key, value in settings.items()}


def as_json(config: Config, key: str) -> object:
    return json.loads(msgspec.json.encode(config.value(key)))


class Running:
    """A reloader that started with these settings; records what it applies and the warnings that it logs."""

    def __init__(self, log: LogOutput, settings: dict[str, str]) -> None:
        self.environ = environment(settings)
        self.source = ConfigSource(None, self.environ, {})
        self.applied: list[tuple[Live, bool]] = []
        self.warnings: list[str] = []
        self.reloader = Reloader(self.source, lambda *applied: self.applied.append(applied), log, *self.source())

    def reload(self, settings: dict[str, str]) -> None:
        self.environ |= environment(settings)
        assert self.reloader.reload() is None


@pytest.fixture
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    log = LogOutput(os.open(os.devnull, os.O_WRONLY), buffer=1024, level="info", tail=10)
    it = Running(log, getattr(request, "param", {}))
    sink = logger.add(lambda message: it.warnings.append(message.record["message"]), level="WARNING")
    yield it
    logger.remove(sink)
    log.close(1)


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_is_in_exactly_one_type(key: str) -> None:
    assert (key in START_KEYS, key in LIVE_KEYS) == (key in START, key in LIVE)
    assert (key in START) != (key in LIVE)


def test_the_tables_have_every_setting() -> None:
    assert START.keys() | LIVE.keys() == KEYS.keys()
    assert len(KEYS) == len(START_KEYS) + len(LIVE_KEYS)


async def test_a_reload_applies_no_setting_that_needs_a_restart_of_the_exporter(running: Running) -> None:
    running.reload(START)
    assert running.applied == [(Live(), False)]
    assert running.reloader.current == Config()
    assert running.reloader.origins == dict.fromkeys(KEYS, "default")
    assert running.source().config.live == Live()
    (warning,) = running.warnings
    assert set(warning.removeprefix("reload: restart the exporter to apply ").split(", ")) == set(START)
    response = await ConfigHandler(running.source, running.reloader).get(make_mocked_request("GET", "/api/v1/config"))
    assert isinstance(response.body, bytes)
    shown = json.loads(response.body)["settings"]
    assert {key: setting["saved"] for key, setting in shown.items() if "saved" in setting} == {
        key: as_json(running.source().config, key) for key in START
    }
    assert {key: shown[key]["value"] for key in START} == {key: as_json(Config(), key) for key in START}
    assert {key for key in KEYS if shown[key]["restart"] == "exporter"} == set(START)
    assert {setting["origin"] for setting in shown.values()} == {"default"}


def test_a_setting_that_waits_for_a_restart_is_named_at_every_reload(running: Running) -> None:
    for _ in range(2):
        running.reload({"server.autostart": "false"})
    assert running.warnings == ["reload: restart the exporter to apply server.autostart"] * 2
    running.reload({"server.autostart": "true"})
    assert len(running.warnings) == 2


@pytest.mark.parametrize("key", LIVE)
def test_a_reload_applies_every_live_setting(key: str, running: Running) -> None:
    running.reload({key: LIVE[key], **START})
    live = running.source().config.live
    assert live != Live()
    assert running.applied == [(live, key in PROCESS)]
    assert running.reloader.current == Config(live=live)
    assert running.reloader.origins[key] == "environment"


@pytest.mark.parametrize("running", [{"server.attach": "http://127.0.0.1:1"}], indirect=True)
def test_a_reload_never_asks_for_a_restart_of_an_attached_server(running: Running) -> None:
    running.reload({"server.port": "1", "server.health.interval": "1s"})
    ((live, restart),) = running.applied
    assert (live.server.port, live.server.health.interval, restart) == (1, 1.0, False)
