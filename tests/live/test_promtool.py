"""The rules and configurations, checked by the programs that load them."""

import subprocess
from pathlib import Path

import pytest

from tests.promql import RULES

PROMETHEUS = Path(__file__).parents[2] / "prometheus"


def check(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration(promtool: str) -> None:
    assert f"{len(RULES)} rule files found" in check(promtool, "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("file", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_alerts_fire_and_stay_silent_as_described(promtool: str, file: Path) -> None:
    assert "SUCCESS" in check(promtool, "test", "rules", file)


def test_alertmanager_takes_the_configuration(amtool: str) -> None:
    assert "SUCCESS" in check(amtool, "check-config", PROMETHEUS.parent / "alertmanager" / "alertmanager.yml")
