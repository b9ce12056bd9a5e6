"""The board: its rows in order, its pickers and marks."""

from grafana import variables as v
from grafana.board import Row, alerts, board, loads
from grafana.boards.models.loading import LOADING
from grafana.boards.models.now import NOW
from grafana.boards.models.use import EVENTS, USE
from grafana.queries import SERVER

BOARD = board(
    "llama-models",
    "llama-server / Models",
    "Which models are loaded, how often they push each other out, what each of them takes and gives.",
    [v.DATASOURCE, v.LOKI_SOURCE, v.JOB, v.INSTANCE, v.MODEL, v.GPU, v.HOST],
    [
        Row("Now and over time", NOW),
        Row("Loading", LOADING),
        Row("What each model takes and gives", USE),
        Row("Events", EVENTS),
    ],
    annotations=[alerts(SERVER), loads()],
    span="now-6h",
)
