"""Samples of one look at all GPUs, gathered row by row and served by metric."""

from exporter.catalog.metric import Family, Metric


class Samples:
    """Keeps what is known: a value of None is left out."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[Metric, dict[tuple[str, ...], float]]] = {}

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Take one sample, unless `value` is None."""
        if value is not None:
            self._by_name.setdefault(metric.name, (metric, {}))[1][labels] = value

    def families(self) -> list[Family]:
        """All samples, a family for each metric that has any."""
        return [metric.family(values) for metric, values in self._by_name.values()]
