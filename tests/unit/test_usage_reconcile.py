import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.llama.api import NextToken, Slot
from exporter.logs.events import Finished, Launched
from exporter.usage.from_log import FromLog
from exporter.usage.reconcile import bounds, reconciled
from exporter.usage.tokens import Tokens


@given(st.integers(0, 10**12))
def test_a_count_lies_within_the_bounds_of_what_is_printed_of_it(count: int) -> None:
    low, high = bounds(float(f"{count:.6g}"))
    assert low <= count <= high
    assert high - low <= max(0, 10 ** (len(str(count)) - 5))


@pytest.mark.parametrize(
    ("counted", "native", "complete", "expected"),
    [
        (100, 129.0, True, 129),  # a cancelled request made more than was seen of it
        (2_000_129, 129.0, True, 129),  # a line that a user wrote
        (1_234_567, 1_234_570.0, True, 1_234_567),  # the log has the digits that rounding hides
        (1_234_000, 1_234_570.0, True, 1_234_565),
        (100, 129.0, False, 129),
        (150, 129.0, False, 150),  # older builds leave cancelled requests out
        (150, None, True, 150),
    ],
)
def test_the_log_counts_within_the_bounds_of_the_counters(
    counted: int, native: float | None, *, complete: bool, expected: int
) -> None:
    tokens = Tokens(generated=counted)
    moved = reconciled(tokens, (None, None, native, None, None), complete=complete)
    assert moved == Tokens(generated=expected)


def test_reconciled_totals_never_go_back_and_belong_to_a_process() -> None:
    tokens = FromLog()
    tokens.take(Launched(7, 1))
    tokens.seen(7, [Slot(0, 1, 2048, is_processing=True, next_token=NextToken(40), prompt_processed=5)])
    tokens.take(Finished(7, 1, "cancelled"))
    assert (tokens.totals, tokens.ends(7)) == (Tokens(5, 0, 40), 1)
    tokens.reconcile(7, (5, 0, 129, 0, 0), complete=True)
    assert tokens.totals == Tokens(5, 0, 129)
    tokens.take(Launched(7, 2))
    tokens.take(Finished(7, 2, "completed", 3, 0, 2_000_000))  # forged
    assert tokens.totals == Tokens(8, 0, 2_000_129)
    tokens.reconcile(7, (5, 0, 129, 0, 0), complete=True)
    assert tokens.totals == Tokens(8, 0, 2_000_129)  # what was shown stays
    tokens.begin(7)
    tokens.take(Launched(7, 1))
    tokens.take(Finished(7, 1, "completed", 3, 0, 10))
    tokens.reconcile(7, (3, 0, 10, 0, 0), complete=True)
    assert tokens.totals == Tokens(8, 0, 2_000_129)
    for task in range(2, 5):
        tokens.take(Launched(7, task))
        tokens.take(Finished(7, task, "completed", 0, 0, 1_000_000))
    assert tokens.totals == Tokens(8, 0, 3_000_139)
