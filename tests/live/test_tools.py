"""The rules and configurations, checked by the programs that load them."""

import subprocess
from pathlib import Path

import pytest

from tests.known_metrics import RULES
from tests.live.programs import program

PROMETHEUS = Path(__file__).parents[2] / "prometheus"
ALERTMANAGER = PROMETHEUS.parent / "alertmanager" / "alertmanager.yml"


def check(name: str, *arguments: str | Path) -> str:
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration() -> None:
    assert f"{len(RULES)} rule files found" in check("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("file", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_alerts_fire_and_stay_silent_as_described(file: Path) -> None:
    assert "SUCCESS" in check("promtool", "test", "rules", file)


def test_alertmanager_takes_the_configuration() -> None:
    assert "SUCCESS" in check("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=Watchdog", "severity=info"], "watchdog"),
        (["alertname=ServerDown", "severity=critical"], "default"),
        (["alertname=RequestsQueued", "severity=warning"], "default"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_alerts_go_where_they_should(labels: list[str], receiver: str) -> None:
    check(
        "amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"--verify.receivers={receiver}", *labels
    )
