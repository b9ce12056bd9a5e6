"""Samples of one look at all GPUs, gathered row by row and served by metric."""

from functools import lru_cache

from exporter.metrics.families import Family, Metric, Sample


class Samples:
    """Keeps what is known: a value of None is left out, and of equal labels the last value counts."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[Metric, dict[tuple[str, ...], float]]] = {}

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Take one sample, unless `value` is None."""
        if value is not None:
            found = self._by_name.get(metric.name)
            if found is None:
                self._by_name[metric.name] = found = (metric, {})
            found[1][labels] = value

    def families(self) -> list[Family]:
        """All samples, a family for each metric that has any."""
        return [
            Family(
                metric.name,
                metric.kind,
                metric.help,
                [Sample("", _pairs(metric.labels, labels), value) for labels, value in values.items()],
            )
            for metric, values in self._by_name.values()
        ]


@lru_cache(maxsize=8192)
def _pairs(names: tuple[str, ...], values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Labels, kept from look to look: hundreds of them never change, and pairing them is a fifth of a look."""
    return tuple(zip(names, values, strict=True))
