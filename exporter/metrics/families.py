"""What a metric is: its declaration, and a family of samples of it at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "summary", "info", "stateset", "unknown"]


class Sample(NamedTuple):
    """One line of the page: the family's name plus `suffix`, label pairs in order, and the value as printed."""

    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float | str
    """A number of ours, or the text of a foreign one, so that re-exporting loses no digit."""


@dataclass(slots=True)
class Family:
    """All samples of one name. `name` is the full name of the text format, `_total` included."""

    name: str
    kind: Kind
    help: str
    samples: list[Sample] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of one of our own metrics.

    `states` lists the values of a stateset's label (the last of `labels`). HELP texts are one sentence or two: what the
    number is, in which unit, and what it is not.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    def family(self, samples: Mapping[Any, float] | Iterable[tuple[tuple[str, ...], float]]) -> Family:
        """Build the family from `{label values: value}` or pairs of the same, label values in declared order."""
        pairs = samples.items() if isinstance(samples, Mapping) else samples
        return Family(
            self.name,
            self.kind,
            self.help,
            [Sample("", tuple(zip(self.labels, values, strict=True)), value) for values, value in pairs],
        )

    def one(self, value: float | None, *labels: str) -> Family:
        """Build a family of one sample; of none when `value` is None, which means that it can't be known now."""
        return self.family([] if value is None else [(labels, value)])

    def state(self, current: str | None, *labels: str) -> Family:
        """Build a stateset: 1 for `current` and 0 for every other of `states`; nothing when the state is unknown."""
        if current is None:
            return self.family([])
        return self.family([((*labels, state), float(state == current)) for state in self.states])
