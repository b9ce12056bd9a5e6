"""The board: its rows in order, its pickers and marks."""

from grafana import variables as v
from grafana.board import Row, alerts, board, loads, starts
from grafana.boards.server.beside import BESIDE
from grafana.boards.server.latency import LATENCY
from grafana.boards.server.processes import EXPORTER, PROCESSES
from grafana.boards.server.slots import SLOTS
from grafana.boards.server.state import STATE
from grafana.boards.server.throughput import THROUGHPUT
from grafana.queries import (
    SERVER,
)

BOARD = board(
    "llama-server",
    "llama-server / Server",
    "One llama-server: its state, speed, requests, slots, processes, and its log beside them.",
    [v.DATASOURCE, v.LOKI_SOURCE, v.JOB, v.INSTANCE, v.MODEL, v.HOST],
    [
        Row("State", STATE),
        Row("Throughput", THROUGHPUT),
        Row("Latency", LATENCY),
        Row("Slots and context", SLOTS),
        Row("Processes of llama-server", PROCESSES),
        Row("Log of this time", BESIDE),
        Row("The exporter", EXPORTER, collapsed=True),
    ],
    annotations=[alerts(SERVER), starts(), loads()],
)
