"""Write docs/metrics.md from the declarations of all metrics. `make docs`; a test fails when it is stale."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import exporter.metrics.definitions
from exporter.metrics.families import Metric

TARGET = Path(__file__).parent / "metrics.md"
ORDER = ("usage", "server", "process", "gpu", "host", "exporter")
HEAD = """# Metrics

Every metric of `GET /metrics` but llama-server's own, which come first on the page with their names, HELP and TYPE
unchanged (`llamacpp:*`, with a `model` label added). Generated from `exporter/metrics/definitions/`: change it there.

Seconds, bytes, joules and ratios from 0 to 1; counters end in `_total`. A value that can't be known is absent, not 0.
"""


def modules() -> Iterator[ModuleType]:
    """The modules of definitions in the order of the document; one that is not in `ORDER` comes last."""
    names = [
        module.name for module in pkgutil.iter_modules(exporter.metrics.definitions.__path__) if module.name != "metric"
    ]
    for name in sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        yield importlib.import_module(f"exporter.metrics.definitions.{name}")


def metrics_of(module: ModuleType) -> list[Metric]:
    """The declarations of a module in their order."""
    return [value for value in vars(module).values() if isinstance(value, Metric)]


def document() -> str:
    """The whole text."""
    parts = [HEAD]
    for module in modules():
        title = (module.__doc__ or "").split("\n")[0]
        parts.append(f"\n## {title.rstrip('.')}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
        for metric in metrics_of(module):
            labels = ", ".join(
                f"{label}={'/'.join(metric.states)}" if metric.states and label == metric.labels[-1] else label
                for label in metric.labels
            )
            help_ = metric.help.replace("|", r"\|")
            parts.append(f"| `{metric.name}` | {metric.kind} | {labels} | {help_} |\n")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.write_text(document(), "utf-8")
