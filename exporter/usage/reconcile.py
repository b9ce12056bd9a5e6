"""Two witnesses for a total: the log, and the native counters.

The log is exact, but it is text that users can write into, and it says nothing of what a cancelled request made. The
native counters can't be forged, but they are late and have six digits.
"""

from collections.abc import Sequence

from exporter.usage.tokens import Tokens

DIGITS = 6
"""Significant digits of llama-server's numbers (a C++ stream's default)."""


def bounds(value: float) -> tuple[int, int]:
    """Return the lowest and the highest count that llama-server prints as `value`."""
    whole = int(value)
    slack = 10 ** max(0, len(str(whole)) - DIGITS) // 2
    return whole - slack, whole + slack


def reconciled(counted: Tokens, native: Sequence[float | None], *, complete: bool) -> Tokens:
    """Return what the log counted of a process, moved into the bounds of its native counters, in the order of `Tokens`.

    For a process that works on nothing. `complete`: the build's counters include cancelled and failed requests;
    otherwise they are lower bounds. A counter that the build lacks (None) leaves the count as it is.
    """
    return Tokens(*(_moved(part, value, complete=complete) for part, value in zip(counted, native, strict=True)))


def _moved(count: int, value: float | None, *, complete: bool) -> int:
    if value is None:
        return count
    low, high = bounds(value)
    return max(low, min(count, high) if complete else count)
