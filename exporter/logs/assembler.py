"""Lines of one pipe to records: join what belongs together, keep apart what a router's children write."""

from collections.abc import Callable

import msgspec

from exporter.logs.format import (
    COMPONENTS,
    LETTERS,
    TIMING,
    WORDS,
    Fields,
    infer,
    microseconds,
    read,
    read_json,
)
from exporter.logs.record import Clock, Record, Source
from exporter.logs.redaction import private

MAX_JOINED = 256 * 1024
"""Characters of a record above which nothing more is joined to it, unless users' words may be in it: what is withheld
has to be withheld to its end."""
SERVER: Source = "llama-server"
Written = tuple[int | None, Record]
"""A record, and the port of the router's child that wrote it."""


class Assembler:
    """Turns blocks of lines into records. The last record of each writer is held until it is known to be whole.

    A line without a prefix continues the record above when that one had a prefix, or when it is one of the bare timing
    lines that old and mid builds print below `print_timing`, or when users' words may have begun above. `flush` gives
    out what is held.
    """

    def __init__(self, clock: Clock, model_of: Callable[[int | None], str | None]) -> None:
        self._clock = clock
        self._model_of = model_of
        self._held: dict[int | None, Record] = {}
        self._below: dict[int | None, _Below] = {}
        """What is to be joined to the held record of a writer."""
        self._closed: set[int | None] = set()
        """Writers whose held record takes no line but timings."""

    def feed(self, block: str) -> list[Written]:
        """Records that are whole now, in order. The block ends with a newline. This is the hot loop of the program."""
        self._clock.read()
        stamp, held_of, below, closed = self._clock.stamp, self._held, self._below, self._closed
        models: dict[int | None, str | None] = {}
        last_second, age = "", 0
        done: list[Written] = []
        for fields in read(block):
            port, second, milli, micro, letter, _, function, slot, task, component, named, other, message = fields
            child = int(port) if port else None
            if not letter:
                self._bare(Fields._make(fields), child, done)
                continue
            if child not in models:
                models[child] = self._model_of(child)
            if second != last_second:
                last_second, age = second, microseconds(second)
            time, level, model = stamp(child, age + int(milli + micro)), LETTERS[letter], models[child]
            if child in held_of:
                if below:
                    self._join(child)
                done.append((child, held_of[child]))
                if closed:
                    closed.discard(child)
            if function:
                record = Record(time, level, SERVER, model, "slot", function, int(slot), int(task), None, message)
            else:
                who = component or other or None
                record = Record(time, level, SERVER, model, who, named or None, None, None, None, message)
            held_of[child] = record
        return done

    def flush(self) -> list[Written]:
        """What is held, whether whole or not: the writer has been silent for a while or is gone."""
        for child in list(self._below):
            self._join(child)
        done = list(self._held.items())
        self._held.clear()
        self._closed.clear()
        return done

    def _bare(self, line: Fields, child: int | None, done: list[Written]) -> None:
        """Take a line without a prefix: a continuation, a line of `--log-jsonl`, or one of a build without prefixes."""
        json = read_json(line.raw)
        held = self._held.get(child)
        if held is not None:
            if json is None and self._belongs(held, line, child):
                if child not in self._below:
                    self._below[child] = _Below(held)
                self._below[child].add(line.raw)
                return
            self._join(child)
            done.append((child, held))
        self._closed.discard(child)
        if json is None:
            record = _record(line)
            record.level = infer(line.raw)
        elif json.type != "log" or json.msg is None:
            record = Record("", "info", SERVER, component=json.type, message=line.raw)
        else:
            (inner, *more) = read(json.msg.rstrip("\n") + "\n")
            record = _record(Fields._make(inner))
            record.message = "\n".join([record.message, *(below[5] for below in more)])
            record.level = WORDS.get(json.level or "", "info")
        record.time = self._clock.stamp(child, None if json is None or json.time is None else int(json.time))
        record.model = self._model_of(child)
        if not private(record):
            self._closed.add(child)
        self._held[child] = record

    def _belongs(self, held: Record, line: Fields, child: int | None) -> bool:
        if child in self._closed:
            return held.function == "print_timing" and TIMING.regex.match(line.raw) is not None
        below = self._below.get(child)
        known = line.function or line.component in COMPONENTS
        return not known and (below is None or below.size < MAX_JOINED or below.private)

    def _join(self, child: int | None) -> None:
        """Make the held record of this writer whole."""
        if (below := self._below.pop(child, None)) is not None:
            self._held[child].message = "\n".join(below.lines)


class _Below:
    """The lines of a record of several: `size` of them in characters, and whether users' words may be among them."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.lines = [record.message] if record.message else []
        self.size = len(record.message)
        self.private = record.level == "debug" or private(record)

    def add(self, line: str) -> None:
        """One line more."""
        self.lines.append(line)
        self.size += len(line) + 1
        if not self.private:
            self.private = private(msgspec.structs.replace(self._record, message=line))


def _record(line: Fields) -> Record:
    """A record of what the line says, without time, level and model."""
    if line.function:
        return Record(
            *("", "info", SERVER, None, "slot", line.function), int(line.slot), int(line.task), None, line.message
        )
    component, function = line.component or line.other or None, line.its_function or None
    return Record("", "info", SERVER, None, component, function, None, None, None, line.message)
