import json
from collections import deque
from typing import Any

from exporter.logs.record import Record, json_lines
from exporter.logs.tail import WAITING, Tail


def record(number: int, level: str = "info", model: str | None = None, message: str = "") -> Record:
    return Record(f"t{number}", level, "llama-server", model, message=message or f"Message {number}")  # type: ignore[arg-type]


def test_the_tail_keeps_the_last_and_finds_by_level_model_source_and_text() -> None:
    tail = Tail(10)
    for begin in range(0, 30, 3):
        levels = ("info", "warn", "error")
        tail.add(*json_lines([record(begin + n, levels[n], "ab"[n % 2]) for n in range(3)]))

    def ids(**wanted: Any) -> list[int]:
        return [json.loads(line)["id"] for line in tail.search(**{"limit": 100, **wanted})]

    assert ids() == list(range(30, 20, -1))
    assert ids(limit=3) == [30, 29, 28]
    assert ids(before=25) == [24, 23, 22, 21]
    assert ids(level="error") == [30, 27, 24, 21]
    assert ids(level="warn", model="b") == [29, 26, 23]
    assert ids(text="message 2", limit=2) == [30, 29]
    assert ids(source="exporter") == []
    (newest,) = tail.search(limit=1)
    assert list(json.loads(newest))[:3] == ["id", "time", "level"]


async def test_listeners_hear_every_record_and_a_slow_one_is_dropped() -> None:
    tail = Tail(10)
    with tail.listen() as quick, tail.listen() as slow:
        for number in range(WAITING + 5):
            tail.add(*json_lines([record(number)]))
            heard = quick.get_nowait()
            assert heard is not None
            assert json.loads(heard)["message"] == f"Message {number}"
        assert slow.qsize() == WAITING + 1
        last: deque[bytes | None] = deque(maxlen=1)
        while not slow.empty():
            last.append(slow.get_nowait())
        assert last[0] is None
