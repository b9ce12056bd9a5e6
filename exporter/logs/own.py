"""The exporter's own log: loguru and the standard library's logging, into the one stream in the one schema."""

import logging
import sys
from typing import TYPE_CHECKING

from loguru import logger

from exporter.logs.record import Level, Record, timestamp
from exporter.logs.stream import LogStream

if TYPE_CHECKING:
    from loguru import Message
    from loguru import Record as Entry

LEVEL_OF: dict[str, Level] = {
    "TRACE": "debug",
    "DEBUG": "debug",
    "WARNING": "warn",
    "ERROR": "error",
    "CRITICAL": "error",
}


def to_stderr() -> None:
    """Before there is a stream: plain text where errors of a start belong."""
    logger.remove()
    logger.add(sys.stderr, format="{level}: {message}", level="WARNING", backtrace=False, diagnose=False)


def to_stream(stream: LogStream, level: Level) -> None:
    """Send loguru's records, and through it those of aiohttp and asyncio, to `stream`."""

    def write(message: "Message") -> None:
        entry = message.record
        text = entry["message"]
        if entry["exception"] is not None:
            # One line says what happened; a traceback is for debugging and part of the same record.
            text = f"{text}: {message}" if level == "debug" else f"{text}: {entry['exception'].value!r}"
        stream.add(
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


class _ToLoguru(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        name = record.levelname if record.levelname in LEVEL_OF or record.levelname == "INFO" else "WARNING"

        def as_theirs(entry: "Entry") -> None:
            entry["name"], entry["function"] = record.name, record.funcName

        logger.opt(exception=record.exc_info).patch(as_theirs).log(name, record.getMessage())
