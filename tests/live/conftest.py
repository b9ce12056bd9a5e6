import shutil

import pytest

PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "amtool": "prometheus-alertmanager"}
"""Debian's packages of the programs that these tests run."""


def program(name: str) -> str:
    """The path of a program that has to be on PATH."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not on PATH: install Debian's package {PACKAGES[name]} or unpack it as .ci/run does, and run "
            f"`make test-live` again (`make test` does without)"
        )
    return path


@pytest.fixture
def promtool() -> str:
    return program("promtool")


@pytest.fixture
def amtool() -> str:
    return program("amtool")


@pytest.fixture
def prometheus() -> str:
    return program("prometheus")
