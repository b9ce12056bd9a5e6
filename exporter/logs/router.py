"""What a router's log says of its children: which port belongs to which model, and how a child ended."""

import re
from typing import NamedTuple

from exporter.logs.record import Record

SPAWNED = re.compile(r"spawning server instance with name=(.+) on port (\d+)$")
ENDED = re.compile(r"instance name=(.+) exited with status (-?\d+)$")


class Spawned(NamedTuple):
    """A process was started for the model; it will listen on this port of the loopback."""

    model: str
    port: int


class Ended(NamedTuple):
    """The model's process has ended."""

    model: str
    exit_code: int


def read(record: Record) -> Spawned | Ended | None:
    """The event in a record of the router's own; None in nearly all."""
    if record.component != "srv" or "instance" not in record.message:
        return None
    if found := SPAWNED.match(record.message):
        return Spawned(found[1], int(found[2]))
    if found := ENDED.match(record.message):
        return Ended(found[1], int(found[2]))
    return None
