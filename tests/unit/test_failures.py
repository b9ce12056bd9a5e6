from collections.abc import Iterator

import pytest
from loguru import logger

from exporter.logs.own import FailureLog


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line).rstrip()), format="{level} {message}")
    yield lines
    logger.remove(sink)


def test_a_failure_is_said_when_it_begins_and_when_it_ends(said: list[str]) -> None:
    failures = FailureLog()
    for error in (None, "no", "still no", None, None):
        failures.report("x", error)
    assert said == ["WARNING x fails: no", "INFO x works again"]


def test_an_expected_failure_is_no_news_until_it_is_not_expected(said: list[str]) -> None:
    stopping = True
    failures = FailureLog(expected=lambda: stopping)
    failures.report("x", "no")
    failures.report("x", None)
    assert said == []
    failures.report("x", "no")
    stopping = False
    failures.report("x", "no")
    assert said == ["WARNING x fails: no"]
