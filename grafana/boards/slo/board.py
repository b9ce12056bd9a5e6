"""The board: its rows in order, its pickers and marks."""

from exporter.usage.histograms import FIRST_TOKEN, PER_TOKEN
from grafana import variables as v
from grafana.board import Row, alerts, board
from grafana.boards.slo.course import BURN, COURSE
from grafana.boards.slo.kept import MODELS, TILES

OBJECTIVES = (("90 %", "0.9"), ("95 %", "0.95"), ("99 %", "0.99"), ("99.5 %", "0.995"), ("99.9 %", "0.999"))
WINDOWS = tuple((name, name) for name in ("1h", "6h", "1d", "3d", "7d", "28d"))


def bounds(of: tuple[float, ...]) -> list[tuple[str, str]]:
    """A histogram's bounds as a picker offers them: the value is exactly what `le` says."""
    return [(f"{bound:g} s", repr(bound)) for bound in of]


BOARD = board(
    "llama-slo",
    "llama-server / SLO",
    "Promises to clients: what was kept, what is left of the budgets, how fast they burn. Pickers offer exact bucket "
    "bounds.",
    [
        v.DATASOURCE,
        v.LOKI_SOURCE,
        v.JOB,
        v.FLEET_MODEL,
        v.custom("first_token", "First token within", bounds(FIRST_TOKEN), "2.5"),
        v.custom("per_token", "Each token within", bounds(PER_TOKEN), "0.1"),
        v.custom("objective", "For", OBJECTIVES, "0.99"),
        v.custom("window", "Over", WINDOWS, "1d"),
    ],
    [Row("Promises", [*TILES, MODELS]), Row("Burn", BURN), Row("Course", COURSE)],
    annotations=[alerts('job=~"$job"')],
    span="now-6h",
)
