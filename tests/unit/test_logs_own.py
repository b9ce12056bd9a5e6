import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from exporter.logs.output import LogOutput
from exporter.logs.own import RateLimit, to_output, to_stderr


@pytest.fixture
def log() -> Iterator[LogOutput]:
    with Path("/dev/null").open("wb") as sink:
        stream = LogOutput(sink.fileno(), buffer=1 << 20, level="info", tail=100)
        to_output(stream, "info")
        yield stream
        stream.close(10)
    to_stderr()


def test_a_warning_that_is_said_all_day_fills_no_disk() -> None:
    now = [0.0]
    limit = RateLimit(lambda: now[0])
    said = []
    for second in range(24 * 3600):
        now[0] = float(second)
        said.append(limit.passes(("module", 7)))
    assert sum(each is not None for each in said) == 24 * 60 * 10
    assert said[:11] == [0] * 10 + [None]
    assert said[60] == 50
    assert limit.passes(("module", 8)) == 0


def test_records_of_loguru_and_of_libraries_have_the_schema(log: LogOutput) -> None:
    logger.warning("one {}", 1)
    logging.getLogger("aiohttp.server").error("two")
    for _ in range(50):
        logger.info("again")
    *rest, second, first = (json.loads(line) for line in log.tail.search(limit=100))
    assert (first["level"], first["source"], first["message"]) == ("warn", "exporter", "one 1")
    assert (second["level"], second["component"], second["message"]) == ("error", "aiohttp.server", "two")
    assert [record["message"] for record in rest] == ["again"] * 10
