"""Lines of one pipe to records: join what belongs together, keep apart what a router's children write, and date it."""

from collections.abc import Callable

import msgspec

from exporter.logs.format import COMPONENTS, LETTERS, TIMING, ParsedLine, infer, microseconds, parse, parse_json
from exporter.logs.record import LogSource, Record, timestamp
from exporter.logs.redaction import private

MAX_JOINED = 256 * 1024
"""Characters of a record above which nothing more is joined to it, unless users' words may be in it: what is withheld
has to be withheld to its end."""
SERVER: LogSource = "llama-server"
Written = tuple[int | None, Record]
"""A record, and the port of the router's child that wrote it."""


class Assembler:
    """Turns blocks of lines into records. The last record of each writer is held until it is known to be whole.

    A line without a prefix continues the record above when that one had a prefix, or when it is one of the bare timing
    lines that old and mid builds print below `print_timing`, or when users' words may have begun above. `flush` gives
    out what is held.
    """

    def __init__(self, clock: "Clock", model_of: Callable[[int | None], str | None]) -> None:
        self._clock = clock
        self._model_of = model_of
        self._held: dict[int | None, Record] = {}
        self._below: dict[int | None, _Below] = {}
        """What is to be joined to the held record of a writer."""
        self._closed: set[int | None] = set()
        """Writers whose held record takes no line but timings."""

    def feed(self, block: str) -> list[Written]:
        """Return the records that are whole now, in order. The block ends with a newline. The program's hot loop."""
        self._clock.read()
        stamp, held_of, below, closed = self._clock.stamp, self._held, self._below, self._closed
        models: dict[int | None, str | None] = {}
        last_second, age = "", 0
        done: list[Written] = []
        for fields in parse(block):
            port, second, milli, micro, letter, _, function, slot, task, component, named, other, message = fields
            child = int(port) if port else None
            if not letter:
                self._bare(ParsedLine._make(fields), child, done)
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
        """Return what is held, whether whole or not: the writer has been silent for a while, or has ended."""
        for child in list(self._below):
            self._join(child)
        done = list(self._held.items())
        self._held.clear()
        self._closed.clear()
        return done

    def _bare(self, line: ParsedLine, child: int | None, done: list[Written]) -> None:
        """Take a line without a prefix: a continuation, a line of `--log-jsonl`, or one of a build without prefixes."""
        json = parse_json(line.raw)
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
            record = line.record()
            record.level = infer(line.raw)
        else:
            record = json.record(line.raw)
        age = None if json is None else json.time
        record.time = self._clock.stamp(child, None if age is None or age < 0 else int(age))
        record.model = self._model_of(child)
        if not private(record):
            self._closed.add(child)
        self._held[child] = record

    def _belongs(self, held: Record, line: ParsedLine, child: int | None) -> bool:
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
        """Add a line."""
        self.lines.append(line)
        self.size += len(line) + 1
        if not self.private:
            self.private = private(msgspec.structs.replace(self._record, message=line))


SECOND = 1_000_000
MAX_EARLIER = 10 * SECOND
"""By how much a process may have begun before its pipe is read. A line that claims to be older does not count: one odd
line would otherwise move the times of all that follow."""
THREE = tuple(f"{number:03d}" for number in range(1000))
"""Three digits of each: to look them up takes less than half the time of formatting six."""


class Clock:
    """Stamps the records of one pipe, whose writers are a server, or a router's children by their port.

    `now` gives the wall clock in microseconds. A line is read after it was written, so the earliest beginning that the
    lines allow is the true one, or a little later. Times of a writer never go back, and none is in the future.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._clock = now
        self._now = now()
        self._earliest = self._now - MAX_EARLIER
        self._writers: dict[int | None, list[int]] = {}
        """When each began, and the time of its last line."""
        self._second = -SECOND
        self._text = ""

    def read(self) -> None:
        """Note that the next lines have been read now."""
        self._now = self._clock()

    def stamp(self, writer: int | None, offset: int | None) -> str:
        """Return the time of a line as RFC 3339, by `offset`: its microseconds since the writer began, if known."""
        state = self._writers.get(writer)
        if state is None:
            self._writers[writer] = state = [self._now, 0]
        if offset is None:
            now = self._now
        else:
            now = state[0] + offset
            if now > self._now:
                now = self._now
                if now - offset >= self._earliest:
                    state[0] = now - offset
        if now < state[1]:
            now = state[1]
        else:
            state[1] = now
        micro = now - self._second
        if not 0 <= micro < SECOND:
            micro = now % SECOND
            self._second = now - micro
            self._text = timestamp(self._second // SECOND)[:-7]
        return f"{self._text}{THREE[micro // 1000]}{THREE[micro % 1000]}Z"
