"""All boards by the name of their file: the one list of them."""

from grafana.boards.hardware.board import BOARD as HARDWARE
from grafana.boards.logs import BOARD as LOGS
from grafana.boards.models.board import BOARD as MODELS
from grafana.boards.overview.board import BOARD as OVERVIEW
from grafana.boards.server.board import BOARD as SERVER
from grafana.boards.slo.board import BOARD as SLO
from grafana.queries import Json

BOARDS: dict[str, Json] = {
    "overview": OVERVIEW,
    "server": SERVER,
    "models": MODELS,
    "hardware": HARDWARE,
    "logs": LOGS,
    "slo": SLO,
}
