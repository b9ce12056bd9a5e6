"""The board: its rows in order, its pickers and marks."""

from grafana import variables as v
from grafana.board import Row, alerts, board, starts
from grafana.boards.overview.courses import LATENCY, QUEUE, THROUGHPUT
from grafana.boards.overview.tables import FIRING, MODELS, SERVERS
from grafana.boards.overview.tiles import TILES
from grafana.queries import SERVER

BOARD = board(
    "llama-overview",
    "llama-server / Overview",
    "All llama-servers at a glance: are they well, how fast are they, who waits, what does it cost.",
    [v.DATASOURCE, v.LOKI_SOURCE, v.JOB, v.INSTANCE, v.MODEL],
    [
        Row("Now", TILES),
        Row("Alerts firing", [FIRING]),
        Row("Servers and models", [SERVERS, MODELS]),
        Row("Latency", LATENCY),
        Row("Throughput", THROUGHPUT),
        Row("Queue", QUEUE),
    ],
    annotations=[alerts(SERVER), starts()],
)
