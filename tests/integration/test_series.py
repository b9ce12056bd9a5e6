"""How many series an instance has, as docs/scaling.md says it."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.conftest import executables
from tests.integration.program import ROOT, exporter
from tests.support import eventually

KINDS = {
    "llama-server's own": r"llamacpp:",
    "slots": r"llama_slot_",
    "process": r"llama_server_process_",
    "server state": r"llama_server_",
    "model": r"llama_(model|context|prompt_progress)_",
    "host, container": r"llama_(host|container)_",
    "the exporter": r"llama_exporter_|process_",
    "requests": r"llama_",
}
"""Rows of the table by their first words, and what they count; the first that fits counts."""


def documented() -> dict[str, int]:
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    rows = re.findall(r"^\| \**(.+?)\** \| \**(\d+)\** \| .*\|$", text[: text.index("Count yours")], re.MULTILINE)
    names = [*KINDS, "together"]
    return {next(name for name in names if row.startswith(name)): int(number) for row, number in rows}


@pytest.mark.parametrize("executable", executables(), ids=["llama-server"])
async def test_the_page_on_scaling_counts_what_is_there(
    executable: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    server = {"args": ["-m", str(model), "-c", "8192", "-np", "4", "--alias", "tiny"]}
    async with exporter(command=executable, server=server, folder=tmp_path) as it:
        await it.until("ready")
        await it.complete(5)

        async def counted() -> Counter[str] | None:
            page = (await it.get("/metrics"))[1]
            lines = [line for line in page.splitlines() if not line.startswith("#")]
            kinds = (next(kind for kind, name in KINDS.items() if re.match(name, line)) for line in lines)
            return Counter(kinds) if 'llama_requests_total{model="tiny",outcome="completed"} 1' in lines else None

        found: Counter[str] = await eventually(counted)
    page = documented()
    assert sum(number for name, number in page.items() if name != "together") == page["together"]
    # Disks, network devices and limits are this machine's, levels of the log come as they are met.
    for name in set(KINDS) - {"host, container", "the exporter"}:
        assert found[name] == page[name], name
    assert abs(found["the exporter"] - page["the exporter"]) < 6
