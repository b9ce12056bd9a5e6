from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import KEYS, Config, ConfigErrors, load, split_address
from exporter.config.load import VARIABLES
from exporter.config.values import duration, size

BAD = sorted((Path(__file__).parents[1] / "config" / "bad").glob("*.yml"))
GOOD = """
server:
  binary: llama-server
  args: [-c, 8192, --temp, 0.70, --flag, yes]
  env: {LLAMA_ARG_THREADS: 08}
  cwd: null
  api_key_file: secrets/key
  attach: null
  autostart: on
  start_timeout: 10m
  restart: {policy: on-failure, initial_backoff: 500ms}
  health: {interval: 1h30m}
web:
  listen_address: "[::1]:0"
logs: {buffer: 1MiB}
"""


def outcome(file: Path | None, environ: dict[str, str]) -> Config | str:
    """The configuration, or what is wrong with it; any other exception fails the test."""
    try:
        return load(file, environ, {}).config
    except ConfigErrors as errors:
        return str(errors)


def load_text(text: str, folder: Path, environ: dict[str, str] | None = None, **flags: object) -> Config:
    file = folder / "exporter.yml"
    file.write_text(text, "utf-8")
    return load(file, environ or {}, flags).config


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_an_error_has_place_key_and_message(file: Path) -> None:
    expected = file.read_text("utf-8").partition("\n")[0].removeprefix("# expect: ")
    with pytest.raises(ConfigErrors) as caught:
        load(file, {}, {})
    assert len(caught.value.errors) == 1
    message = str(caught.value)
    assert expected in message
    assert message.startswith(str(file)) or expected.startswith("server.")


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load_text("server: {port: 0, prot: 1}\nlogs: {level: loud}\n", tmp_path, {"LLAMA_EXPORTER_NOPE": "1"})
    assert len(caught.value.errors) == 4


def test_a_good_file(tmp_path: Path) -> None:
    config = load_text(GOOD, tmp_path)
    assert config.live.server.args == ("-c", "8192", "--temp", "0.70", "--flag", "yes")
    assert config.live.server.env == {"LLAMA_ARG_THREADS": "08"}
    assert config.start.server.api_key_file == str(tmp_path / "secrets/key")
    assert (config.live.server.restart.policy, config.live.server.restart.initial_backoff) == ("on-failure", 0.5)
    assert (config.live.server.start_timeout, config.live.server.health.interval) == (600, 5400)
    assert (config.live.server.cwd, config.start.server.attach, config.start.server.autostart) == (None, None, True)
    assert config.start.logs.buffer == 1024 * 1024
    assert split_address(config.start.web.listen_address) == ("::1", 0)


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\n", "null\n"])
def test_an_empty_file_is_the_defaults(text: str, tmp_path: Path) -> None:
    assert load_text(text, tmp_path) == Config()


def test_flags_override_environment_and_environment_overrides_file(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text("server: {port: 1, host: a, binary: x}\nlogs: {level: warn}\n")
    environ = {"LLAMA_EXPORTER_SERVER__HOST": "b", "LLAMA_EXPORTER_LOGS__LEVEL": "error", "HOME": "ignored"}
    config, origins = load(file, environ, {"logs.level": "debug", "server.args": ["-m", "x"]})
    assert (config.live.server.port, config.live.server.host, config.live.logs.level) == (1, "b", "debug")
    assert config.live.server.args == ("-m", "x")
    assert [origins[f"server.{key}"] for key in ("port", "host", "args", "cwd")] == [
        "file",
        "environment",
        "flag",
        "default",
    ]


def test_lists_and_mappings_of_the_environment() -> None:
    environ = {
        "LLAMA_EXPORTER_SERVER__ARGS": "-m 'my model.gguf' -c 8192",
        "LLAMA_EXPORTER_SERVER__COMMAND": '["python", "-m", "x y"]',
        "LLAMA_EXPORTER_SERVER__ENV": "{A: 1}",
        "LLAMA_EXPORTER_SERVER__RESTART__GIVE_UP_AFTER": "3",
    }
    server = load(None, environ, {}).config.live.server
    assert server.args == ("-m", "my model.gguf", "-c", "8192")
    assert server.command == ("python", "-m", "x y")
    assert (server.env, server.restart.give_up_after) == ({"A": "1"}, 3)


def test_every_setting_has_an_environment_variable() -> None:
    assert set(VARIABLES.values()) == set(KEYS)
    assert VARIABLES["LLAMA_EXPORTER_SERVER__HEALTH__UNRESPONSIVE_AFTER"] == "server.health.unresponsive_after"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("5s", 5), ("1.5m", 90), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), ("7", 7)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("64MiB", 64 << 20), ("1GB", 10**9), ("512k", 512_000), ("1KiB", 1024), ("7", 7), ("1.5kB", 1500)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted({part for key in KEYS for part in key.split(".")}))
NEAR = st.dictionaries(NAMES, st.one_of(TREES, st.dictionaries(NAMES, st.one_of(TREES, st.dictionaries(NAMES, TREES)))))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(TREES, NEAR))
def test_random_trees_load_or_are_reported(tmp_path: Path, tree: Any) -> None:
    file = tmp_path / "random.yml"
    file.write_bytes(msgspec.yaml.encode(tree))
    assert outcome(file, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_random_bytes_load_or_are_reported(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "random.yml"
    file.write_bytes(data)
    assert outcome(file, {})


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=30)))
def test_random_environments_load_or_are_reported(environ: dict[str, str]) -> None:
    assert outcome(None, environ)
