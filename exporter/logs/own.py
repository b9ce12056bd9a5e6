"""The exporter's own log: loguru and the standard library's logging, into the one output in the one schema."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from loguru import logger

from exporter.logs.output import LogOutput
from exporter.logs.record import Level, Record, timestamp

if TYPE_CHECKING:
    from loguru import Message
    from loguru import Record as LoguruRecord

LEVEL_OF: dict[str, Level] = {
    "TRACE": "debug",
    "DEBUG": "debug",
    "WARNING": "warn",
    "ERROR": "error",
    "CRITICAL": "error",
}


def to_stderr() -> None:
    """Log to stderr as plain text: errors of a start, before there is an output."""
    logger.remove()
    logger.add(sys.stderr, format="{level}: {message}", level="WARNING", backtrace=False, diagnose=False)


def to_output(output: LogOutput, level: Level) -> None:
    """Send loguru's records, and through it those of aiohttp and asyncio, to `output`."""
    limit = RateLimit(time.monotonic)

    def write(message: "Message") -> None:
        entry = message.record
        more = limit.passes((entry["name"] or "", entry["line"]))
        if more is None:
            return
        text = entry["message"]
        if entry["exception"] is not None:
            # One line says what happened; a traceback is for debugging and part of the same record.
            text = f"{text}: {message}" if level == "debug" else f"{text}: {entry['exception'].value!r}"
        if more:
            text = f"{text} (and {more} more like it since the last one)"
        output.add(
            Record(
                time=timestamp(entry["time"].timestamp()),
                level=LEVEL_OF.get(entry["level"].name, "info"),
                source="exporter",
                component=entry["name"],
                function=entry["function"],
                message=text,
            )
        )

    logger.remove()
    # diagnose=False: the values of variables, secrets among them, must not get into the log.
    logger.add(
        write, format="{exception}", level="DEBUG" if level == "debug" else "INFO", backtrace=False, diagnose=False
    )
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


class RateLimit:
    """Limits each place in the code to `BURST` records a minute: a server that is down for a day fills no disk."""

    BURST = 10
    MINUTE = 60.0

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._begun: dict[tuple[str, int], float] = {}
        self._said: Counter[tuple[str, int]] = Counter()
        self._held: Counter[tuple[str, int]] = Counter()

    def passes(self, place: tuple[str, int]) -> int | None:
        """Return None when the place is over its limit, else how many of its records were held back since its last."""
        now = self._now()
        if now - self._begun.get(place, float("-inf")) >= self.MINUTE:
            self._begun[place] = now
            self._said[place] = 0
        self._said[place] += 1
        if self._said[place] > self.BURST:
            self._held[place] += 1
            return None
        return self._held.pop(place, 0)


class _ToLoguru(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        name = record.levelname if record.levelname in LEVEL_OF or record.levelname == "INFO" else "WARNING"

        def as_theirs(entry: "LoguruRecord") -> None:
            entry["name"], entry["function"] = record.name, record.funcName

        logger.opt(exception=record.exc_info).patch(as_theirs).log(name, record.getMessage())


class FailureLog:
    """Logs a failure when it begins and when it ends, by name. Those that begin while `expected()` are not logged."""

    def __init__(self, expected: Callable[[], bool] = lambda: False) -> None:
        self._failing: set[str] = set()
        self._expected = expected

    def report(self, name: str, error: str | None) -> None:
        """Report the state of `name`: its error, or None when it works."""
        if error is None:
            if name in self._failing:
                self._failing.remove(name)
                logger.info("{} works again", name)
        elif name not in self._failing and not self._expected():
            self._failing.add(name)
            logger.warning("{} fails: {}", name, error)
