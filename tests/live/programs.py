"""Programs of others that these tests run."""

import shutil

import pytest

PACKAGES = {
    "promtool": "Debian's package prometheus",
    "prometheus": "Debian's package prometheus",
    "amtool": "Debian's package prometheus-alertmanager",
    "npm": "Node.js",
}


def program(name: str) -> str:
    """The path of a program that has to be on PATH."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not on PATH: install {PACKAGES[name]}, or unpack it as .ci/run does, and run `make test-live` "
            f"again (`make test` does without)"
        )
    return path
