import pytest

from exporter.web.auth.access import LIFETIME, MAX_SESSIONS, Sessions
from exporter.web.auth.origin import is_loopback
from exporter.web.auth.passwords import FIRST_PAUSE, FORGET_AFTER, FREE, LONGEST_PAUSE, MAX_PEERS, Throttle


def test_pauses_double_up_to_the_longest_and_a_right_try_ends_them() -> None:
    throttle, pauses = Throttle(), []
    for _ in range(12):
        throttle.failed("1.2.3.4", 0)
        pauses.append(throttle.pause("1.2.3.4", 0))
    assert pauses[: FREE - 1] == [0] * (FREE - 1)
    assert pauses[FREE - 1 : FREE + 2] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    assert throttle.pause("1.2.3.5", 0) == 0
    assert throttle.pause("1.2.3.4", LONGEST_PAUSE) == 0
    throttle.succeeded("1.2.3.4")
    assert throttle.pause("1.2.3.4", 0) == 0


def test_old_failures_are_forgotten_and_peers_are_bounded() -> None:
    throttle = Throttle()
    for _ in range(FREE):
        throttle.failed("::1", 0)
    throttle.failed("::1", FORGET_AFTER + 1)
    assert throttle.pause("::1", FORGET_AFTER + 1) == 0
    for number in range(MAX_PEERS + 10):
        throttle.failed(f"10.0.{number // 256}.{number % 256}", 0)
    assert len(throttle._records) == MAX_PEERS


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("1.2.3.4", "1.2.3.5", False),
    ],
)
def test_one_host_is_one_peer(one: str, other: str, *, same: bool) -> None:
    throttle = Throttle()
    for _ in range(FREE):
        throttle.failed(one, 0)
    assert (throttle.pause(other, 0) > 0) is same


def test_sessions_expire_and_end_and_are_bounded() -> None:
    sessions = Sessions()
    first = sessions.open(0)
    assert sessions.valid(first, LIFETIME - 1)
    assert not sessions.valid(first, LIFETIME)
    assert not sessions.valid(first + "x", 0)
    assert not sessions.valid(None, 0)
    second = sessions.open(1)
    sessions.close(first)
    assert not sessions.valid(first, 1)
    assert sessions.valid(second, 1)
    many = [sessions.open(2) for _ in range(MAX_SESSIONS)]
    assert not sessions.valid(second, 2)
    assert all(sessions.valid(session, 2) for session in many)
    sessions.clear()
    assert not sessions.valid(many[0], 2)


@pytest.mark.parametrize(
    ("remote", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True)]
    + [(other, False) for other in ("10.0.0.1", "::ffff:10.0.0.1", "", None, "localhost")],
)
def test_loopback(remote: str | None, *, expected: bool) -> None:
    assert is_loopback(remote) is expected
