"""What users get wrong and servers do wrong: a clear message, a page that still parses, no traceback."""

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.program import EMBEDDED, Program, exporter
from tests.support import FAKE, eventually


async def still_serves(it: Program, state: str) -> dict[str, Any]:
    """The state with its reason, and a page that parses and says down."""
    status = await it.until(state)
    samples = await it.metrics()
    assert samples["llama_server_up"] == 0
    assert samples[f"llama_server_state{{state={state}}}"] == 1
    assert samples["llama_host_cpus"] >= 1
    assert it.stderr == b""
    return status


async def test_a_missing_binary_says_where_it_looked_and_how_to_get_one(tmp_path: Path) -> None:
    async with exporter(server={"binary": "no-such-llama-server"}, folder=tmp_path) as it:
        status = await still_serves(it, "failed")
        assert "no-such-llama-server on PATH" in status["reason"]
        assert "https://github.com/ggml-org/llama.cpp/releases" in status["reason"]
        assert [line["message"] for line in await it.told("server_failed")] == [status["reason"]]


async def test_a_missing_model_is_named_with_its_whole_path(tmp_path: Path) -> None:
    settings = {"args": ["-m", "nowhere/model.gguf"], "cwd": str(tmp_path)}
    async with exporter(command=EMBEDDED, server=settings, folder=tmp_path) as it:
        status = await still_serves(it, "failed")
        assert f"{tmp_path}/nowhere/model.gguf" in status["reason"]
        assert "-hf" in status["reason"]


async def test_a_port_in_use_is_found_before_the_start_and_its_owner_named(tmp_path: Path) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        settings = {"port": owner.getsockname()[1]}
        async with exporter(command=FAKE, server=settings, folder=tmp_path) as it:
            status = await still_serves(it, "backoff")
            assert f"in use by process {os.getpid()} (" in status["reason"]
            assert it.events("server_started") == []
            owner.close()
            await it.until("ready")  # free again: it starts by itself


async def test_a_file_that_is_no_model_ends_in_llama_servers_own_words(real: tuple[str, ...], tmp_path: Path) -> None:
    model = tmp_path / "broken.gguf"
    model.write_text("this is not a model")
    settings = {"args": ["-m", str(model)], "restart": {"initial_backoff": "10ms", "give_up_after": 2}}
    async with exporter(command=real, server=settings, folder=tmp_path) as it:
        status = await still_serves(it, "failed")
        assert status["last_exit"]["code"] == 1
        assert any("failed to load model" in line for line in status["last_exit"]["last_lines"])
        assert status["restarts"]["crash"] == 1


async def test_a_binary_that_exits_at_once(tmp_path: Path) -> None:
    settings = {"binary": "false", "restart": {"initial_backoff": "10ms", "give_up_after": 3}}
    async with exporter(server=settings, folder=tmp_path) as it:
        status = await still_serves(it, "failed")
        assert status["reason"].startswith("it ended with code 1; gave up")


@pytest.mark.parametrize("native", ["501", "503", "garbage", "never", "mixed", "big"])
async def test_whatever_metrics_answers_the_page_parses(native: str, tmp_path: Path) -> None:
    # Only the answer that never comes is worth a short deadline: on a busy machine 10 MB take their time.
    config = {"metrics": {"scrape_timeout": "2s" if native == "never" else "60s"}}
    server = {"args": ["--native", native]}
    async with exporter(command=FAKE, server=server, config=config, folder=tmp_path) as it:
        await it.until("ready")
        samples = await it.metrics()
        assert samples["llama_server_up"] == 1
        good = native in ("mixed", "big")
        assert samples["llama_exporter_collector_success{collector=native}"] == good
        names = {name for name in samples if name.startswith("llamacpp:")}
        if native == "mixed":
            assert names == {"llamacpp:n_decode_total{model=fake}", "llamacpp:fine{model=fake}"}
            assert samples["llama_exporter_native_bad_lines{model=fake}"] == 2
        elif native == "big":
            assert len(names) == 100_000
        else:
            assert names == set()
            told = await eventually(
                lambda: [line for line in it.lines if line["level"] == "warn" and "collector native" in line["message"]]
            )
            assert len(told) == 1
        await it.metrics()


async def test_an_address_that_is_taken_ends_the_program_with_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        address = f"127.0.0.1:{owner.getsockname()[1]}"
        async with exporter("--web.listen-address", address, command=FAKE, folder=tmp_path, wait=False) as it:
            assert await it.process.wait() == 1
            (line,) = await eventually(lambda: it.lines)
            assert line["message"].startswith(f"web.listen_address: cannot listen on {address}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.file", "no/such.yml"], "no/such.yml: cannot be read: No such file or directory"),
        (["--web.listen-address", "localhost:70000"], "--web.listen-address: web.listen_address: 70000 is not a port"),
        (["--config.watch"], "--config.watch needs --config.file"),
        (["--nope"], "unrecognized arguments: --nope"),
        (["--log.level", "loud"], "'loud' is not one of: debug, info, warn, error"),
    ],
)
async def test_bad_usage_exits_2_and_says_what_is_wrong(arguments: list[str], message: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert message in err.decode()
    assert "Traceback" not in err.decode()
