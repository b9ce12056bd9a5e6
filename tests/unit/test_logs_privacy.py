import pytest

from exporter.logs.privacy import private, withhold
from tests.support import FIXTURES
from tests.unit.test_logs_grammar import records_of


def shown(message: str) -> str:
    return withhold(message) if private(message) else message


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_no_word_of_a_prompt_or_an_answer_leaves_a_verbose_log(build: str) -> None:
    text = (FIXTURES / build / "verbose.stderr.log").read_text("utf-8", "replace")
    shipped = "\n".join(shown(record.message) for record in records_of(text))
    assert ("secret" in text) or build == "new"
    assert "secret" not in shipped
    assert '"content":' not in shipped


@pytest.mark.parametrize("build", ["old", "mid", "new"])
def test_an_ordinary_log_is_shipped_whole(build: str) -> None:
    for record in records_of((FIXTURES / build / "single.stderr.log").read_text("utf-8")):
        assert shown(record.message) == record.message
