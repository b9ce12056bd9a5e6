"""Write docs/metrics.md from the declarations of all metrics. `make docs`; a test fails when it is stale."""

from pathlib import Path
from types import ModuleType

from exporter.metrics.definitions import MODULES
from exporter.metrics.families import Metric

TARGET = Path(__file__).parent / "metrics.md"
HEAD = """# Metrics

Every metric of `GET /metrics` except llama-server's own, which are on the page too with their names, HELP and TYPE
unchanged (`llamacpp:*`, with a `model` label added). Generated from `exporter/metrics/definitions/`: change it there.

Seconds, bytes, joules, and ratios from 0 to 1; counters end in `_total`. A value that is unknown is absent, not 0.
"""


def metrics_of(module: ModuleType) -> list[Metric]:
    """Return the declarations of a module in their order."""
    return [value for value in vars(module).values() if isinstance(value, Metric)]


def document() -> str:
    """Return the whole text."""
    parts = [HEAD]
    for module in MODULES:
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
