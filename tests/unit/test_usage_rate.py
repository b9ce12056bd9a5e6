import statistics
from collections.abc import Callable, Iterator

import pytest

from exporter.usage.tokens import Rate

WINDOW = 10.0
INTERVAL = 0.5
SPEED = 50


def rates(total: Callable[[float], int], until: float, *, begin: float = 0.0) -> Iterator[tuple[float, float]]:
    """Yield time and rate of looks at `total`, a function of the time, that do not keep step with what it does."""
    rate = Rate(WINDOW)
    for number in range(int((until - begin) / INTERVAL)):
        now = begin + number * INTERVAL + 0.03 * (number % 7)
        rate.observe(now, total(now), making=False)
        yield now, rate.per_second()


def steps(work: float, pause: float) -> Callable[[float], int]:
    """The total of requests of `work` seconds with pauses between them."""

    def total(now: float) -> int:
        rounds, into = divmod(now, work + pause)
        return int(SPEED * (rounds * work + min(into, work)))

    return total


@pytest.mark.parametrize(
    ("work", "pause"), [(1, 2), (0.2, 0.7), (3, 0.05), (2, 9), (0.1, 0), (20, 5)], ids=lambda seconds: f"{seconds}s"
)
def test_the_mean_rate_is_tokens_over_time_whatever_pauses_are_between_requests(work: float, pause: float) -> None:
    mean = statistics.fmean(rate for now, rate in rates(steps(work, pause), 1000) if now > 2 * WINDOW)
    assert mean == pytest.approx(SPEED * work / (work + pause), rel=0.02)


@pytest.mark.parametrize("clients", [1, 4, 16])
def test_clients_that_send_one_request_after_the_other_read_true_at_every_moment(clients: int) -> None:
    """Requests of 0.9 s and 60 ms between them, out of step: truth is what was generated in the same 30 s."""

    def total(now: float) -> int:
        return sum(steps(0.9, 0.06)(now + client * 0.37) for client in range(clients))

    rate = Rate(30)
    for number in range(400):
        now = number * INTERVAL + 0.03 * (number % 7)
        rate.observe(now, total(now), making=False)
        if now > 30:
            assert rate.per_second() == pytest.approx((total(now) - total(now - 30)) / 30, rel=0.02)


@pytest.mark.parametrize("first", [100.0, 100.2, 100.49])
def test_a_generation_after_a_pause_has_its_speed_from_the_second_second_on(first: float) -> None:
    def total(now: float) -> int:
        return max(0, int((now - first) * SPEED))

    for now, rate in rates(total, 140):
        if now >= first + 1.6:
            assert rate == pytest.approx(SPEED, rel=0.05)


def test_the_time_of_the_first_batch_of_a_prompt_counts() -> None:
    """Batches of 512 tokens that take 4 s each: the first look that shows one is not the moment at which it began."""
    rate = Rate(30)
    for number in range(120):
        now = number * INTERVAL
        rate.observe(now, 512 * max(0, int((now - 20) / 4)), making=now > 20)
        if now >= 24:
            assert rate.per_second() <= 1.1 * 512 / 4  # eight batches end in the last 30 s, or seven
    assert rate.per_second() == pytest.approx(512 / 4, rel=0.1)


def test_the_rate_falls_to_zero_within_the_window_after_the_last_request() -> None:
    found = dict(rates(lambda now: min(100, int(now * 100)), 14))
    assert all(rate > 0 for now, rate in found.items() if 1 <= now < WINDOW)
    assert all(rate == 0 for now, rate in found.items() if now > WINDOW + 1 + INTERVAL)
    assert Rate(WINDOW).per_second() == 0


def test_looks_milliseconds_apart_do_not_make_a_burst_of_one_batch() -> None:
    rate = Rate(WINDOW)
    for now, total in ((0, 0), (0.5, 0), (0.503, 512)):
        rate.observe(now, total, making=True)
    assert rate.per_second() == 512


def test_what_came_while_nobody_looked_has_no_rate() -> None:
    rate = Rate(WINDOW)
    for now, total in ((0, 0), (1, 100), (3600, 5000), (3600.5, 5025), (3601.5, 5075)):
        rate.observe(now, total, making=False)
    assert rate.per_second() == pytest.approx(SPEED)
