"""The declaration of a metric, and a family of its samples at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "summary", "info", "stateset", "unknown"]


class Sample(NamedTuple):
    """One line of the page: the family's name plus `suffix`, label pairs in order, and the value."""

    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(slots=True)
class Family:
    """All samples of one name. `name` is the full name of the text format, `_total` included.

    `rendered` holds samples of llama-server as lines of the page, by the name that the lines begin with: the family's,
    or for a histogram or summary one with a suffix.
    """

    name: str
    kind: Kind
    help: str
    samples: list[Sample] = field(default_factory=list)
    rendered: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return the number of samples."""
        return len(self.samples) + sum(lines.count("\n") + 1 for lines in self.rendered.values())


@dataclass(frozen=True, slots=True)
class Metric:
    """The declaration of one of the exporter's own metrics.

    `states` lists the values of a stateset's label (the last of `labels`). HELP texts are one sentence or two: what the
    number is, its unit, and what it does not include.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    def family(self, samples: Mapping[Any, float] | Iterable[tuple[tuple[str, ...], float]]) -> Family:
        """Return the family for `{label values: value}` or pairs of the same, label values in declared order."""
        pairs = samples.items() if isinstance(samples, Mapping) else samples
        return Family(
            self.name,
            self.kind,
            self.help,
            [Sample("", tuple(zip(self.labels, values, strict=True)), value) for values, value in pairs],
        )

    def one(self, value: float | None, *labels: str) -> Family:
        """Return a family of one sample; of none when `value` is None, which means that it is unknown now."""
        return self.family([] if value is None else [(labels, value)])

    def state(self, current: str | None, *labels: str) -> Family:
        """Return a stateset: 1 for `current`, 0 for every other of `states`; no samples when the state is unknown."""
        if current is None:
            return self.family([])
        return self.family([((*labels, state), float(state == current)) for state in self.states])
