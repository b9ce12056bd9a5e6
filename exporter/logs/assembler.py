"""Lines of one pipe to records: join what belongs together, keep apart what a router's children write."""

from collections.abc import Callable, Iterable

from exporter.logs.grammar import TIMING, Line, parse
from exporter.logs.record import Record


class Assembler:
    """Turns lines into records. The last record of each writer is held until it is known to be whole.

    A line without a prefix continues the record above when that one had a prefix, or when it is one of the three bare
    timing lines that old and mid builds print below `print_timing`. `flush` gives out what is held.
    """

    def __init__(self, now: Callable[[], str], model_of: Callable[[int | None], str | None]) -> None:
        self._now = now
        self._model_of = model_of
        self._held: dict[int | None, tuple[Record, bool]] = {}

    def feed(self, lines: Iterable[str]) -> list[tuple[int | None, Record]]:
        """Records that are whole now, in order, each with the port of the router's child that wrote it."""
        now = self._now()
        done: list[tuple[int | None, Record]] = []
        for text in lines:
            line = parse(text)
            held = self._held.get(line.child)
            if held is not None and self._continues(held[0], line, prefixed=held[1]):
                record = held[0]
                record.message = f"{record.message}\n{line.raw}" if record.message else line.raw
                continue
            if held is not None:
                done.append((line.child, held[0]))
            self._held[line.child] = (self._record(line, now), not line.continues)
        return done

    def flush(self) -> list[tuple[int | None, Record]]:
        """What is held, whether whole or not: the writer has been silent for a while or is gone."""
        done = [(child, record) for child, (record, _) in self._held.items()]
        self._held.clear()
        return done

    @staticmethod
    def _continues(record: Record, line: Line, *, prefixed: bool) -> bool:
        if not line.continues:
            return False
        return prefixed or (record.function == "print_timing" and TIMING.regex.match(line.raw) is not None)

    def _record(self, line: Line, now: str) -> Record:
        return Record(
            time=now,
            level=line.level,
            source="llama-server",
            model=self._model_of(line.child),
            component=line.component,
            function=line.function,
            slot=line.slot,
            task=line.task,
            message=line.message,
        )
