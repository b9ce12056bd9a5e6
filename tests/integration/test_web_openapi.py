"""docs/openapi.yaml against a running exporter, by schemathesis: whatever is sent, the answers are as described."""

import asyncio
import sys
from pathlib import Path

from tests.integration.program import ROOT, exporter
from tests.support import FAKE, free_port

SCHEMATHESIS = (sys.executable, "-m", "schemathesis.cli", "run", str(ROOT / "docs" / "openapi.yaml"))
EXAMPLES = 40
"""Requests generated for each operation, besides those at the borders of its schema."""
UNFIT = (
    "ignored_auth",  # without a token this machine needs none; test_web_access.py tries the rest
    "positive_data_acceptance",  # a section of any keys fits the schema, and only known ones are right
)
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 503]
"""
"""503 says that llama-server is not ready."""


async def test_whatever_is_sent_the_answer_is_as_described(tmp_path: Path) -> None:
    # The port by argument, which counts more than what the fuzzer writes into the file.
    arguments = ("--", "--port", str(free_port()))
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    async with exporter(*arguments, command=FAKE, folder=tmp_path) as it:
        process = await asyncio.create_subprocess_exec(
            *(*SCHEMATHESIS, "--url", it.url, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"),
            *("--exclude-path", "/api/v1/events", "--exclude-checks", ",".join(UNFIT)),
            *("--request-timeout", "10", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert not [line for line in it.raw if b"Traceback" in line or b"bug" in line]
        assert (await it.get("/-/healthy"))[0] == 200
