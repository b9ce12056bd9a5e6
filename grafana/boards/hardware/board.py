"""The board: its rows in order, its pickers and marks."""

from grafana import variables as v
from grafana.board import Row, alerts, board
from grafana.boards.hardware.energy import ENERGY
from grafana.boards.hardware.gpus import CARDS
from grafana.boards.hardware.host import CONTAINER, HOST
from grafana.queries import SERVER

BOARD = board(
    "llama-hardware",
    "llama-server / GPU and host",
    "GPUs, the machine around them and the container: memory, clocks, heat, power, pressure.",
    [v.DATASOURCE, v.LOKI_SOURCE, v.JOB, v.INSTANCE, v.GPU],
    [
        Row("GPUs", CARDS),
        Row("Energy and errors", ENERGY),
        Row("Host", HOST),
        Row("Container", CONTAINER),
    ],
    annotations=[alerts(SERVER)],
)
