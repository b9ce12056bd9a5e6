import json

import pytest

from exporter.llama.slots import read
from tests.support import FIXTURES


def test_slots_of_all_builds_tell_the_running_request() -> None:
    found = {
        build: read(json.loads((FIXTURES / build / "slots-busy.json").read_text())) for build in ("old", "mid", "new")
    }
    assert {build: len(slots) for build, slots in found.items()} == {"old": 1, "mid": 1, "new": 1}
    new = found["new"][0]
    assert (new.task, new.generated, new.prompt_processed, new.prompt_cached) == (93, 1236, 9, 2)
    assert (found["old"][0].task, found["old"][0].generated, found["old"][0].prompt_processed) == (93, 1652, None)
    with pytest.raises(ValueError, match="not a list"):
        read({"error": {}})
